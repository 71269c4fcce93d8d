import type { Logger } from '#telemetry';

export interface WatchdogOptions {
  /** Milliseconds since this worker last looked at an action of the instance; 0 when it is busy with others. */
  readonly idleMs: (instance: string) => number;
  /** Takes the instance's hints by a new connection. */
  readonly renew: (instance: string) => void;
  readonly log: Logger;
  /** Milliseconds. Default the process's monotonic clock. */
  readonly now?: () => number;
}

/** Milliseconds this worker has to have been idle before its own hearing is doubted. */
const DOUBT_AFTER_MS = 30_000;
/** Milliseconds between two renewals of one instance: something else may be wrong. */
const AGAIN_AFTER_MS = 60_000;

/**
 * Notices that hints come no more although Redis answers and there is something to do: a blocking read that never
 * comes back has been seen with several clients. Renewing without need does no harm.
 */
export class Watchdog {
  readonly #options: WatchdogOptions;
  readonly #now: () => number;
  readonly #renewedAt = new Map<string, number>();

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** @param neglected instances with actions that were hinted several times, while Redis answered, and are due still */
  observe(neglected: Iterable<string>): void {
    const { idleMs, renew, log } = this.#options;
    for (const instance of new Set(neglected)) {
      if (idleMs(instance) <= DOUBT_AFTER_MS) continue;
      const last = this.#renewedAt.get(instance);
      if (last !== undefined && this.#now() - last < AGAIN_AFTER_MS) continue;
      this.#renewedAt.set(instance, this.#now());
      log.warn({ instance }, 'due actions and no hints: the queue is listened to anew');
      renew(instance);
    }
  }
}
