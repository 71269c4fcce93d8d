import type { FeedFetch, FeedStore } from '#persistence';
import type { Logger } from '#telemetry';

/** Milliseconds between two writes: a firewall that asks every second costs no more than one that asks every minute. */
const WRITE_EVERY_MS = 10_000;
/** Consumers whose fetches wait to be written; more are not recorded. */
const MOST_WAITING = 1000;

/** A fetch that was answered now. */
export type AnsweredFetch = Omit<FeedFetch, 'agoMs'>;

interface Waiting {
  readonly fetch: AnsweredFetch;
  readonly at: number;
}

/** Records who fetched what, the latest of each consumer, with one write every 10 s. */
export class FetchRecord {
  readonly #store: Pick<FeedStore, 'recordFetches'>;
  readonly #log: Logger;
  #waiting = new Map<string, Waiting>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #lastAt = Number.NEGATIVE_INFINITY;
  #writing: Promise<void> = Promise.resolve();

  constructor(store: Pick<FeedStore, 'recordFetches'>, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /** Never rejects, and keeps nobody waiting. */
  note(fetch: AnsweredFetch): void {
    const key = JSON.stringify([fetch.instance, fetch.list, fetch.name, fetch.address]);
    if (!this.#waiting.has(key) && this.#waiting.size >= MOST_WAITING) return;
    // What it got before an outage it has still.
    const got = fetch.got ?? this.#waiting.get(key)?.fetch.got ?? null;
    this.#waiting.set(key, { fetch: { ...fetch, got }, at: performance.now() });
    this.#setTimer();
  }

  /** Writes what waits. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    if (this.#waiting.size > 0) this.#write();
    await this.#writing;
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#lastAt = performance.now();
    const taken = this.#waiting;
    this.#waiting = new Map();
    const before = this.#writing;
    this.#writing = (async () => {
      await before;
      const fetches = [...taken.values()].map(({ fetch, at }) => ({
        ...fetch,
        agoMs: performance.now() - at,
      }));
      await this.#store.recordFetches(fetches).catch((error: unknown) => {
        this.#log.warn({ error: String(error) }, 'who fetched the feeds could not be recorded');
        this.#putBack(taken);
      });
    })();
  }

  #putBack(taken: ReadonlyMap<string, Waiting>): void {
    if (this.#isClosed) return;
    for (const [key, { fetch, at }] of taken) {
      const newer = this.#waiting.get(key);
      if (newer === undefined) this.#waiting.set(key, { fetch, at });
      else if (newer.fetch.got === null)
        this.#waiting.set(key, { ...newer, fetch: { ...newer.fetch, got: fetch.got } });
    }
    this.#setTimer();
  }

  #setTimer(): void {
    this.#timer ??= setTimeout(
      () => this.#write(),
      Math.max(0, this.#lastAt + WRITE_EVERY_MS - performance.now()),
    );
  }
}
