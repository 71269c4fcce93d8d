import path from 'node:path';
import { readLedgerFile } from '../simulators/ledger-file.js';
import type { Behaviour, Fault } from '../simulators/defender/behaviour.js';
import type { Fact } from '../simulators/defender/referee.js';
import { DEFAULT_APP, DEFAULT_TENANT } from '../simulators/defender/simulator.js';
import { startDefender, type RunningDefender } from '../simulators/defender/start.js';
import type { Random } from '../support/random.js';
import type { Effect } from './evidence.js';
import type { AskedFor, CampaignVendor } from './vendor.js';

/** The variable that holds the simulator's secret. */
export const DEFENDER_SECRET = 'DEFENDER_CLIENT_SECRET';

/** So fast the vendor's time passes: its hour is 18 s, so that a campaign is not the wait for its quota. */
const SPEED = 200;
/** The quota at that speed. The minute's is stricter than it has to be: the shortest window there is. */
const WINDOWS = [
  { calls: 100, perSeconds: 1 },
  { calls: 1500, perSeconds: 3600 / SPEED },
];
const POLL_EVERY_MS = 500;
/** The calls that begin something. */
const BEGIN = ['isolate', 'runAntiVirusScan', 'setIndicator'] as const;

interface Day {
  readonly faults: readonly Fault[];
  /** Milliseconds on the wall until what was made is shown. */
  readonly visibleAfterMs?: number;
  readonly behaviour?: Partial<Behaviour>;
}

const ORDINARY: readonly Fault[] = [
  ...begin('cutAfter', 0.01),
  ...begin('hangAfter', 0.005),
  { call: '*', how: 'throttle', share: 0.02 },
  { call: '*', how: 'error', status: 503, share: 0.01 },
];

const BAD_DAYS: Readonly<Record<string, Day>> = {
  'does it, and cuts the connection': { faults: begin('cutAfter', 0.5) },
  'does it, and answers 500': { faults: begin('errorAfter', 0.5) },
  'does it, and never answers': { faults: begin('hangAfter', 0.3) },
  'does it, and answers garbage': { faults: begin('garbage', 0.5) },
  'answers 500 and 503, and does nothing': {
    faults: [
      { call: '*', how: 'error', share: 0.3 },
      { call: '*', how: 'error', status: 503, share: 0.2 },
    ],
  },
  'has a storm of 429': { faults: [{ call: '*', how: 'throttle', share: 0.9 }] },
  'lets tokens expire, and gives out few': {
    faults: [
      { call: '*', how: 'expireToken', share: 0.3 },
      { call: 'token', how: 'error', status: 503, share: 0.5 },
    ],
  },
  'shows what it did after 4 s, and cuts connections': {
    faults: begin('cutAfter', 0.3),
    visibleAfterMs: 4000,
  },
  // Longer than anybody looks for it.
  'shows what it did after 15 s, and cuts connections': {
    faults: begin('cutAfter', 0.3),
    visibleAfterMs: 15_000,
  },
  'fails polls, look-ups and cancels': {
    faults: [
      ...['getAction', 'listActions', 'listIndicators'].flatMap((call): Fault[] => [
        { call, how: 'error', share: 0.4 },
        { call, how: 'garbage', share: 0.2 },
      ]),
      { call: 'cancel', how: 'error', share: 0.4 },
      { call: 'cancel', how: 'cutAfter', share: 0.3 },
    ],
  },
  'goes on with what it was to cancel, and says statuses nobody knows': {
    faults: [],
    behaviour: { lateCancel: 'finishes', shownStatus: 'Queued' },
  },
};

/** Defender for Endpoint, simulated. */
export class DefenderVendor implements CampaignVendor {
  readonly vendorInformation = { vendor: 'Microsoft', provider: 'Microsoft Defender for Endpoint' };

  private constructor(
    readonly process: RunningDefender,
    readonly ledgerFile: string,
  ) {}

