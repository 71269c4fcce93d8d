import {
  ProviderError,
  type EntryLedger,
  type EntryNote,
  type HeldList,
  type LedgerEntry,
} from '#provider-sdk';
import { Coverage } from './coverage.js';
import type {
  DeviceEntry,
  DriverContext,
  FirewallDriver,
  FirewallFeed,
  FirewallLists,
  NewEntry,
} from './driver.js';
import { Publication } from './publication.js';

/** How an entry stands after its list was written. */
export type EntryState =
  /** It is there, and Riposte's. */
  | { readonly kind: 'written'; readonly isNew: boolean }
  /** It was there before Riposte wanted it. */
  | { readonly kind: 'foreign' }
  /** A wider one holds it. */
  | { readonly kind: 'covered'; readonly by: string }
  /** Nothing of Riposte's is there. `isLeft`: the device has it, and it is not ours to take away. */
  | { readonly kind: 'gone'; readonly isLeft: boolean }
  | { readonly kind: 'failed'; readonly error: ProviderError };

/** What one writing of a list found and did. */
export interface Written {
  readonly states: ReadonlyMap<string, EntryState>;
  readonly checked: number;
  readonly added: number;
  readonly removed: number;
  /** Of the list as a whole. */
  readonly problems: readonly string[];
}

/** Milliseconds by which a device's time may differ from the wanted one before it is set again. */
const TIME_DIFFERS_MS = 5000;

/** What has to change on a device, and what is known of each entry then. */
export interface Difference {
  readonly remove: readonly string[];
  readonly add: readonly NewEntry[];
  readonly states: ReadonlyMap<string, EntryState>;
}

/**
 * Compares what is wanted with what is there. Removes only what Riposte wrote: never what was there before it.
 *
 * @param marked for maintenance: entries that nobody knows of and that the device itself shows to be Riposte's are removed,
 * and what only actions under way want is left to them
 */
export function difference(
  wanted: readonly LedgerEntry[],
  device: readonly DeviceEntry[],
  driver: Pick<FirewallLists, 'expires' | 'covers' | 'longestMs'>,
  marked = false,
): Difference {
  const there = new Map(device.map((entry) => [entry.value, entry]));
  const known = new Map(wanted.map((entry) => [entry.value, entry]));
  const isOurs = ({ value, written }: LedgerEntry): boolean =>
    there.has(value) &&
    (written === 'yes' ||
      written === 'intended' ||
      (written === 'no' && there.get(value)?.isMarked === true));
  const foreign = device.filter(({ value, isMarked }) => {
    const entry = known.get(value);
    return entry === undefined ? isMarked !== true || !marked : !isOurs(entry);
  });
  const live = wanted.filter(({ owners }) => owners > 0);
  const covering = driver.covers
    ? new Coverage([...live.map(({ value }) => value), ...foreign.map(({ value }) => value)])
    : null;
  const remove: string[] = [];
  const add: NewEntry[] = [];
  const states = new Map<string, EntryState>();
  const { longestMs = Infinity } = driver;
  for (const entry of wanted) {
    const { value } = entry;
    // Taken away by us, or given its time when that is near enough.
    const leftMs = entry.leftMs !== null && entry.leftMs > longestMs ? null : entry.leftMs;
    const ours = isOurs(entry);
    if (entry.owners === 0) {
      if (ours) remove.push(value);
      states.set(value, { kind: 'gone', isLeft: there.has(value) && !ours });
      continue;
    }
    const by = covering?.wider(value) ?? null;
    if (by !== null) {
      if (ours) remove.push(value);
      states.set(value, { kind: 'covered', by });
      continue;
    }
    const now = there.get(value);
    if (now !== undefined && !ours) {
      states.set(value, { kind: 'foreign' });
      continue;
    }
    // An action that is under way writes for itself: it may have failed since.
    if (marked && now === undefined && entry.settled === 0) {
      states.set(value, { kind: 'gone', isLeft: false });
      continue;
    }
    states.set(value, { kind: 'written', isNew: now === undefined });
    if (now === undefined || (driver.expires && hasOtherTime(now.leftMs, leftMs)))
      add.push({ value, leftMs });
  }
  if (marked)
    for (const { value, isMarked } of device) if (isMarked === true && !known.has(value)) remove.push(value);
  return { remove, add, states };
}

function hasOtherTime(nowMs: number | null | undefined, wantedMs: number | null): boolean {
  if (nowMs === undefined) return false;
  if (nowMs === null || wantedMs === null) return nowMs !== wantedMs;
  return Math.abs(nowMs - wantedMs) > TIME_DIFFERS_MS;
}

/**
 * Brings the lists of one driver's devices to what their ledgers say. One writer at a time writes a list, in this
 * process and among all; what comes meanwhile waits and is written together, so that a burst costs one batch.
 */
export class ListWriter<Settings> {
  readonly #driver: FirewallDriver<Settings> | FirewallFeed<Settings>;
  /** By instance and list, the writing that has not begun yet. */
  readonly #next = new Map<string, Promise<Written>>();
  readonly #current = new Map<string, Promise<unknown>>();

  constructor(driver: FirewallDriver<Settings> | FirewallFeed<Settings>) {
    this.#driver = driver;
  }

  /**
   * Writes a list, with all that was noted in the ledger before this call.
   *
   * @throws ProviderError as the driver's, or `unknownOutcome` when the device does not have what it confirmed
   */
  async write(context: DriverContext<Settings>, ledger: EntryLedger, list: string): Promise<Written> {
    const key = `${context.instance}\n${list}`;
    for (;;) {
      const joined = this.#next.get(key);
      if (joined === undefined) return this.#lead(key, context, ledger, list);
      try {
        return await unlessStopped(joined, context.signal);
      } catch (error) {
        // Who led was stopped. That is no answer for who has not been.
        if (context.signal.aborted || error instanceof ProviderError) throw error;
      }
    }
  }

