import {
  OperationalError,
  type ActionQueue,
  type ActionStore,
  type DueAction,
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
const BATCH = 300;
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
  #cursor: DueAction | null = null;
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
   * One pass over at most 300 due actions (3,000 after Redis may have lost its hints), going on where the last one
   * ended, so that actions nobody serves do not hide those behind them.
   */
  async pass(): Promise<SweepFigures> {
    const startedAt = performance.now();
    await this.#lookAtRedis();
    const batches = this.#recovering ? RECOVERY_BATCHES : 1;
    const sum = { due: 0, hinted: 0, closed: 0 };
    for (let batch = 0; batch < batches; batch += 1) {
      const one = await this.#batch();
      sum.due += one.due;
      sum.hinted += one.hinted;
      sum.closed += one.closed;
      if (this.#cursor === null) {
        // The whole list has been seen since it began.
        if (this.#incarnation !== null) this.#recovering = false;
        break;
      }
      if (this.#incarnation === null || this.#stopped) break;
    }
    const endedAt = performance.now();
    await this.#options.lifts
      ?.pass()
      .catch((error: unknown) => this.#options.log.warn({ error: String(error) }, 'lifting effects failed'));
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
      this.#cursor = null;
      this.#recovering = true;
    }
    this.#incarnation = incarnation;
  }

  async #batch(): Promise<Omit<SweepFigures, 'ms'>> {
    const { store, queue, log, watchdog } = this.#options;
    const due = await store.due(BATCH, GRACE_MS, this.#cursor);
    this.#cursor = due.length === BATCH ? (due.at(-1) ?? null) : null;
    const open: DueAction[] = [];
    let closed = 0;
    this.#unclosable = 0;
    for (const action of due) {
      if (this.#stopped) break;
      const ended = action.overdue ? await this.#close(action.id) : null;
      if (ended === null) {
        open.push(action);
      } else {
        closed += 1;
        this.#metrics.sweepClosed.add(1);
        noteEnd(this.#metrics, ended, (ended.completedAt ?? ended.lastActionAt).getTime());
        log.warn({ actionId: ended.id, tenant: ended.tenantId, phase: ended.phase }, 'overdue action closed');
        if (ended.mutexKey !== null) void wakeNext({ store, queue, log }, ended.mutexKey);
      }
    }
    await this.#mark(open);
    // While Redis is away nothing can be hinted, and is not remembered as hinted.
    if (this.#incarnation === null) return { due: due.length, hinted: 0, closed };
    const hints = open.filter((action) => this.#memory.mayHint(action));
    if (hints.length > 0) {
      const hinted = await queue.hintMany(hints.map((action) => this.#hintOf(action)));
      if (!hinted) {
        // Some may have gone through: as if Redis had been away, all of it is hinted once it answers.
        this.#incarnation = null;
        return { due: due.length, hinted: 0, closed };
      }
      this.#memory.remember(hints);
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
