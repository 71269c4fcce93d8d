import type { SharedLease } from '#domain';
import { Rounds } from '#rounds';
import type { Logger } from '#telemetry';
import { eventsOf, type AuditedAction } from './action-events.js';
import type { AuditKey, Checkpoint, CheckpointSigner } from './checkpoint.js';
import { entriesAfter, type AuditEntry, type AuditEvent, type ChainHead } from './entry.js';

/** An action that changed at this time: its last change of status, or its resolution. */
export interface ChangedAt {
  readonly id: string;
  readonly at: Date;
}

/** The two times by which what changed is found: those of the status, and of what is added to a final record. */
export type ChangeTime = 'lastActionAt' | 'resolution.at';

/** How far a tenant's actions are in its chain. */
export interface AuditProgress {
  readonly tenantId: string;
  /** What changed until then is there; null: nothing is. */
  readonly upTo: Date | null;
  /** Raised by what has all of them looked through again. */
  readonly round: number;
  /** Their last change of status. */
  readonly changedAt: Date;
  /** Whether there was a resolution since the time asked for. */
  readonly isResolved: boolean;
}

/** Events that were recorded, and are in no chain yet. */
export interface WaitingEvent {
  readonly id: string;
  readonly event: AuditEvent;
}

/** What appending needs of the database. Reads tell what a majority has, and what is written a majority has then. */
export interface AuditChains {
  now(): Date;
  /** Of each tenant that has actions. Costs the same whatever their number. */
  progress(resolvedSince: Date): Promise<readonly AuditProgress[]>;
  /** Notes how far it is now; does nothing where another round has begun since. */
  noteProgress(of: Pick<AuditProgress, 'tenantId' | 'round'>, upTo: Date): Promise<void>;
  /** A tenant's actions that changed at `since` or later, behind `after`, in order. */
  changed(
    by: ChangeTime,
    tenantId: string,
    since: Date,
    after: ChangedAt | null,
    limit: number,
  ): Promise<readonly ChangedAt[]>;
  actions(ids: readonly string[]): Promise<readonly AuditedAction[]>;
  waiting(limit: number): Promise<readonly WaitingEvent[]>;
  /** Of events that are in their chains now. */
  forget(ids: readonly string[]): Promise<void>;

  /** The chains that have entries, or checkpoints. */
  chains(): Promise<readonly string[]>;
  head(chain: string): Promise<ChainHead>;
  /** Which of these sources are in a chain already. */
  recorded(sources: readonly string[]): Promise<ReadonlySet<string>>;
  /**
   * Appends in order. False: somebody else has appended, and some or none of these are there.
   * Two can never both have an entry of one number, nor of one source.
   */
  append(entries: readonly AuditEntry[]): Promise<boolean>;
  lastCheckpoint(chain: string): Promise<Checkpoint | null>;
  /** Safe to repeat. */
  addCheckpoint(checkpoint: Checkpoint): Promise<void>;
  /** Safe to repeat. */
  publishKey(key: AuditKey): Promise<void>;
}

export interface AuditChainerOptions {
  readonly chains: AuditChains;
  readonly lease: SharedLease;
  /** This process, as the lease knows it. */
  readonly owner: string;
  readonly signer: CheckpointSigner;
  /** Where checkpoints are kept besides; null: nowhere. */
  readonly heads: { append(checkpoint: Checkpoint): Promise<void> } | null;
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** Milliseconds between passes, give or take 30 %. Default 2,000. */
  readonly periodMs?: number;
  /** Milliseconds after which new entries are signed. Default 60,000. */
  readonly checkpointMs?: number;
  /** New entries that are signed at once. Default 1,000. */
  readonly checkpointEntries?: number;
}

const DEFAULT_PERIOD_MS = 2000;
const CHECKPOINT_MS = 60_000;
const CHECKPOINT_ENTRIES = 1000;
/** In periods: a crashed process's lease keeps the others from it for so long. */
const LEASE_PERIODS = 8;
/** Records and events in hand at once. */
const GROUP = 500;
/**
 * Milliseconds that are looked through again: a write can be seen this much later than it says. A create that is
 * repeated through an election shows up to 18 s late, and the clocks of two primaries differ.
 */
const LOOK_BACK_MS = 60_000;
/** And in most passes: writes of a group are seen in another order than they are stamped. */
const SHORT_LOOK_BACK_MS = 1000;
/** What is in the chains is remembered for longer than it is looked through. */
const REMEMBERED_MS = 2 * LOOK_BACK_MS;
/** Each so many passes all of {@link LOOK_BACK_MS} is looked through. */
const PASSES_A_LOOK_BACK = 10;
/** A tenant of which nothing changed for so long is looked at in these passes only. */
const LATELY_MS = 10_000;

/** Whether a tenant has, or had lately, something for its chain. */
function hasChanged({ upTo, changedAt, isResolved }: AuditProgress, lately: Date): boolean {
  return isResolved || upTo === null || changedAt > upTo || changedAt >= lately;
}

