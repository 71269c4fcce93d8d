import type {
  EntryLedger,
  EntryNote,
  EntryOwner,
  EntryWritten,
  HeldList,
  LedgerEntry,
  ListReader,
  Held,
  NewOwner,
} from '#domain';

interface Owner extends EntryOwner {
  /** Milliseconds since the epoch until which it is an owner without having been settled. */
  claim: number;
}

interface Entry {
  owners: Owner[];
  readonly released: Set<string>;
  revision: number;
  written: EntryWritten;
  handle?: string | null;
}

/** `EntryLedger` in memory, for plugins on the bench: as durable as the bench. */
export class MemoryLedger implements EntryLedger {
  readonly #lists = new Map<string, Map<string, Entry>>();
  readonly #turns = new Map<string, Promise<unknown>>();

  hold(list: string, value: string, { claimMs, ...owner }: NewOwner): Promise<Held | null> {
    const entry = this.#entry(list, value);
    if (entry.released.has(owner.actionId)) return Promise.resolve(null);
    const before = entry.owners.find(({ actionId }) => actionId === owner.actionId);
    const isAsBefore =
      before !== undefined && before.until?.getTime() === owner.until?.getTime() && before.claim > Date.now();
    const claim = before?.claim === Infinity ? Infinity : Date.now() + claimMs;
    const me = { ...owner, claim };
    entry.owners =
      before === undefined ? [...entry.owners, me] : entry.owners.map((one) => (one === before ? me : one));
    if (!isAsBefore) entry.revision += 1;
    const isShared = entry.owners.some((one) => one !== me && one.claim === Infinity);
    return Promise.resolve({ revision: entry.revision, isShared });
  }

  settle(list: string, value: string, actionId: string): Promise<void> {
    for (const owner of this.#entry(list, value).owners)
      if (owner.actionId === actionId) owner.claim = Infinity;
    return Promise.resolve();
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

  all(): Promise<readonly (LedgerEntry & { readonly list: string })[]> {
    return Promise.resolve(
      [...this.#lists.keys()].flatMap((list) => this.#all(list).map((entry) => ({ ...entry, list }))),
    );
  }

  /** Nobody fetches on the bench. */
  readers(): Promise<readonly ListReader[]> {
    return Promise.resolve([]);
  }

  handles(list: string): Promise<ReadonlyMap<string, string>> {
    const entries = [...(this.#lists.get(list) ?? [])];
    return Promise.resolve(
      new Map(entries.flatMap(([value, { handle = null }]) => (handle === null ? [] : [[value, handle]]))),
    );
  }

  keepHandle(list: string, value: string, handle: string | null): Promise<void> {
    this.#entry(list, value).handle = handle;
    return Promise.resolve();
  }

  async asOnlyWriter<T>(list: string, signal: AbortSignal, work: (held: HeldList) => Promise<T>): Promise<T> {
    return this.#inTurn(list, signal, work, new Promise<never>(() => undefined));
  }

  /** The same entries, for a call of a worker that may die: with it, its turn as the only writer ends. */
  ofWorker(died: Promise<void>): EntryLedger {
    return {
      hold: (list, value, owner) => this.hold(list, value, owner),
      settle: (list, value, actionId) => this.settle(list, value, actionId),
      release: (list, value, whose) => this.release(list, value, whose),
      entry: (list, value) => this.entry(list, value),
      lists: () => this.lists(),
      all: () => this.all(),
      readers: () => this.readers(),
      handles: (list) => this.handles(list),
      keepHandle: (list, value, handle) => this.keepHandle(list, value, handle),
      asOnlyWriter: (list, signal, work) => this.#inTurn(list, signal, work, died),
    };
  }

  async #inTurn<T>(
    list: string,
    signal: AbortSignal,
    work: (held: HeldList) => Promise<T>,
    died: Promise<void>,
  ): Promise<T> {
    const before = this.#turns.get(list) ?? Promise.resolve();
    const turn = before.then(() => {
      signal.throwIfAborted();
      return work({
        signal,
        entries: () => Promise.resolve(this.#all(list)),
        note: (notes) => this.#note(list, notes),
      });
    });
    this.#turns.set(list, Promise.race([turn.catch(() => undefined), died]));
    return turn;
  }

  #note(list: string, notes: readonly EntryNote[]): Promise<void> {
    for (const { value, written } of notes) this.#entry(list, value).written = written;
    return Promise.resolve();
  }

  #all(list: string): readonly LedgerEntry[] {
    return [...(this.#lists.get(list) ?? [])]
      .map(([value, { owners, revision, written }]) => {
        const alive = owners.filter(
          ({ until, claim }) => (until === null || until.getTime() > Date.now()) && claim > Date.now(),
        );
        const ends = alive.map(({ until }) => until?.getTime() ?? Infinity);
        const last = Math.max(0, ...ends);
        return {
          value,
          owners: alive.length,
          settled: alive.filter(({ claim }) => claim === Infinity).length,
          leftMs: alive.length === 0 || last === Infinity ? null : last - Date.now(),
          revision,
          written,
          forms: alive.flatMap(({ actionId, tenantId, until, claim, form }) =>
            form === undefined ? [] : [{ actionId, tenantId, until, form, isSettled: claim === Infinity }],
          ),
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
