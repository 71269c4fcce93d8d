import {
  OperationalError,
  type ActionQueue,
  type ActionStore,
  type DueAction,
  type DueList,
  type DuePosition,
  type Hint,
  type SecurityAction,
  type VendorPermits,
} from '#domain';
import { Rounds } from '#rounds';
import { NO_METRICS, type Logger, type Metrics } from '#telemetry';
import { HintMemory } from './hint-memory.js';
import { noteEnd } from './note-end.js';
import { wakeNext } from './wake-next.js';
import type { Watchdog } from './watchdog.js';

export interface SweepOptions {
  readonly store: ActionStore;
  readonly queue: ActionQueue;
  readonly log: Logger;
  /** Milliseconds between passes, give or take 30 %. Default 1,000. */
  readonly periodMs?: number;
  /** Told of instances whose actions stay due although they were hinted. Default nobody. */
  readonly watchdog?: Watchdog;
  /** Who may call a vendor. Default: anybody, so that nothing waits for it. */
  readonly permits?: Pick<VendorPermits, 'state'>;
  /** Whose effects are over. Default: nobody looks. */
  readonly lifts?: { pass(): Promise<void> };
  /** What was hinted and when it may be again. Default an empty one. */
  readonly memory?: HintMemory;
  /** Default: nothing is counted. */
  readonly metrics?: Metrics;
}

/** What one pass came to. */
export interface SweepFigures {
  /** How many due actions it read. */
  readonly due: number;
  /** How many of them it hinted. */
  readonly hinted: number;
  /** How many of them it ended. */
  readonly closed: number;
  readonly ms: number;
}

const DEFAULT_PERIOD_MS = 1000;
/** How many due actions are looked at at a time. What has begun is read as a whole wherever it can be. */
const BATCH: Readonly<Record<DueList, number>> = { begun: 1000, waiting: 300 };
/** How many hints are given at a time: Redis has to take them within its time. */
const HINTED_TOGETHER = 300;
/** How many of those that wait are looked over for their deadlines at a time. */
const LOOKED_OVER = 3000;
/** How many are closed at a time. */
const CLOSED_TOGETHER = 200;
/** Milliseconds of a pass after which it closes no more: the others must not wait for as long as there is something. */
const CLOSING_MS = 3000;
/** Batches of one pass while everything that is due is to be hinted at once. */
const RECOVERY_BATCHES = 10;
/** Milliseconds after which it is noted anew what an action waits for. */
const MARKED_MS = 45_000;
/** Records of one batch that cannot be closed, before the database is doubted rather than they. */
const MOST_UNCLOSABLE = 5;
/** Hints of an action not begun after which its job is taken for stuck. */
const SWALLOWED_AFTER_HINTS = 2;
/** Milliseconds a due action is left to the hint it got when it became due. */
const GRACE_MS = 1500;
/** Milliseconds past its deadline after which an issued action that nobody follows is given up as unknown. */
const GIVE_UP_AFTER_MS = 120_000;
/** Hints of one due time after which an action counts as neglected. */
const NEGLECTED_AFTER_HINTS = 3;

/**
 * Hints again whatever is due and was not looked at, and closes what nobody will. Redis may lose any hint: this
 * is what makes it disposable. Any number of sweeps in parallel do no harm: hints have deterministic ids and
 * closing is a conditional write.
 *
 * What was hinted and is still due most likely waits its turn, so it is hinted again after growing delays only. When
 * Redis is back from being away, or holds other data than before, all hints may be lost: then everything due is
 * hinted at once.
 */