function inOrder(events: readonly AuditEvent[]): readonly AuditEvent[] {
  return events.toSorted((one, other) => (one.at < other.at ? -1 : one.at > other.at ? 1 : 0));
}

/** Two changes of status may be stamped the same: only the last one says that there is no more to come. */
function thatEnded(changed: readonly ChangedAt[], actions: readonly AuditedAction[]): readonly ChangedAt[] {
  const ended = new Set(actions.filter(({ completedAt }) => completedAt !== null).map(({ id }) => id));
  return changed.filter(({ id }) => ended.has(id));
}

interface Known {
  head: ChainHead;
  /** Number and time of the last checkpoint. */
  signed: { readonly seq: number; readonly atMs: number };
}

/**
 * Copies what was done into the chains: out of the actions' own histories, and of what was recorded besides. One process
 * does it for all, under a lease; another one that believes to hold it does no harm, for a chain takes an entry of each
 * number, and of each source, once. So it may also be killed at any time: who goes on finds out what is missing.
 */
export class AuditChainer {
  readonly #options: AuditChainerOptions;
  readonly #periodMs: number;
  /** The chains as this process left them. */
  readonly #known = new Map<string, Known>();
  /** What is in the chains of the actions that are looked through again, as they were at this time. */
  readonly #seen = new Map<string, number>();
  #passes = 0;
  readonly #rounds: Rounds;
  #isStopping = false;
  /** Since when, by the database's clock, the lease is this process's; null: it is not. */
  #leasedAt: Date | null = null;

