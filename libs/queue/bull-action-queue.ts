import { randomUUID } from 'node:crypto';
import { Queue } from 'bullmq';
import { ReplyError, type Redis } from 'ioredis';
import type { ActionQueue, DueTime, Hint } from '#domain';
import { grouped } from '#grouping';
import { PREFIX, promptConnection, type OnConnectionError } from './redis-connection.js';
import { succeedsWithin } from './within.js';

/** Where a running action's cancel is announced to all workers. */
export const CANCEL_CHANNEL = `${PREFIX}:cancel`;

/** Holds a random value that is made anew when the data was lost. */
const INCARNATION_KEY = `${PREFIX}:incarnation`;

/**
 * Milliseconds a hint may take. BullMQ's `add` waits for ever on a Redis that is away while the queue is
 * constructed, or frozen; the sweep does what a hint did not.
 */
const HINT_BUDGET_MS = 300;

/**
 * Entries BullMQ keeps in a queue's stream of events, about; its own 10,000 are a megabyte or two of Redis' memory a
 * queue. Nobody reads them but a developer with a `QueueEvents` at hand: what happened stands in MongoDB.
 */
const MOST_EVENTS = 200;

/** BullMQ takes jobs without a priority first, and those with one by age. */
const NOT_BEGUN = 1;

/** What stands in a job: ids only, for Redis holds it in clear text. */
export interface HintJob {
  readonly actionId: string;
}

/**
 * `ActionQueue` on BullMQ, one queue per provider instance. A job is a hint: its id is `<action>-e<epoch>`,
 * it is tried once and removed whatever becomes of it. (A kept job of the same id would swallow the next hint
 * without an error.)
 */
export class BullActionQueue implements ActionQueue {
  readonly #redis: Redis;
  readonly #queues: ReadonlyMap<string, Queue<HintJob>>;
  readonly #add: ReadonlyMap<string, (job: NewJob) => Promise<unknown>>;

  constructor(url: string, instances: readonly string[], onError: OnConnectionError) {
    this.#redis = promptConnection(url, onError);
    this.#queues = new Map(
      instances.map((instance) => {
        const queue = new Queue<HintJob>(instance, {
          connection: this.#redis,
          prefix: PREFIX,
          streams: { events: { maxLen: MOST_EVENTS } },
          skipVersionCheck: true,
          skipWaitingForReady: true,
        });
        queue.on('error', onError);
        return [instance, queue];
      }),
    );
    // The scripts find the bound in the queue's metadata. BullMQ writes those once, when a queue is constructed: that
    // fails without a word, for a prompt connection is not ready then. (After a flush its 10,000 hold for a while.)
    this.#redis.on('ready', () => {
      for (const queue of this.#queues.values()) queue.backend.setQueueMeta(queue.metaValues).catch(onError);
    });
    this.#add = new Map(
      [...this.#queues].map(([instance, queue]) => [
        instance,
        grouped((jobs: readonly NewJob[]) => queue.addBulk([...jobs])),
      ]),
    );
  }

  async hint(hint: Hint, due?: DueTime): Promise<boolean> {
    const add = this.#add.get(hint.instance);
    // An instance that was taken out of the configuration has no queue; the sweep closes its actions in time.
    if (add === undefined) return false;
    return succeedsWithin(HINT_BUDGET_MS, add(jobOf(hint, due)));
  }

  async hintMany(hints: readonly Hint[]): Promise<boolean> {
    const added = await Promise.all(
      [...this.#queues].map(([instance, queue]) => {
        const jobs = hints.filter((hint) => hint.instance === instance).map((hint) => jobOf(hint));
        return jobs.length === 0
          ? Promise.resolve(true)
          : succeedsWithin(HINT_BUDGET_MS * 3, queue.addBulk(jobs));
      }),
    );
    return added.every(Boolean);
  }

  async incarnation(): Promise<string | null> {
    let found: string | null = null;
    const answered = await succeedsWithin(
      HINT_BUDGET_MS * 3,
      (async () => {
        found = await this.#redis.get(INCARNATION_KEY);
        if (found !== null) return;
        // Several may notice at once: one of them names it, all of them read the name.
        await this.#redis.set(INCARNATION_KEY, randomUUID(), 'NX');
        found = await this.#redis.get(INCARNATION_KEY);
      })(),
    );
    return answered ? found : null;
  }

  announceCancel(actionId: string): Promise<boolean> {
    return succeedsWithin(HINT_BUDGET_MS, this.#redis.publish(CANCEL_CHANNEL, actionId));
  }

  /** What is wrong with Redis, one line each; empty when it answers and keeps what it is given. */
  async problems(): Promise<readonly string[]> {
    let why: unknown;
    // A write, for a Redis that is full, cannot save or has become a replica still answers PING.
    const written = await succeedsWithin(
      1000,
      this.#redis.set(`${PREFIX}:health`, '1', 'PX', 60_000).catch((error: unknown) => {
        why = error;
        throw error;
      }),
    );
    if (!written) {
      const code =
        why instanceof Error && why instanceof ReplyError ? /^[A-Z]+/.exec(why.message)?.[0] : undefined;
      return [code === undefined ? 'redis' : `redis: refuses writes (${code})`];
    }
    try {
      const [, policy] = (await this.#redis.config('GET', 'maxmemory-policy')) as [string, string];
      return policy === 'noeviction' ? [] : [`redis: maxmemory-policy is ${policy}, it has to be noeviction`];
    } catch {
      // A managed Redis may forbid CONFIG; then nothing can be said.
      return [];
    }
  }

  /** The queues for a dashboard to show. */
  dashboardQueues(): readonly Queue[] {
    return [...this.#queues.values()];
  }

  async close(): Promise<void> {
    await succeedsWithin(1000, Promise.all([...this.#queues.values()].map((queue) => queue.close())));
    this.#redis.disconnect();
  }
}

type NewJob = ReturnType<typeof jobOf>;

const SUFFIXES = {
  cancel: () => 'c',
  again: (epoch: number) => `e${epoch}s`,
  first: (epoch: number) => `e${epoch}`,
};

function jobOf(hint: Hint, due?: DueTime) {
  const suffix = SUFFIXES[hint.kind ?? 'first'](hint.epoch);
  return {
    name: hint.actionName,
    data: { actionId: hint.actionId },
    opts: {
      jobId: `${hint.actionId}-${suffix}`,
      attempts: 1,
      removeOnComplete: true,
      removeOnFail: true,
      // Reckoned from the database's clock, not from this process's, which BullMQ would take: a job that a wrong
      // clock put minutes off would swallow the hints of those whose clocks are right.
      ...(due !== undefined && due.inMs > 0
        ? { delay: Math.round(due.inMs), timestamp: Math.round(due.at.getTime() - due.inMs) }
        : {}),
      // What has begun goes before what has not: a takeover or a cancel does not wait behind a backlog.
      ...(hint.epoch === 0 && hint.kind !== 'cancel' ? { priority: NOT_BEGUN } : {}),
    },
  };
}
