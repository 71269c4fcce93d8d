import { ProviderError, type LedgerEntry } from '#provider-sdk';
import type { DeviceEntry, FirewallDriver, ListChanges } from './driver.js';

/** True for an entry that is in the feed: noted as written, and still wanted. */
export function isPublished({ owners, written }: LedgerEntry): boolean {
  return owners > 0 && written === 'yes';
}

/**
 * A list of a feed while it is written, in the place of a device. What it takes is published when the list writer notes
 * it in the ledger; what nobody wants any more is not in it, noted or not.
 */
export class Publication implements Pick<FirewallDriver, 'read' | 'write'> {
  readonly #values: Set<string>;
  readonly #most: number;

  constructor(noted: readonly LedgerEntry[], most: number) {
    this.#values = new Set(noted.filter(isPublished).map(({ value }) => value));
    this.#most = most;
  }

  read(): Promise<readonly DeviceEntry[]> {
    return Promise.resolve([...this.#values].map((value) => ({ value, leftMs: null })));
  }

  write(
    _context: unknown,
    list: string,
    { remove, add }: ListChanges,
  ): Promise<ReadonlyMap<string, ProviderError>> {
    for (const value of remove) this.#values.delete(value);
    const failures = new Map<string, ProviderError>();
    for (const { value } of add) {
      if (this.#values.size < this.#most || this.#values.has(value)) this.#values.add(value);
      else failures.set(value, full(list, this.#most));
    }
    return Promise.resolve(failures);
  }
}

function full(list: string, most: number): ProviderError {
  return new ProviderError(
    'capacity',
    `The feed ${list} has ${most} entries, as many as it may have. Undo blocks that are not needed any more, or raise settings.maxEntries as far as every firewall that fetches it can hold.`,
  );
}
