import type { ActionQueue, ActionStore, DueAction } from '#domain';
import type { Logger } from '#telemetry';

export interface SweepOptions {
  readonly store: ActionStore;
  readonly queue: ActionQueue;
  readonly log: Logger;
  /** Milliseconds between passes, give or take 30 %. Default 1,000. */
  readonly periodMs?: number;
}

const DEFAULT_PERIOD_MS = 1000;
const BATCH = 300;
/** Milliseconds a due action is left to the hint it got when it became due. */
const GRACE_MS = 1500;
/** Milliseconds past its deadline after which an issued action that nobody follows is given up as unknown. */
const GIVE_UP_AFTER_MS = 120_000;

/**
 * Hints again whatever is due and was not looked at, and closes what nobody will. Redis may lose any hint: this
 * is what makes it disposable. Any number of sweeps in parallel do no harm: hints have deterministic ids and
 * closing is a conditional write.
 */
export class Sweep {
  readonly #options: SweepOptions;
  #cursor: DueAction | null = null;
  #timer: NodeJS.Timeout | undefined;
  #pass: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(options: SweepOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#stopped) return;
    const period = this.#options.periodMs ?? DEFAULT_PERIOD_MS;
    this.#timer = setTimeout(
      () => {
        this.#pass = this.pass()
          .catch((error: unknown) => this.#options.log.warn({ error: String(error) }, 'sweep failed'))
          .finally(() => this.start());
      },
      period * (0.7 + 0.6 * Math.random()),
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#pass;
  }

  /**
   * One pass over at most 300 due actions, going on where the last one ended, so that actions nobody serves do
   * not hide those behind them.
   * @returns how many were due and how many of them it closed
   */
  async pass(): Promise<{ readonly due: number; readonly closed: number }> {
    const { store, queue, log } = this.#options;
    const due = await store.due(BATCH, GRACE_MS, this.#cursor);
    this.#cursor = due.length === BATCH ? (due.at(-1) ?? null) : null;
    const hints: DueAction[] = [];
    let closed = 0;
    for (const action of due) {
      const ended = action.overdue ? await store.closeOverdue(action.id, GIVE_UP_AFTER_MS) : null;
      if (ended === null) {
        hints.push(action);
      } else {
        closed += 1;
        log.warn({ actionId: ended.id, tenant: ended.tenantId, phase: ended.phase }, 'overdue action closed');
      }
    }
    if (hints.length > 0) {
      const hinted = await queue.hintMany(hints.map(({ id, ...rest }) => ({ actionId: id, ...rest })));
      log.debug({ due: due.length, hinted }, 'swept');
    }
    return { due: due.length, closed };
  }
}
