import type { Logger } from '#telemetry';

export interface RoundsOptions {
  /** Milliseconds between the end of a round and the next one, give or take 30 %. */
  readonly periodMs: number;
  /** Milliseconds until the first round, give or take 30 %. Default: a period. */
  readonly firstMs?: number;
  /** One round. It may say in how many milliseconds the next is wanted, where that is not after a period. */
  readonly round: () => Promise<number | void>;
  /** What the log is told, as a warning, when a round failed; the next is after a period. */
  readonly failed: string;
  readonly log: Logger;
}

/** Does something again and again, one round after the other. Many processes that start together drift apart. */
export class Rounds {
  readonly #options: RoundsOptions;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<unknown> = Promise.resolve();
  #isStopped = false;

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
    const { periodMs, round, failed, log } = this.#options;
    this.#timer = setTimeout(
      () => {
        this.#round = round()
          .catch((error: unknown) => log.warn({ error: String(error) }, failed))
          .then((wantedMs) => this.#next(wantedMs ?? periodMs));
      },
      inMs * (0.7 + 0.6 * Math.random()),
    );
  }
}