export class Sweep {
  readonly #options: SweepOptions;
  readonly #memory: HintMemory;
  readonly #metrics: Metrics;
  #incarnation: string | null = null;
  /** True until everything that was due when Redis came (back) has been hinted. */
  #recovering = false;
  /** Where each list is gone on with, and where the deadlines of those that wait were looked over to. */
  readonly #cursors: Record<DueList | 'overdue', DuePosition | null> = {
    begun: null,
    waiting: null,
    overdue: null,
  };
  /** True when one look at the deadlines came to all that waits. */
  #fewWait = false;
  #unclosable = 0;
  #last: { readonly figures: SweepFigures; readonly endedAt: number } | null = null;
  readonly #rounds: Rounds;
  #stopped = false;

  constructor(options: SweepOptions) {
    this.#options = options;
    this.#memory = options.memory ?? new HintMemory();
    this.#metrics = options.metrics ?? NO_METRICS;
    this.#rounds = new Rounds({
      periodMs: options.periodMs ?? DEFAULT_PERIOD_MS,
      round: () => this.#round(),
      failed: 'sweep failed',
      log: options.log,
    });
  }

  start(): void {
    this.#rounds.start();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#rounds.stop();
  }

  async #round(): Promise<void> {
    try {
      await this.pass();
    } catch (error) {
      this.#metrics.sweepPasses.add(1, 'failed');
      throw error;
    }
  }

  /** The figures of the last pass, and milliseconds since it ended; null before the first. */
  get last(): (SweepFigures & { readonly agoMs: number }) | null {
    if (this.#last === null) return null;
    return { ...this.#last.figures, agoMs: performance.now() - this.#last.endedAt };
  }

  /**
   * One pass: over what has begun, 1,000 at most, or more while some are to be closed; over the deadlines of 3,000 that wait, and on for as long as
   * some are over, but not for more than 3 s; and over 300 that wait (3,000 after Redis may have lost its hints). Each goes
   * on where it ended in the last pass, so that what merely waits hides nothing behind it.
   */
  async pass(): Promise<SweepFigures> {
    const startedAt = performance.now();
    const closingUntil = startedAt + CLOSING_MS;
    await this.#lookAtRedis();
    const sum = { due: 0, hinted: 0, closed: 0 };
    const add = (one: Omit<SweepFigures, 'ms'>): void => {
      sum.due += one.due;
      sum.hinted += one.hinted;
      sum.closed += one.closed;
    };
    for (;;) {
      const one = await this.#batch('begun', closingUntil);
      add(one);
      if (one.closed === 0 || this.#cursors.begun === null || this.#isOver(closingUntil)) break;
    }
    add(await this.#closeOverdue(closingUntil));
    const batches = this.#recovering ? RECOVERY_BATCHES : 1;
    for (let batch = 0; batch < batches && !this.#stopped; batch += 1) {
      add(await this.#batch('waiting', closingUntil));
      if (this.#cursors.waiting === null) {
        // The whole list has been seen since it began.
        if (this.#incarnation !== null) this.#recovering = false;
        break;
      }
      if (this.#incarnation === null) break;
    }
    const endedAt = performance.now();
    if (!this.#stopped)
      await this.#options.lifts
        ?.pass()
        .catch((error: unknown) =>
          this.#options.log.warn({ error: String(error) }, 'lifting effects failed'),
        );
    const figures = { ...sum, ms: Math.round(endedAt - startedAt) };
    this.#last = { figures, endedAt };
    this.#metrics.sweepPasses.add(1, 'ok');
    this.#metrics.sweepSeconds.observe(endedAt - startedAt);
    this.#metrics.sweepHinted.add(figures.hinted);
    if (figures.hinted > 0 || figures.closed > 0) this.#options.log.info(figures, 'swept');
    return figures;
  }

  /** Notices whether the hints given so far can still be there. */
  async #lookAtRedis(): Promise<void> {
    const incarnation = await this.#options.queue.incarnation();
    if (incarnation !== null && incarnation !== this.#incarnation) {
      // The first time, too: what others hinted before this process was may be lost as well.
      this.#memory.clear();
      this.#cursors.begun = null;
      this.#cursors.waiting = null;
      this.#recovering = true;
    }
    this.#incarnation = incarnation;
  }

  async #batch(list: DueList, closingUntil: number): Promise<Omit<SweepFigures, 'ms'>> {
    const { store, queue, watchdog } = this.#options;
    const limit = BATCH[list];
    const due = await store.due(list, limit, GRACE_MS, this.#cursors[list], this.#fewWait);
    this.#cursors[list] = due.length === limit ? (due.at(-1) ?? null) : null;
    const overdue = due.filter((action) => action.overdue).map(({ id }) => id);
    const { closed: ended } = await this.#closeAll(overdue, closingUntil);
    const closed = ended.size;
    const open = due.filter(({ id }) => !ended.has(id));
    await this.#mark(open);
    // While Redis is away nothing can be hinted, and is not remembered as hinted.
    if (this.#incarnation === null) return { due: due.length, hinted: 0, closed };
    const hints = open.filter((action) => this.#memory.mayHint(action));
    for (let from = 0; from < hints.length; from += HINTED_TOGETHER) {
      const some = hints.slice(from, from + HINTED_TOGETHER);
      const hinted = await queue.hintMany(some.map((action) => this.#hintOf(action)));
      if (!hinted) {
        // Some may have gone through: as if Redis had been away, all of it is hinted once it answers.
        this.#incarnation = null;
        return { due: due.length, hinted: from, closed };
      }
      this.#memory.remember(some);
    }
    watchdog?.observe(
      open
        .filter((action) => this.#memory.timesHinted(action) >= NEGLECTED_AFTER_HINTS)
        .map(({ instance }) => instance),
    );
    return { due: due.length, hinted: hints.length, closed };
  }

  /**
   * Notes of what was not started why it waits, where that is for more than its turn, and leaves it alone for a while:
   * its hint keeps its place. It is claimed at any time, whatever stands there.
   */
  async #mark(open: readonly DueAction[]): Promise<void> {
    const { permits, store } = this.#options;
    if (permits === undefined) return;
    const waiting = open.filter(({ epoch }) => epoch === 0);
    for (const instance of new Set(waiting.map((action) => action.instance))) {
      const why = (await permits.state(instance)).waiting;
      if (why === null) continue;
      const ids = waiting.filter((action) => action.instance === instance).map(({ id }) => id);
      await store.throttle(ids, MARKED_MS * (0.7 + 0.6 * Math.random()), {
        reason: why.reason,
        until: why.reason === 'paused' ? null : new Date(Date.now() + why.waitMs),
        blockedBy: null,
      });
    }
  }

  /** Closes what waits and is late, from where the last pass got to, for as long as it finds such. */
  async #closeOverdue(until: number): Promise<Omit<SweepFigures, 'ms'>> {
    const sum = { due: 0, hinted: 0, closed: 0 };
    for (;;) {
      const { ids, next } = await this.#options.store.overdue(LOOKED_OVER, GRACE_MS, this.#cursors.overdue);
      // Several workers that look at the same do not begin at the same place.
      const from = Math.floor(Math.random() * ids.length);
      const { closed, isAll } = await this.#closeAll([...ids.slice(from), ...ids.slice(0, from)], until);
      sum.due += closed.size;
      sum.closed += closed.size;
      // What it did not come to is there the next time.
      if (!isAll) return sum;
      this.#fewWait = this.#cursors.overdue === null && next === null;
      this.#cursors.overdue = next;
      if (closed.size === 0 || next === null) return sum;
    }
  }

  /** @returns which of them it ended, and whether it came to all before the time was over, or it was stopped */
  async #closeAll(
    ids: readonly string[],
    until: number,
  ): Promise<{ readonly closed: ReadonlySet<string>; readonly isAll: boolean }> {
    const { store, queue, log } = this.#options;
    const closed = new Set<string>();
    this.#unclosable = 0;
    for (let from = 0; from < ids.length; from += CLOSED_TOGETHER) {
      if (this.#isOver(until)) return { closed, isAll: false };
      const some = ids.slice(from, from + CLOSED_TOGETHER);
      const ended = (await Promise.all(some.map((id) => this.#close(id)))).filter((one) => one !== null);
      for (const action of ended) {
        closed.add(action.id);
        this.#metrics.sweepClosed.add(1);
        noteEnd(this.#metrics, action, (action.completedAt ?? action.lastActionAt).getTime());
        log.warn(
          { actionId: action.id, tenant: action.tenantId, phase: action.phase },
          'overdue action closed',
        );
      }
      for (const target of new Set(ended.map(({ mutexKey }) => mutexKey)))
        if (target !== null) void wakeNext({ store, queue, log }, target);
    }
    return { closed, isAll: true };
  }

  #isOver(until: number): boolean {
    return this.#stopped || performance.now() >= until;
  }

  /** One record that cannot be written must not keep all others from being looked at. */
  async #close(id: string): Promise<SecurityAction | null> {
    try {
      return await this.#options.store.closeOverdue(id, GIVE_UP_AFTER_MS);
    } catch (error) {
      // The database is away: so it is for all others.
      this.#unclosable += 1;
      if (error instanceof OperationalError || this.#unclosable > MOST_UNCLOSABLE) throw error;
      this.#options.log.error({ actionId: id, err: error }, 'an overdue action could not be closed');
      return null;
    }
  }

  /**
   * A job that is there swallows a hint of its own id. For what waits in a backlog that is as it should be; what has
   * begun, or was hinted twice in vain, is hinted under two ids in turn, so that no one job can hide it.
   */
  #hintOf(action: DueAction): Hint {
    const {
      id: actionId,
      tenantId,
      instance,
      lane,
      actionName,
      epoch,
      polls = false,
      stopAt = null,
    } = action;
    const hint = { actionId, tenantId, instance, lane, actionName, epoch, polls, stopAt };
    const times = this.#memory.timesHinted(action);
    const mayBeSwallowed = epoch > 0 || times >= SWALLOWED_AFTER_HINTS;
    return mayBeSwallowed && times % 2 === 0 ? { ...hint, kind: 'again' } : hint;
  }
}
