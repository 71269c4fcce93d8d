import { setTimeout as sleep } from 'node:timers/promises';
import type mongoose from 'mongoose';
import { grouped } from '#grouping';
import { ACTIONS, type ActionDocument, type Uuid } from './action-document.js';
import { ChangeCursor, isHistoryLost, type SeenChange } from './change-cursor.js';
import { ChangeLog, Stretch, type ChangedAction, type TenantChanges } from './change-log.js';
import { majorityWrite } from './majority-write.js';
import { DEFAULT_RETRY_BUDGET_MS, repeatedRead } from './write-retry.js';

/** Milliseconds in which changes gather before they are told, each action once. */
const GATHER_MS = 150;
/** Changes that gather, while earlier ones are read, before the stream is read on. */
const MOST_GATHERED = 2000;
const READ_AT_ONCE = 1000;
const AWAIT_MS = 1000;
const LONGEST_BACKOFF_MS = 5000;
const DEFAULT_LINGER_MS = 30_000;
/** Some megabytes. */
const DEFAULT_KEPT = 20_000;

/** What is read for those who come back; beyond it a list of what there is now serves them better. */
const CATCH_UP = { actions: 10_000, ms: 5000, awaitMs: 100, tries: 3, againMs: 1000 };

/** What a listener is told. From `position` it can go on another time, at any process. */
export type Told =
  | { readonly kind: 'changed'; readonly position: string; readonly changes: TenantChanges }
  /** It was told all until now. */
  | { readonly kind: 'upToDate'; readonly position: string }
  /** What it missed cannot be told; what changes from here on will be. */
  | { readonly kind: 'lost'; readonly position: string }
  /** The database does not answer, or what it missed is looked for. */
  | { readonly kind: 'waiting' };

export interface Following {
  readonly tenantId: string;
  /** A position that was told before; null: from now on. */
  readonly after: string | null;
  /** Milliseconds after which it is told that there is nothing to tell. */
  readonly quietMs: number;
  /** Ends it. */
  readonly signal: AbortSignal;
}

export interface ActionChangesOptions {
  /** Milliseconds that the stream stays open after the last listener has left. Default 30,000. */
  readonly lingerMs?: number;
  /** Changed actions that are kept for who comes back or takes its time; others are read again. Default 20,000. */
  readonly kept?: number;
  /** Is told why the stream broke, and null once it is read again. */
  readonly onTrouble?: (problem: Error | null) => void;
}

/**
 * Tells what changes. All listeners of a process share one change stream, which is open as long as there are any, and
 * goes on through elections and broken connections. Nothing that changed after a listener's position is left out;
 * some may be told again. An action is told in a state that may be newer than the change it is told for.
 */
export class ActionChanges {
  readonly #db: mongoose.mongo.Db;
  readonly #lingerMs: number;
  readonly #kept: number;
  readonly #onTrouble: (problem: Error | null) => void;
  readonly #catchUp: (position: string) => Promise<Stretch | 'lost'>;
  readonly #wakers = new Set<() => void>();
  #listeners = 0;
  #lingering: NodeJS.Timeout | undefined;
  #reading: AbortController | null = null;
  #closed = false;
  /** Null until the stream is open. Another one: history was lost in between. */
  #log: ChangeLog | null = null;

