import type { Database } from '#persistence';
import type { BullActionQueue } from '#queue';

export interface Readiness {
  /**
   * `unavailable`: nothing can be accepted. `degraded`: actions are accepted and wait for what is missing.
   * `stopping`: requests are still served, but not for long: send new ones elsewhere.
   */
  readonly status: 'ready' | 'degraded' | 'unavailable' | 'stopping';
  readonly missing: readonly string[];
}

const MAJORITY_WRITE_MS = 2000;
const WORKER_ALIVE_MS = 15_000;
/** Probes come often and from several sides; the database is asked at most this often. */
const REMEMBER_MS = 500;

/** Whether the installation can accept actions, and what is missing to carry them out. */
export class Health {
  readonly #database: Database;
  readonly #queue: BullActionQueue;
  #stopping = false;
  #latest: { readonly at: number; readonly answer: Promise<Readiness> } | undefined;

  constructor(database: Database, queue: BullActionQueue) {
    this.#database = database;
    this.#queue = queue;
  }

  /** From now on readiness says `stopping`, at once. */
  beginStop(): void {
    this.#stopping = true;
  }

  readiness(): Promise<Readiness> {
    if (this.#stopping) return Promise.resolve({ status: 'stopping', missing: [] });
    if (this.#latest === undefined || performance.now() - this.#latest.at > REMEMBER_MS) {
      this.#latest = { at: performance.now(), answer: this.#check() };
    }
    return this.#latest.answer;
  }

  async #check(): Promise<Readiness> {
    const [written, redis, workers] = await Promise.allSettled([
      this.#database.checkMajorityWrite(MAJORITY_WRITE_MS),
      this.#queue.problems(),
      this.#database.workers.countAlive(WORKER_ALIVE_MS),
    ]);
    if (written.status === 'rejected') return { status: 'unavailable', missing: ['mongodb'] };
    const missing = [
      ...(redis.status === 'fulfilled' ? redis.value : ['redis']),
      ...(workers.status === 'fulfilled' && workers.value > 0 ? [] : ['workers']),
    ];
    return { status: missing.length === 0 ? 'ready' : 'degraded', missing };
  }
}