  static async start({
    seed,
    dir,
  }: {
    readonly seed: number;
    readonly dir: string;
  }): Promise<DefenderVendor> {
    const ledgerFile = path.join(dir, 'defender.jsonl');
    return new DefenderVendor(await startDefender({ speed: SPEED, seed, ledgerFile }), ledgerFile);
  }

  get baseUrl(): string {
    return this.process.baseUrl;
  }

  get instance(): object {
    const { baseUrl } = this;
    return {
      plugin: 'defender',
      settings: {
        tenantId: DEFAULT_TENANT,
        clientId: DEFAULT_APP,
        baseUrl,
        loginUrl: baseUrl,
        pollEveryMs: POLL_EVERY_MS,
      },
      secrets: { clientSecret: `env:${DEFENDER_SECRET}` },
      // A campaign isolates more machines than anybody should.
      limits: { windows: WINDOWS, blastRadius: { isolation: { perHour: 10_000 } } },
    };
  }

  async ask(turn: number, random: Random): Promise<AskedFor> {
    const kind = random.between(1, 100);
    if (kind <= 30)
      return {
        name: 'BlockIp',
        parameters: { IP: `${11 + ((turn >> 16) & 15)}.${(turn >> 8) & 255}.${turn & 255}.1` },
      };
    const { id } = (await this.process.control('POST', '/machines', {
      computerDnsName: `turn-${turn}.contoso.com`,
    })) as { readonly id: string };
    return { name: kind <= 70 ? 'IsolateMachine' : 'RunAntivirusScan', parameters: { MachineId: id } };
  }

  ordinaryDay(): Promise<void> {
    return this.#live({ faults: [] });
  }

  async badDay(random: Random): Promise<string> {
    const [what, day] = random.pick(Object.entries(BAD_DAYS));
    await this.#live(day);
    return what;
  }

  /** A machine action is carried out when it is made: from then on only its cancel keeps it from taking effect. */
  ledger(): readonly Effect[] {
    const keys = new Map<string, string>();
    const set = new Set<string>();
    const facts = readLedgerFile(this.ledgerFile) as readonly (Fact & { readonly at: string })[];
    return facts.flatMap((fact): readonly Effect[] => {
      const at = Date.parse(fact.at);
      switch (fact.event) {
        case 'created': {
          const key = keyOf(fact.marker);
          keys.set(fact.actionId, key);
          return [{ event: 'executed', key, at }];
        }
        case 'cancelled':
          return [{ event: 'cancelled', key: keys.get(fact.actionId) ?? fact.actionId, at }];
        case 'indicatorSet': {
          const key = keyOf(fact.marker);
          // There is one indicator of a value: to set it once more, the same, changes nothing.
          const again = set.has(`${key} ${fact.value} ${fact.action}`);
          set.add(`${key} ${fact.value} ${fact.action}`);
          return again ? [] : [{ event: 'executed', key, at }];
        }
        case 'indicatorRemoved':
          return [{ event: 'undone', key: keyOf(fact.marker), at }];
        case 'misbehaved':
          return [{ event: 'misbehaved', key: keyOf(fact.marker), at }];
        case 'applied':
          return [];
      }
    });
  }

  stop(): Promise<void> {
    return this.process.stop();
  }

  async #live({ faults, visibleAfterMs = 0, behaviour = {} }: Day): Promise<void> {
    await this.process.control('PUT', '/behaviour', {
      // A scan or an isolation takes 3 s on the wall, and every answer 200 ms.
      pendingMs: 1000 * SPEED,
      runningMs: 2000 * SPEED,
      latencyMs: 200 * SPEED,
      visibleAfterMs: visibleAfterMs * SPEED,
      lateCancel: 'cancelled',
      shownStatus: null,
      ...behaviour,
    });
    await this.process.control('DELETE', '/faults');
    await this.process.control('POST', '/faults', [...faults, ...ORDINARY]);
  }
}

function begin(how: Fault['how'], share: number): readonly Fault[] {
  return BEGIN.map((call) => ({ call, how, share }));
}

/** The id of the product's action that a marker names. What has none was not done by it. */
function keyOf(marker: string | null): string {
  return marker?.split(':')[0] ?? 'nobody';
}