  constructor(db: mongoose.mongo.Db, options: ActionChangesOptions = {}) {
    this.#db = db;
    this.#lingerMs = options.lingerMs ?? DEFAULT_LINGER_MS;
    this.#kept = options.kept ?? DEFAULT_KEPT;
    this.#onTrouble = options.onTrouble ?? (() => undefined);
    // After a restart thousands come back at the same time: they are caught up by one reading of the history.
    this.#catchUp = grouped((positions) => this.#catchUpTogether(positions), {
      size: Number.MAX_SAFE_INTEGER,
      parallel: 1,
      holdMs: CATCH_UP.ms * CATCH_UP.tries,
    });
  }

  /**
   * What changes for a tenant, from a position on. Its first `upToDate` says that it has come to the present. Of a
   * listener that takes its time nothing piles up: it is told the latest states later.
   */
  async *follow(following: Following): AsyncGenerator<Told, void, void> {
    const { tenantId, after, signal } = following;
    const leave = this.#enter();
    try {
      let position = after;
      let isLost = false;
      while (!signal.aborted && !this.#closed) {
        const log = this.#log;
        if (log === null) {
          await this.#pause(following.quietMs, signal);
          if (this.#log === null) yield { kind: 'waiting' };
        } else if (position !== null && log.placeAfter(position) === null) {
          const caught = yield* this.#caughtUp(position, following);
          isLost = caught === 'lost';
          position = caught === 'lost' ? null : caught.upTo;
          const changes = caught === 'lost' ? null : caught.of(tenantId);
          if (position !== null && changes !== null) yield { kind: 'changed', position, changes };
        } else {
          if (isLost) yield { kind: 'lost', position: log.position };
          position = yield* this.#fromLog(log, position ?? log.position, following);
          isLost = position === null;
        }
      }
    } finally {
      leave();
    }
  }

  /** Ends it for all listeners. */
  close(): void {
    this.#closed = true;
    this.#stop();
    this.#wake();
  }

  /** @returns where it fell out of the log, because it took its time; null: history was lost */
  async *#fromLog(
    log: ChangeLog,
    after: string,
    { tenantId, quietMs, signal }: Following,
  ): AsyncGenerator<Told, string | null, void> {
    let position = after;
    let place = log.placeAfter(position) ?? log.end;
    let quietUntil = 0;
    while (!signal.aborted) {
      if (log !== this.#log) return null;
      if (place < log.end) {
        const stretch = log.at(place);
        if (stretch === undefined) return position;
        place += 1;
        position = stretch.upTo;
        const changes = stretch.of(tenantId);
        if (changes === null) continue;
        yield { kind: 'changed', position, changes };
        // Not where it has yet to be told that this was all.
        if (quietUntil > 0) quietUntil = performance.now() + quietMs;
        continue;
      }
      position = log.position;
      const now = performance.now();
      if (now < quietUntil) await this.#pause(quietUntil - now, signal);
      else {
        quietUntil = now + quietMs;
        yield { kind: 'upToDate', position };
      }
    }
    return position;
  }

  async *#caughtUp(
    position: string,
    { quietMs, signal }: Following,
  ): AsyncGenerator<Told, Stretch | 'lost', void> {
    for (;;) {
      const caught = this.#catchUp(position).catch((error: unknown) => error as Error);
      for (;;) {
        const timer = new AbortController();
        const quiet = sleep(quietMs, null, { signal: AbortSignal.any([signal, timer.signal]) }).catch(
          () => null,
        );
        const found = await Promise.race([caught, quiet]);
        timer.abort();
        if (signal.aborted) return 'lost';
        if (found instanceof Error) break;
        if (found !== null) return found;
        yield { kind: 'waiting' };
      }
      await sleep(CATCH_UP.againMs, undefined, { signal }).catch(() => undefined);
    }
  }

  #enter(): () => void {
    this.#listeners += 1;
    clearTimeout(this.#lingering);
    if (this.#reading === null && !this.#closed) {
      this.#reading = new AbortController();
      void this.#read(this.#reading.signal);
    }
    return () => {
      this.#listeners -= 1;
      if (this.#listeners === 0) this.#lingering = setTimeout(() => this.#stop(), this.#lingerMs).unref();
    };
  }

  #stop(): void {
    clearTimeout(this.#lingering);
    this.#reading?.abort();
    this.#reading = null;
    this.#log = null;
  }

  /** Waits for something new, no longer than so many milliseconds. */
  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    let wake = (): void => undefined;
    const woken = new Promise<void>((resolve) => (wake = resolve));
    const timer = setTimeout(wake, ms);
    this.#wakers.add(wake);
    signal.addEventListener('abort', wake);
    if (signal.aborted) wake();
    await woken;
    signal.removeEventListener('abort', wake);
    this.#wakers.delete(wake);
    clearTimeout(timer);
  }

  #wake(): void {
    for (const wake of this.#wakers) wake();
  }

  async #read(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) await this.#readUntilLost(signal);
  }

  /** Reads the stream from now on, whatever happens to it, until its history is lost. */
  async #readUntilLost(signal: AbortSignal): Promise<void> {
    let log: ChangeLog | null = null;
    let after: string | null = null;
    let failures = 0;
    const gathering = new Gathering(async (gathered) => {
      const stretch = await this.#stretch(gathered, signal);
      if (stretch === null || log === null) return;
      log.append(stretch);
      this.#wake();
    });
    while (!signal.aborted) {
      const cursor: ChangeCursor = new ChangeCursor(this.#db, { after, awaitMs: AWAIT_MS });
      const close = (): void => cursor.close();
      signal.addEventListener('abort', close);
      try {
        await cursor.open();
        while (!signal.aborted) {
          if (log === null && cursor.position !== null) {
            log = new ChangeLog(cursor.position, this.#kept);
            this.#log = log;
            this.#wake();
          }
          const change = await cursor.next();
          if (failures > 0) this.#onTrouble(null);
          failures = 0;
          after = cursor.position;
          if (change !== null) await gathering.add(change);
          else if (after !== null && gathering.isEmpty) log?.advance(after);
        }
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        if (failures === 1) this.#onTrouble(error as Error);
        if (isHistoryLost(error) && log !== null) {
          this.#log = null;
          this.#wake();
          return;
        }
        const backoffMs = Math.min(LONGEST_BACKOFF_MS, 50 * 2 ** failures) * (0.5 + Math.random() / 2);
        await sleep(backoffMs, undefined, { signal }).catch(() => undefined);
      } finally {
        signal.removeEventListener('abort', close);
        close();
      }
    }
  }

  /** Reads what gathered, and tries until it can; null: the signal came first. */
  async #stretch(gathered: Gathered, signal: AbortSignal): Promise<Stretch | null> {
    while (!signal.aborted) {
      try {
        return await this.#stretchOf(gathered, gathered.upTo);
      } catch {
        await sleep(LONGEST_BACKOFF_MS, undefined, { signal }).catch(() => undefined);
      }
    }
    return null;
  }

  async #stretchOf({ actions, instances }: Gathered, upTo: string): Promise<Stretch> {
    const byTenant = new Map<string, ChangedAction[]>();
    const ids = [...actions.values()];
    for (let index = 0; index < ids.length; index += READ_AT_ONCE) {
      const found = await repeatedRead(DEFAULT_RETRY_BUDGET_MS, () =>
        this.#db
          .collection<ShownDocument>(ACTIONS)
          .find({ _id: { $in: ids.slice(index, index + READ_AT_ONCE) } }, { projection: SHOWN })
          .toArray(),
      );
      for (const document of found) {
        const own = byTenant.get(document.tenantId) ?? [];
        byTenant.set(document.tenantId, own);
        own.push(changedAction(document));
      }
    }
    return new Stretch(upTo, byTenant, [...instances]);
  }

  /** One reading of the history, from the oldest of the positions on, serves all. */
  async #catchUpTogether(positions: readonly string[]): Promise<readonly (Stretch | 'lost')[]> {
    const until = this.#log?.position;
    if (until === undefined) throw new Error('the change stream is not open');
    // The position may lie ahead of the last write, and a new primary may not know yet what a majority has: after this
    // write a cursor comes to the position without waiting for somebody else's.
    await majorityWrite(this.#db, CATCH_UP.ms);
    const oldestFirst = [...new Set(positions)].toSorted();
    for (const position of oldestFirst.slice(0, CATCH_UP.tries)) {
      const caught = await this.#between(position, until);
      if (caught !== 'lost') return positions.map((one) => (one < position ? 'lost' : caught));
    }
    return positions.map(() => 'lost');
  }

  async #between(after: string, until: string): Promise<Stretch | 'lost'> {
    const cursor = new ChangeCursor(this.#db, { after, awaitMs: CATCH_UP.awaitMs });
    const gathered = new Gathered();
    const giveUpAt = performance.now() + CATCH_UP.ms;
    try {
      while ((cursor.position ?? after) < until) {
        const change = await cursor.next();
        if (change !== null) gathered.add(change);
        if (gathered.actions.size > CATCH_UP.actions || performance.now() > giveUpAt) return 'lost';
      }
    } catch (error) {
      if (isHistoryLost(error)) return 'lost';
      throw error;
    } finally {
      cursor.close();
    }
    return this.#stretchOf(gathered, cursor.position ?? until);
  }
}

