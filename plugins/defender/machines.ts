import { isIP } from 'node:net';
import { ProviderError, Type, type Json, type Static } from '#provider-sdk';
import { READ_MACHINES, maybeText, quoted, type Context, type DefenderApi } from './defender-api.js';

const machineSchema = Type.Object({
  id: Type.String({ minLength: 1 }),
  computerDnsName: maybeText,
  osPlatform: maybeText,
  healthStatus: maybeText,
  onboardingStatus: maybeText,
  lastSeen: maybeText,
  lastIpAddress: maybeText,
});
export type Machine = Static<typeof machineSchema>;

const machineList = Type.Object({ value: Type.Array(machineSchema) });

const MACHINE_ID = /^[0-9a-f]{40}$/i;
const ENTRA_DEVICE_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** As many of several machines of one name are named in a message. */
const MOST_NAMED = 5;
/** `findbyip` refuses times to come, and clocks differ. */
const CLOCKS_DIFFER_MS = 60_000;

/** Finds the one machine that a caller means: by Defender's id, DNS name, or internal IP address of the last minutes. */
export class Machines {
  constructor(readonly api: DefenderApi) {}

  /**
   * The id of the machine that is meant. One that looks like an id is taken for one: Defender itself says whether it is.
   *
   * @throws ProviderError `targetNotFound`, or `ambiguousTarget` naming the candidates: of several machines none is
   *   chosen, for the wrong one must not be acted upon
   */
  async idOf(context: Context, given: string): Promise<string> {
    return MACHINE_ID.test(given) ? given.toLowerCase() : (await this.#search(context, given)).id;
  }

  /**
   * The machine as Defender knows it.
   * @throws as `idOf`
   */
  async find(context: Context, given: string): Promise<Machine> {
    if (!MACHINE_ID.test(given)) return this.#search(context, given);
    const { status, body } = await this.api.request(context, {
      method: 'GET',
      path: `/machines/${given.toLowerCase()}`,
      answer: machineSchema,
      accept: [404],
      needs: READ_MACHINES,
    });
    if (status === 404) throw unknownMachine(given, 'by this id');
    return body;
  }

  async #search(context: Context, given: string): Promise<Machine> {
    refuseEntraId(given);
    if (isIP(given) !== 0) return this.#byAddress(context, given);
    const exact = await this.#list(context, `computerDnsName eq ${quoted(given.toLowerCase())}`);
    // Whoever gives a short name rarely knows that Defender has the full one.
    const found =
      exact.length > 0 || given.includes('.')
        ? exact
        : await this.#list(context, `startswith(computerDnsName,${quoted(`${given.toLowerCase()}.`)})`);
    return only(found, given, 'by this DNS name');
  }

  async #byAddress(context: Context, ip: string): Promise<Machine> {
    const at = new Date(Date.now() - CLOCKS_DIFFER_MS).toISOString();
    const { body } = await this.api.request(context, {
      method: 'GET',
      path: `/machines/findbyip(ip='${encodeURIComponent(ip)}',timestamp=${at})`,
      answer: machineList,
      needs: READ_MACHINES,
    });
    return only(body.value, ip, 'with this internal IP address in the last 15 minutes');
  }

  async #list(context: Context, filter: string): Promise<readonly Machine[]> {
    const { body } = await this.api.request(context, {
      method: 'GET',
      path: '/machines',
      query: { $filter: filter },
      answer: machineList,
      needs: READ_MACHINES,
    });
    return body.value;
  }
}

/** @throws ProviderError `invalidInput`: with it others were led to the wrong machine, and crashed where there is none */
export function refuseEntraId(given: string): void {
  if (!ENTRA_DEVICE_ID.test(given)) return;
  throw new ProviderError(
    'invalidInput',
    `"${given}" looks like the device id of Entra ID, which Defender does not take. Give Defender's machine id (40 hex digits), the DNS name or the IP address.`,
  );
}

function only(found: readonly Machine[], given: string, how: string): Machine {
  const [machine, ...others] = found;
  if (machine === undefined) throw unknownMachine(given, how);
  if (others.length === 0) return machine;
  const named = found.slice(0, MOST_NAMED).map(described).join('; ');
  const more = found.length > MOST_NAMED ? `; and ${found.length - MOST_NAMED} more` : '';
  throw new ProviderError(
    'ambiguousTarget',
    `Defender knows ${found.length} machines as "${given}", and none is chosen by guess. Ask again with the id of the one that is meant: ${named}${more}.`,
  );
}

function unknownMachine(given: string, how: string): ProviderError {
  return new ProviderError(
    'targetNotFound',
    `Defender knows no machine "${given}" ${how}. Check the spelling, that it is onboarded in this tenant, or give its machine id (40 hex digits, in the address of its page in the Defender portal).`,
    { httpStatus: 404 },
  );
}

function described({ id, computerDnsName, onboardingStatus, healthStatus, lastSeen }: Machine): string {
  const facts = [computerDnsName, onboardingStatus, healthStatus, `last seen ${lastSeen ?? 'never'}`];
  return `${id} (${facts.filter((fact) => typeof fact === 'string' && fact !== '').join(', ')})`;
}

/** What a plan and a result show of a machine. */
export function shownMachine({ id, computerDnsName, osPlatform, healthStatus, lastSeen }: Machine): Json {
  return {
    machineId: id,
    computerDnsName: computerDnsName ?? null,
    osPlatform: osPlatform ?? null,
    healthStatus: healthStatus ?? null,
    lastSeen: lastSeen ?? null,
  };
}
