import { lookup } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { ProviderError } from './errors.js';
import { CANONICAL } from './indicators.js';
import { literalOf } from './network-guard.js';

/** How a name is looked up. @throws where it is not found */
export type ResolveHost = (name: string) => Promise<readonly { readonly address: string }[]>;

/** Milliseconds a name may take to be looked up. */
const LOOKUP_MS = 3000;
/** Milliseconds an answer is gone by. */
const FRESH_MS = 60_000;
/** Milliseconds an address counts on after it was last among the answers: of a name with many, each answer has some. */
const KEPT_MS = 86_400_000;
const MOST_NAMES = 1000;

/**
 * What the names of a vendor's hosts stand for, for `BlockRailsOptions.vendorHosts`. Keep one for all calls of a plugin:
 * it asks again after a minute, and knows an address for a day after it was last told.
 */
export class HostAddresses {
  /** By name, when each address was last told: milliseconds of `Date.now`. */
  readonly #known: LRUCache<string, ReadonlyMap<string, number>>;

  /**
   * @param resolve Default: as the system does
   * @param freshMs milliseconds until a name is looked up again. Default 60,000
   */
  constructor(resolve: ResolveHost = (name) => lookup(name, { all: true }), freshMs = FRESH_MS) {
    this.#known = new LRUCache({
      max: MOST_NAMES,
      ttl: freshMs,
      fetchMethod: async (name, before) => {
        const now = Date.now();
        const kept = [...(before ?? [])].filter(([, toldAt]) => now - toldAt < KEPT_MS);
        try {
          const found = await withinTime(resolve(name));
          return new Map([...kept, ...found.map(({ address }) => [withoutZone(address), now] as const)]);
        } catch (error) {
          // While it cannot be looked up, what was told last stands, however long ago.
          if (before !== undefined) return before;
          throw error;
        }
      },
    });
  }

  /**
   * The hosts, and after each name the addresses that it stands for.
   *
   * @param hosts names, addresses and networks, or the URLs that they are in
   * @throws ProviderError `unreachable` for a name that cannot be looked up and never could be: what it stands for is not
   *   known then, so that nothing can be told to be none of it. Who is called by that name cannot be called either
   */
  async of(hosts: readonly string[]): Promise<readonly string[]> {
    const all = hosts.map(async (given) => {
      const host = URL.canParse(given) && given.includes('://') ? new URL(given).hostname : given;
      if (literalOf(host) !== null || CANONICAL.cidr(host) !== null) return [host];
      return [host, ...(await this.#addressesOf(host.toLowerCase()))];
    });
    return (await Promise.all(all)).flat();
  }

  async #addressesOf(name: string): Promise<readonly string[]> {
    try {
      return [...((await this.#known.fetch(name)) ?? new Map<string, number>()).keys()];
    } catch (cause) {
      const { code = 'no answer' } = cause as NodeJS.ErrnoException;
      throw new ProviderError(
        'unreachable',
        `The vendor's host ${name} cannot be looked up (${code}), so it is not known which addresses may not be blocked because it has them; nothing was sent. Mend the name service of this worker, or give the host by its address.`,
        { cause: new Error(code) },
      );
    }
  }
}

async function withinTime<T>(answer: Promise<T>): Promise<T> {
  const late = new AbortController();
  const timeout = sleep(LOOKUP_MS, undefined, { ref: false, signal: late.signal }).then(() => {
    throw Object.assign(new Error('no answer in time'), { code: 'ETIMEOUT' });
  });
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    timeout.catch(() => undefined);
    late.abort();
  }
}

function withoutZone(address: string): string {
  return address.replace(/%.*/s, '');
}
