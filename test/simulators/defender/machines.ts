import { createHash } from 'node:crypto';
import { entityModel, type EntityModel } from '#odata';
import { shownTime, type VendorClock } from './clock.js';
import { badRequest, notFound } from './refusal.js';

/** A machine as its maker describes it. */
export interface MachineSpec {
  /** Default: 40 hex digits that follow from its name. */
  readonly id?: string;
  readonly computerDnsName: string;
  /** Default 10.0.0.10. */
  readonly ip?: string;
  /** Default Windows11. */
  readonly osPlatform?: string;
  /** Default Onboarded. */
  readonly onboardingStatus?: string;
  /** Milliseconds since it was last seen, on the wall. Default 0: it is seen all the time. */
  readonly lastSeenAgoMs?: number;
  /** Whether commands reach it; otherwise what it is told stays Pending. Default: whether it is seen all the time. */
  readonly online?: boolean;
}

export interface Machine {
  readonly id: string;
  readonly computerDnsName: string;
  readonly ip: string;
  readonly osPlatform: string;
  readonly aadDeviceId: string | null;
  onboardingStatus: string;
  readonly firstSeenAt: number;
  /** Null: it is seen all the time. */
  readonly lastSeenAt: number | null;
  online: boolean;
  isolated: string | null;
  restricted: boolean;
}

const DAY_MS = 86_400_000;
const ID = /^[0-9a-f]{40}$/i;

/** The machines of every tenant that says nothing else. */
export const DEFAULT_MACHINES: readonly MachineSpec[] = [
  { computerDnsName: 'ws-anna.contoso.com', ip: '10.0.0.11' },
  { computerDnsName: 'ws-bert.contoso.com', ip: '10.0.0.12' },
  { computerDnsName: 'srv-db.contoso.com', ip: '10.0.0.20', osPlatform: 'WindowsServer2022' },
  { computerDnsName: 'srv-web.contoso.com', ip: '10.0.0.21', osPlatform: 'Linux' },
  // Two that are alive, of one name.
  { id: idOf('twin-1'), computerDnsName: 'twin.contoso.com', ip: '10.0.0.31' },
  { id: idOf('twin-2'), computerDnsName: 'twin.contoso.com', ip: '10.0.0.32' },
  // One that was set up anew, and what the old one left.
  { id: idOf('reimaged-new'), computerDnsName: 'reimaged.contoso.com', ip: '10.0.0.41' },
  {
    id: idOf('reimaged-old'),
    computerDnsName: 'reimaged.contoso.com',
    ip: '10.0.0.41',
    lastSeenAgoMs: 20 * DAY_MS,
  },
  { computerDnsName: 'offline.contoso.com', ip: '10.0.0.51', lastSeenAgoMs: DAY_MS },
  {
    computerDnsName: 'printer.contoso.com',
    ip: '10.0.0.61',
    osPlatform: 'Other',
    onboardingStatus: 'CanBeOnboarded',
  },
];

/** 40 hex digits, as a machine's id, that follow from a text. */
export function idOf(text: string): string {
  return createHash('sha1').update(text).digest('hex');
}

function asGuid(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/, '$1-$2-$3-$4-$5');
}

const text = { type: 'string' } as const;
const time = { type: 'dateTime' } as const;
const FILTERABLE = {
  id: text,
  computerDnsName: text,
  version: text,
  deviceValue: text,
  aadDeviceId: text,
  firstSeen: time,
  lastSeen: time,
  exposureLevel: text,
  onboardingStatus: text,
  healthStatus: text,
  osPlatform: text,
  riskScore: text,
  rbacGroupId: { type: 'int32' },
} as const;
export const MACHINE_MODEL: EntityModel = entityModel(FILTERABLE);
export const MACHINE_MODEL_WITH_IP: EntityModel = entityModel({ ...FILTERABLE, lastIpAddress: text });

/** The machines of one tenant. */
export class Machines {
  readonly #machines = new Map<string, Machine>();

  constructor(
    readonly clock: VendorClock,
    specs: readonly MachineSpec[],
  ) {
    for (const spec of specs) this.add(spec);
  }