  /** As {@link write}; also restores what the device lost, and removes what it shows to be Riposte's and nobody knows of. */
  maintain(context: DriverContext<Settings>, ledger: EntryLedger, list: string): Promise<Written> {
    return ledger.asOnlyWriter(list, context.signal, (held) => this.#bring(context, list, held, true));
  }

  async #lead(
    key: string,
    context: DriverContext<Settings>,
    ledger: EntryLedger,
    list: string,
  ): Promise<Written> {
    const before = this.#current.get(key) ?? Promise.resolve();
    const writing = (async () => {
      await unlessStopped(
        before.catch(() => undefined),
        context.signal,
      );
      return ledger.asOnlyWriter(list, context.signal, (held) => {
        // From here on the ledger is read: who comes now is written by the next.
        this.#next.delete(key);
        return this.#bring(context, list, held, false);
      });
    })();
    this.#next.set(key, writing);
    this.#current.set(key, writing);
    try {
      return await writing;
    } finally {
      if (this.#next.get(key) === writing) this.#next.delete(key);
      if (this.#current.get(key) === writing) this.#current.delete(key);
    }
  }

  async #bring(
    context: DriverContext<Settings>,
    list: string,
    held: HeldList,
    marked: boolean,
  ): Promise<Written> {
    const driver = this.#driver;
    const own = { ...context, signal: held.signal };
    const wanted = await held.entries();
    const device: Pick<
      FirewallDriver<Settings>,
      'read' | 'write' | 'restore' | 'killStates'
    > = 'mostEntries' in driver ? new Publication(wanted, driver.mostEntries(own.settings)) : driver;
    const live = wanted.flatMap(({ value, owners }) => (owners > 0 ? [value] : []));
    const restored = marked ? await restoredOf(device.restore?.(own, list, live)) : NOTHING_RESTORED;
    const found = difference(wanted, await device.read(own, list), driver, marked);
    const states = new Map(found.states);
    const isAdded = new Set(found.add.map(({ value }) => value));
    if (found.add.length + found.remove.length > 0) {
      // If we die now, what is there is known to be ours.
      await held.note(
        wanted
          .filter(({ value }) => isAdded.has(value))
          .map(({ value, revision }) => ({ value, revision, written: 'intended' as const })),
      );
      held.signal.throwIfAborted();
      const failures = await device.write(own, list, { remove: found.remove, add: found.add });
      const after = new Set((await device.read(own, list)).map(({ value }) => value));
      for (const { value } of found.add) {
        const error = failures.get(value) ?? (after.has(value) ? undefined : unconfirmed('accepted', value));
        if (error !== undefined) states.set(value, { kind: 'failed', error });
      }
      for (const value of found.remove) {
        const error = failures.get(value) ?? (after.has(value) ? unconfirmed('removed', value) : undefined);
        if (error !== undefined) states.set(value, { kind: 'failed', error });
      }
      if (device.killStates !== undefined && found.add.length > 0)
        await device
          .killStates(
            own,
            [...isAdded].filter((value) => states.get(value)?.kind === 'written'),
          )
          .catch((error: unknown) =>
            context.log.warn({ error: String(error) }, 'what is under way could not be ended'),
          );
    }
    await held.note(
      wanted.flatMap((entry): readonly EntryNote[] => {
        const state = states.get(entry.value);
        const written = state === undefined ? entry.written : writtenOf(state, entry);
        const isDone = entry.owners === 0 && written === 'no';
        return written === entry.written && !isDone && !isAdded.has(entry.value)
          ? []
          : [{ value: entry.value, revision: entry.revision, written }];
      }),
    );
    const failed = new Set([...states].flatMap(([value, { kind }]) => (kind === 'failed' ? [value] : [])));
    return {
      states,
      checked: wanted.length,
      added: restored.values.length + found.add.filter(({ value }) => !failed.has(value)).length,
      removed: found.remove.filter((value) => !failed.has(value)).length,
      problems: restored.problems,
    };
  }
}

const NOTHING_RESTORED = { values: [], problems: [] } as const;

/** What could not be restored keeps nothing else from being written. */
async function restoredOf(
  restoring: Promise<readonly string[]> | undefined,
): Promise<{ readonly values: readonly string[]; readonly problems: readonly string[] }> {
  try {
    return { values: (await restoring) ?? [], problems: [] };
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    return { values: [], problems: [error.message] };
  }
}

/** @throws the signal's reason as soon as it is aborted: what goes on meanwhile is another call's. */
async function unlessStopped<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let stop: (() => void) | undefined;
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    if (stop !== undefined) signal.removeEventListener('abort', stop);
  }
}

function writtenOf(state: EntryState, { written }: LedgerEntry): EntryNote['written'] {
  switch (state.kind) {
    case 'written':
      return 'yes';
    case 'foreign':
      return 'foreign';
    case 'covered':
    case 'gone':
      return 'no';
    // What nobody could say is ours if it is there.
    case 'failed':
      return written === 'no' || written === 'foreign' ? 'intended' : written;
  }
}

function unconfirmed(what: 'accepted' | 'removed', value: string): ProviderError {
  return new ProviderError(
    'transient',
    `The device ${what === 'accepted' ? 'said that it took' : 'said that it removed'} ${value}, and its list shows otherwise.`,
  );
}
