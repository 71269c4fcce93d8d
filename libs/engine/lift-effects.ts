import {
  OperationalError,
  OutcomeUnknownError,
  UserError,
  type ActionStore,
  type DueLift,
  type EffectLifts,
} from '#domain';
import type { Logger } from '#telemetry';
import type { RevertAction } from './revert-action.js';

/** Effects looked at in one pass. */
const BATCH = 300;
/** Of these, at the same time. */
const TOGETHER = 50;
/** Tries of the engine's own, before it is left to people. */
const MOST_TRIES = 5;
/** Milliseconds until an effect is looked at again whose revert is under way, or which could not be looked at. */
const WATCH_MS = 30_000;

/** Milliseconds after a try that failed until the next: a minute, five, twenty-five, two hours. */
function usualRetryMs(tries: number): number {
  return 60_000 * 5 ** Math.max(0, tries - 1);
}

/**
 * Lifts effects whose time is over (`effectUntil`), by the action that a revert on request makes, and makes sure that it
 * came to something. What is to be lifted, and what became of it, stands in MongoDB alone; of any number of processes
 * that do this at the same time, and wherever one of them dies, one revert comes of it: the reservation on the record
 * decides, as it does between two requests.
 */
export class LiftEffects {
  readonly #lifts: EffectLifts;
  readonly #store: Pick<ActionStore, 'find'>;
  readonly #revert: Pick<RevertAction, 'lift'>;
  readonly #log: Logger;
  readonly #retryMs: (tries: number) => number;

  constructor(parts: {
    readonly lifts: EffectLifts;
    readonly store: Pick<ActionStore, 'find'>;
    readonly revert: Pick<RevertAction, 'lift'>;
    readonly log: Logger;
    /** Milliseconds after the nth try in vain until the next. Default 1, 5, 25, 125 minutes. */
    readonly retryMs?: (tries: number) => number;
  }) {
    this.#lifts = parts.lifts;
    this.#store = parts.store;
    this.#revert = parts.revert;
    this.#log = parts.log;
    this.#retryMs = parts.retryMs ?? usualRetryMs;
  }

  /**
   * Looks at up to 300 effects whose time has come.
   * @throws OperationalError, OutcomeUnknownError when the database does not answer; the next pass goes on
   */
  async pass(): Promise<void> {
    const due = await this.#lifts.due(BATCH);
    for (let at = 0; at < due.length; at += TOGETHER)
      await Promise.all(due.slice(at, at + TOGETHER).map((lift) => this.#look(lift)));
  }

  async #look(lift: DueLift): Promise<void> {
    try {
      await this.#advance(lift);
    } catch (error) {
      if (error instanceof OperationalError || error instanceof OutcomeUnknownError) throw error;
      if (error instanceof UserError) return this.#inVain(lift, error.message);
      // One that cannot be looked at must not keep the others from being lifted.
      this.#log.error({ ...factsOf(lift), err: error }, 'the lifting of an effect could not be looked at');
      await this.#again(lift, WATCH_MS);
    }
  }

  async #advance(lift: DueLift): Promise<void> {
    const { tenantId, revertedBy, effectUntil, isOver, tries } = lift;
    const revert = revertedBy === null ? null : await this.#store.find(tenantId, revertedBy);
    // Reserved and not on record is as not begun: it is made under the id that was reserved.
    if (revert === null && isOver) return this.#begin(lift);
    // Somebody's own that died with its request: the caller was told so, and can ask again.
    if (revert === null) return this.#lifts.postpone(lift, effectUntil);
    if (revert.status === 'Completed') return this.#lifts.postpone(lift, null);
    if (revert.status !== 'Failed') return this.#again(lift, WATCH_MS);
    // Somebody's own, before the time: it stays as long as it was to.
    if (!isOver) return this.#lifts.postpone(lift, effectUntil);
    const stopped = revert.phase === 'cancelled' || revert.phase === 'cancelledAtProvider';
    if (stopped && tries > 0)
      return this.#giveUp(lift, `somebody cancelled its revert ${revert.id}`, 'the effect stays');
    const message = `its revert ${revert.id} failed: ${revert.errorInfo?.message ?? ''}`;
    if (tries >= MOST_TRIES) return this.#giveUp(lift, message, 'the effect is not lifted');
    const next =
      (revert.completedAt ?? revert.lastActionAt).getTime() + (tries === 0 ? 0 : this.#retryMs(tries));
    if (next > lift.readAt.getTime()) return this.#lifts.postpone(lift, new Date(next));
    return this.#begin(lift);
  }

  async #begin(lift: DueLift): Promise<void> {
    const { action, repeated } = await this.#revert.lift(lift);
    if (!repeated) this.#log.info({ ...factsOf(lift), revertedBy: action.id }, 'effect lifted at its time');
    // After the reservation it is watched anyway; this is for what somebody has asked for meanwhile.
    else await this.#again(lift, WATCH_MS);
  }

  /** Nothing was recorded: the provider is not configured any more, say. It may be again. */
  async #inVain(lift: DueLift, why: string): Promise<void> {
    const tries = lift.tries + 1;
    if (tries >= MOST_TRIES) return this.#giveUp(lift, why, 'the effect is not lifted');
    this.#log.warn({ ...factsOf(lift), why }, 'an effect could not be lifted; it is tried again');
    await this.#lifts.postpone(lift, after(lift, this.#retryMs(tries)), true);
  }

  async #giveUp(lift: DueLift, why: string, what: string): Promise<void> {
    await this.#lifts.postpone(lift, null);
    this.#log.error({ ...factsOf(lift), why }, `${what}: it is left to people`);
  }

  #again(lift: DueLift, inMs: number): Promise<void> {
    return this.#lifts.postpone(lift, after(lift, inMs));
  }
}

/** By the database's clock: a machine whose own is wrong must not lift late, or over and over. */
function after({ readAt }: DueLift, ms: number): Date {
  return new Date(readAt.getTime() + ms);
}

function factsOf({ id, tenantId, effectUntil, tries }: DueLift) {
  return { actionId: id, tenant: tenantId, effectUntil: effectUntil.toISOString(), tries };
}