const SHOWN = {
  tenantId: 1,
  name: 1,
  instance: 1,
  status: 1,
  phase: 1,
  createdAt: 1,
  lastActionAt: 1,
  unresolved: 1,
} as const;
type ShownDocument = Pick<ActionDocument, '_id' | keyof typeof SHOWN>;

function changedAction({ _id, tenantId: _tenantId, unresolved, ...shown }: ShownDocument): ChangedAction {
  return { id: _id.toString(), ...shown, unresolved: unresolved === true };
}

/** Ids of what changed, each once. */
class Gathered {
  readonly actions = new Map<string, Uuid>();
  readonly instances = new Set<string>();
  upTo = '';

  get isEmpty(): boolean {
    return this.upTo === '';
  }

  add(change: SeenChange): void {
    this.upTo = change.position;
    if (change.collection === ACTIONS) this.actions.set(change.id.toString(), change.id);
    else this.instances.add(change.id);
  }
}

/** Lets changes gather for a moment, then tells them; those that come meanwhile gather for the next time. */
class Gathering {
  #gathered = new Gathered();
  #telling: Promise<void> | null = null;

  constructor(private readonly tell: (gathered: Gathered) => Promise<void>) {}

  /** All was told. */
  get isEmpty(): boolean {
    return this.#telling === null;
  }

  /** Waits where too much has gathered. */
  async add(change: SeenChange): Promise<void> {
    this.#gathered.add(change);
    this.#telling ??= this.#tellAll();
    if (this.#gathered.actions.size >= MOST_GATHERED) await this.#telling;
  }

  async #tellAll(): Promise<void> {
    while (!this.#gathered.isEmpty) {
      await sleep(GATHER_MS);
      const gathered = this.#gathered;
      this.#gathered = new Gathered();
      await this.tell(gathered);
    }
    this.#telling = null;
  }
}