  constructor(options: AuditChainerOptions) {
    this.#options = options;
    this.#periodMs = options.periodMs ?? DEFAULT_PERIOD_MS;
    this.#rounds = new Rounds({
      periodMs: this.#periodMs,
      round: async () => void (await this.pass()),
      failed: 'the audit record waits',
      recovered: 'the audit record goes on',
      log: options.log,
    });
  }

  start(): void {
    this.#rounds.start();
  }

  /** Ends after what is in hand, signs what is not signed yet, and lets another process go on. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#rounds.stop();
    try {
      for (const chain of this.#known.keys()) await this.#sign(chain, true);
    } finally {
      await this.#options.lease.giveBack(this.#options.owner);
    }
  }

  /**
   * Brings all that happened into the chains.
   * @returns entries that were appended; null: another process does it, from the beginning or since the lease was lost
   * @throws the database's error; the next pass looks at all chains anew
   */
  async pass(): Promise<number | null> {
    try {
      if (!(await this.#takeLease())) return null;
      const appended = await this.#bringAll();
      return this.#leasedAt === null ? null : appended;
    } catch (error) {
      // What is known of the chains may be wrong after a write of which nobody knows.
      this.#known.clear();
      this.#passes = 0;
      throw error;
    }
  }

  async #bringAll(): Promise<number> {
    const { chains } = this.#options;
    if (this.#passes === 0) {
      await chains.publishKey(this.#options.signer.key);
      // Who had it before may have left entries unsigned.
      for (const chain of await chains.chains()) {
        await this.#knownOf(chain);
        if (!(await this.#goesOn())) return 0;
      }
    }
    const isDeep = this.#passes % PASSES_A_LOOK_BACK === 0;
    let appended = await this.#takeWaiting();
    const lately = new Date(chains.now().getTime() - LATELY_MS);
    for (const progress of await chains.progress(lately)) {
      if (!(await this.#goesOn())) return appended;
      if (isDeep || hasChanged(progress, lately)) appended += await this.#takeChanges(progress, isDeep);
    }
    for (const chain of this.#known.keys()) {
      if (!(await this.#goesOn())) return appended;
      await this.#sign(chain, false);
    }
    if (isDeep) this.#forgetOld();
    this.#passes += 1;
    return appended;
  }

  /**
   * Whether the pass goes on: this process is not to stop, and the lease is its own. Asked after each piece of work, it
   * renews the lease once a third of it is over: what there is to do may take longer than it lasts.
   */
  async #goesOn(): Promise<boolean> {
    if (this.#isStopping || this.#leasedAt === null) return false;
    const heldMs = this.#options.chains.now().getTime() - this.#leasedAt.getTime();
    // Below zero where the database's clock went back.
    if (heldMs >= 0 && heldMs < this.#leaseMs / 3) return true;
    return this.#takeLease();
  }

  async #takeLease(): Promise<boolean> {
    const { chains, lease, owner } = this.#options;
    const at = chains.now();
    const isOurs = await lease.take(owner, this.#leaseMs);
    this.#leasedAt = isOurs ? at : null;
    if (!isOurs) {
      // Whoever has it goes on from here.
      this.#known.clear();
      this.#seen.clear();
      this.#passes = 0;
    }
    return isOurs;
  }

  get #leaseMs(): number {
    return LEASE_PERIODS * this.#periodMs;
  }

  /** Events that were recorded by themselves. */
  async #takeWaiting(): Promise<number> {
    const { chains } = this.#options;
    let appended = 0;
    for (;;) {
      const waiting = await chains.waiting(GROUP);
      const byChain = new Map<string, AuditEvent[]>();
      for (const { event } of waiting) byChain.set(event.chain, [...(byChain.get(event.chain) ?? []), event]);
      for (const [chain, events] of byChain) appended += await this.#append(chain, events);
      if (waiting.length > 0) await chains.forget(waiting.map(({ id }) => id));
      if (waiting.length < GROUP || !(await this.#goesOn())) return appended;
    }
  }

  /** What the histories of a tenant's actions tell since its progress, and once more of some time before. */
  async #takeChanges(progress: AuditProgress, isDeep: boolean): Promise<number> {
    const { tenantId, upTo } = progress;
    const { chains } = this.#options;
    const startedAt = chains.now();
    // Where the clock went back, what is new is stamped before what is there.
    const from = upTo === null ? 0 : Math.min(upTo.getTime(), startedAt.getTime());
    const since = new Date(Math.max(0, from - (isDeep ? LOOK_BACK_MS : SHORT_LOOK_BACK_MS)));
    let appended = 0;
    // The resolutions first: progress is by changes of status, and may leave no resolution behind.
    for (const by of ['resolution.at', 'lastActionAt'] as const) {
      let after: ChangedAt | null = null;
      do {
        const page: readonly ChangedAt[] = await chains.changed(by, tenantId, since, after, GROUP);
        const fresh = page.filter(({ id, at }) => this.#seen.get(`${by} ${id}`) !== at.getTime());
        if (fresh.length > 0) {
          const actions = await chains.actions(fresh.map(({ id }) => id));
          appended += await this.#append(tenantId, inOrder(actions.flatMap(eventsOf)));
          this.#remember(by, by === 'lastActionAt' ? thatEnded(fresh, actions) : fresh, startedAt);
        }
        after = page.length === GROUP ? (page.at(-1) ?? null) : null;
        const last = page.at(-1)?.at;
        if (by === 'lastActionAt' && last !== undefined && last > (upTo ?? since))
          // Resolutions were read as the pass began: those that were made since are in the next one.
          await chains.noteProgress(progress, last < startedAt ? last : startedAt);
        if (after !== null && !(await this.#goesOn())) return appended;
        // No further than until it began: the next pass begins with resolutions again.
      } while (after !== null && after.at <= startedAt);
    }
    return appended;
  }

  #remember(by: ChangeTime, changed: readonly ChangedAt[], now: Date): void {
    for (const { id, at } of changed)
      if (at.getTime() > now.getTime() - REMEMBERED_MS) this.#seen.set(`${by} ${id}`, at.getTime());
  }

  /** @returns how many of them were not there yet */
  async #append(chain: string, events: readonly AuditEvent[]): Promise<number> {
    const { chains } = this.#options;
    for (;;) {
      const there = await chains.recorded(events.map(({ source }) => source));
      const missing = events.filter(({ source }) => !there.has(source));
      if (missing.length === 0) return 0;
      const known = await this.#knownOf(chain);
      const entries = entriesAfter(known.head, missing);
      const last = entries.at(-1);
      if (last !== undefined && (await chains.append(entries))) {
        known.head = { seq: last.seq, hash: last.hash };
        if (known.head.seq - known.signed.seq >= (this.#options.checkpointEntries ?? CHECKPOINT_ENTRIES))
          await this.#sign(chain, true);
        return entries.length;
      }
      this.#known.delete(chain);
    }
  }

  async #knownOf(chain: string): Promise<Known> {
    const there = this.#known.get(chain);
    if (there !== undefined) return there;
    const { chains } = this.#options;
    const [head, checkpoint] = await Promise.all([chains.head(chain), chains.lastCheckpoint(chain)]);
    const signed =
      checkpoint === null
        ? { seq: 0, atMs: chains.now().getTime() }
        : { seq: checkpoint.seq, atMs: Date.parse(checkpoint.at) };
    const known = { head, signed };
    this.#known.set(chain, known);
    return known;
  }

  /** Signs a chain's head where it is new, and it is time or `now`. */
  async #sign(chain: string, now: boolean): Promise<void> {
    const { chains, signer, heads, log } = this.#options;
    const known = await this.#knownOf(chain);
    if (known.head.seq <= known.signed.seq) return;
    const at = chains.now();
    if (!now && at.getTime() - known.signed.atMs < (this.#options.checkpointMs ?? CHECKPOINT_MS)) return;
    const checkpoint = signer.sign(chain, known.head, at);
    await chains.addCheckpoint(checkpoint);
    known.signed = { seq: known.head.seq, atMs: at.getTime() };
    await heads?.append(checkpoint).catch((error: unknown) => {
      log.error(
        { chain, seq: checkpoint.seq, error: String(error) },
        'an audit head could not be kept apart',
      );
    });
  }

  #forgetOld(): void {
    const before = this.#options.chains.now().getTime() - REMEMBERED_MS;
    for (const [key, at] of this.#seen) if (at < before) this.#seen.delete(key);
  }
}
