import type {
  EntryLedger,
  EntryNote,
  EntryOwner,
  EntryWritten,
  HeldList,
  LedgerEntry,
  ListReader,
} from '#domain';

interface Entry {
  owners: EntryOwner[];
  readonly released: Set<string>;
  revision: number;
  written: EntryWritten;
}

/** `EntryLedger` in memory, for plugins on the bench: as durable as the bench. */
export class MemoryLedger implements EntryLedger {
  readonly #lists = new Map<string, Map<string, Entry>>();
  readonly #turns = new Map<string, Promise<unknown>>();

  hold(list: string, value: string, owner: EntryOwner): Promise<number | null> {
    const entry = this.#entry(list, value);
    if (entry.released.has(owner.actionId)) return Promise.resolve(null);
    const before = entry.owners.find(({ actionId }) => actionId === owner.actionId);
    if (before?.until?.getTime() !== owner.until?.getTime() || before === undefined) {
      entry.owners = [...entry.owners.filter((one) => one !== before), owner];
      entry.revision += 1;
    }
    return Promise.resolve(entry.revision);
  }

  release(
    list: string,
    value: string,
    whose: { readonly actionId: string } | { readonly tenantId: string },
  ): Promise<{ readonly left: number; readonly stay: number }> {
    const entry = this.#entry(list, value);
    const leaving = entry.owners.filter((owner) =>
      'actionId' in whose ? owner.actionId === whose.actionId : owner.tenantId === whose.tenantId,
    );
    for (const { actionId } of leaving) entry.released.add(actionId);
    if ('actionId' in whose) entry.released.add(whose.actionId);
    entry.owners = entry.owners.filter((owner) => !leaving.includes(owner));
    if (leaving.length > 0) entry.revision += 1;
    return Promise.resolve({ left: leaving.length, stay: entry.owners.length });
  }

  entry(list: string, value: string): Promise<LedgerEntry | null> {
    return Promise.resolve(this.#all(list).find((entry) => entry.value === value) ?? null);
  }

  lists(): Promise<readonly string[]> {
    return Promise.resolve([...this.#lists.keys()].filter((list) => this.#all(list).length > 0));
  }

  /** Nobody fetches on the bench. */
  readers(): Promise<readonly ListReader[]> {
    return Promise.resolve([]);
  }

  async asOnlyWriter<T>(list: string, signal: AbortSignal, work: (held: HeldList) => Promise<T>): Promise<T> {
    const before = this.#turns.get(list) ?? Promise.resolve();
    const turn = before.then(() => {
      signal.throwIfAborted();
      return work({
        signal,
        entries: () => Promise.resolve(this.#all(list)),
        note: (notes) => this.#note(list, notes),
      });
    });
    this.#turns.set(
      list,
      turn.catch(() => undefined),
    );
    return turn;
  }

  #note(list: string, notes: readonly EntryNote[]): Promise<void> {
    for (const { value, written } of notes) this.#entry(list, value).written = written;
    return Promise.resolve();
  }

  #all(list: string): readonly LedgerEntry[] {
    return [...(this.#lists.get(list) ?? [])]
      .map(([value, { owners, revision, written }]) => {
        const alive = owners.filter(({ until }) => until === null || until.getTime() > Date.now());
        const ends = alive.map(({ until }) => until?.getTime() ?? Infinity);
        const last = Math.max(0, ...ends);
        return {
          value,
          owners: alive.length,
          leftMs: alive.length === 0 || last === Infinity ? null : last - Date.now(),
          revision,
          written,
        };
      })
      .filter(({ owners, written }) => owners > 0 || written !== 'no');
  }

  #entry(list: string, value: string): Entry {
    const entries = this.#lists.get(list) ?? new Map<string, Entry>();
    this.#lists.set(list, entries);
    const entry = entries.get(value) ?? { owners: [], released: new Set(), revision: 0, written: 'no' };
    entries.set(value, entry);
    return entry;
  }
}