  /** A machine of this id that was there before is replaced. */
  add(spec: MachineSpec): Machine {
    const now = this.clock.now();
    const { lastSeenAgoMs = 0, osPlatform = 'Windows11' } = spec;
    const id = (spec.id ?? idOf(spec.computerDnsName)).toLowerCase();
    const windows = osPlatform.startsWith('Windows');
    const machine: Machine = {
      id,
      computerDnsName: spec.computerDnsName.toLowerCase(),
      ip: spec.ip ?? '10.0.0.10',
      osPlatform,
      aadDeviceId: windows ? asGuid(idOf(`aad ${id}`)) : null,
      onboardingStatus: spec.onboardingStatus ?? 'Onboarded',
      firstSeenAt: now - 60 * DAY_MS,
      lastSeenAt: lastSeenAgoMs === 0 ? null : now - lastSeenAgoMs,
      online: spec.online ?? lastSeenAgoMs === 0,
      isolated: null,
      restricted: false,
    };
    this.#machines.set(machine.id, machine);
    return machine;
  }

  all(): readonly Machine[] {
    return [...this.#machines.values()];
  }

  /**
   * By its id, or its name: of several with that name it takes the one seen last, and does not say that there are more.
   * @throws Refusal 404
   */
  get(idOrName: string): Machine {
    const wanted = idOrName.toLowerCase();
    const found =
      this.#machines.get(wanted) ??
      this.all()
        .filter(({ computerDnsName }) => computerDnsName === wanted)
        .toSorted((one, other) => this.#seenAt(other) - this.#seenAt(one))[0];
    if (found === undefined) throw notFound(`Machine ${idOrName} was not found`);
    return found;
  }

  /**
   * By its id alone, as commands need it.
   * @throws Refusal 404
   */
  byId(id: string): Machine {
    const found = ID.test(id) ? this.#machines.get(id.toLowerCase()) : undefined;
    if (found === undefined) throw notFound(`Machine ${id} was not found`);
    return found;
  }

  /**
   * Those seen with an internal address a quarter of an hour before or after a moment.
   * @throws Refusal 400 for a moment that is not in the past 30 days
   */
  seenWith(ip: string, timestamp: string): readonly Machine[] {
    const at = Date.parse(timestamp);
    const now = this.clock.now();
    // Clocks differ: what is a minute ahead is meant to be now.
    if (Number.isNaN(at) || at > now + 60_000 || at < now - 30 * DAY_MS)
      throw badRequest('InvalidInput', 'The timestamp must be in the past 30 days');
    return this.all().filter(
      (machine) => machine.ip === ip && Math.abs(Math.min(this.#seenAt(machine), at) - at) <= 15 * 60_000,
    );
  }

  shown(machine: Machine) {
    const { id, computerDnsName, ip, osPlatform, aadDeviceId, onboardingStatus } = machine;
    return {
      id,
      mergedIntoMachineId: null,
      computerDnsName,
      firstSeen: shownTime(machine.firstSeenAt),
      lastSeen: shownTime(this.#seenAt(machine)),
      osPlatform,
      osVersion: null,
      osProcessor: 'x64',
      version: osPlatform.startsWith('Windows') ? '23H2' : 'Other',
      lastIpAddress: ip,
      lastExternalIpAddress: '203.0.113.17',
      agentVersion: '10.8750.26100.1742',
      osBuild: osPlatform.startsWith('Windows') ? 22_631 : null,
      healthStatus:
        machine.lastSeenAt === null && onboardingStatus === 'Onboarded'
          ? 'Active'
          : onboardingStatus === 'CanBeOnboarded'
            ? 'Unknown'
            : 'Inactive',
      deviceValue: 'Normal',
      rbacGroupId: 140,
      rbacGroupName: 'The-A-Team',
      riskScore: 'Low',
      exposureLevel: 'Medium',
      isAadJoined: aadDeviceId !== null,
      aadDeviceId,
      machineTags: [],
      onboardingStatus,
      defenderAvStatus: 'Updated',
      ipAddresses: [{ ipAddress: ip, macAddress: '02A0C9000001', type: 'Ethernet', operationalStatus: 'Up' }],
    };
  }

  #seenAt(machine: Machine): number {
    return machine.lastSeenAt ?? this.clock.now();
  }
}
