import type { Logger } from '#telemetry';

export interface RoundsOptions {
  /** Milliseconds between the end of a round and the next one. */
  readonly periodMs: number;
  /** Milliseconds until the first round. Default: a period. */
  readonly firstMs?: number;
  /** The share by which each of these times is shorter or longer, at random: 0 to 1. Default 0.3. */
  readonly spread?: number;
  /** One round. It may say in how many milliseconds the next is wanted, where that is not after a period. */
  readonly round: () => Promise<number | void>;
  /** What the log is told, as a warning, when a round failed; the next is after a period. */
  readonly failed: string;
  /**
   * What the log is told, as information, with the first round after that which does not fail. Where it is given, of
   * several failures in a row the log is told the first.
   */
  readonly recovered?: string;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

/** Does something again and again, one round after the other. Many processes that start together drift apart. */
export class Rounds {
  readonly #options: RoundsOptions;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<unknown> = Promise.resolve();
  #isStopped = false;
  #hasFailed = false;

  constructor(options: RoundsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#next(this.#options.firstMs ?? this.#options.periodMs);
  }

  /** Begins no more rounds, and waits for the one under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#round;
  }

  #next(inMs: number): void {
    if (this.#isStopped) return;
    const { periodMs, spread = 0.3 } = this.#options;
    this.#timer = setTimeout(
      () => {
        this.#round = this.#go().then((wantedMs) => this.#next(wantedMs ?? periodMs));
      },
      inMs * (1 - spread + 2 * spread * Math.random()),
    );
  }

  async #go(): Promise<number | void> {
    const { round, failed, recovered, log } = this.#options;
    try {
      const wantedMs = await round();
      if (this.#hasFailed && recovered !== undefined) log.info({}, recovered);
      this.#hasFailed = false;
      return wantedMs;
    } catch (error) {
      if (!this.#hasFailed || recovered === undefined) log.warn({ error: String(error) }, failed);
      this.#hasFailed = true;
    }
  }
}
