import type mongoose from 'mongoose';
import { indexesOf } from './index-declaration.js';
import { repeatable, repeatedRead } from './write-retry.js';

/** What a worker says of itself with a beat. */
export interface WorkerFacts {
  /** Of Riposte, that it runs. */
  readonly version: string;
  /** How many actions it holds. */
  readonly running: number;
  /** The provider instances that it carries actions out for, and how many it starts a minute there, lately. */
  readonly instances: readonly { readonly id: string; readonly startsPerMinute: number }[];
  /** Its last sweep, that ended `agoMs` milliseconds ago; null before the first. */
  readonly lastSweep: {
    readonly agoMs: number;
    readonly due: number;
    readonly hinted: number;
    readonly closed: number;
    readonly ms: number;
  } | null;
}

/** Who carries out an instance's actions. */
export interface Carriers {
  /** Workers that are alive and know the instance. */
  readonly workers: number;
  /** Actions that they start a minute together, lately. */
  readonly startsPerMinute: number;
}

/** A worker as it was last heard of. */
export interface WorkerReport {
  readonly id: string;
  readonly seenAt: Date;
  /** Milliseconds since then, by the database's clock. */
  readonly silentMs: number;
  /** Of Riposte, that it runs; null: an earlier one that did not say. */
  readonly version: string | null;
  readonly running: number;
  /** Ids of the provider instances that it carries actions out for; null: it did not say. */
  readonly instances: readonly string[] | null;
  readonly lastSweep: {
    readonly at: Date;
    readonly due: number;
    readonly hinted: number;
    readonly closed: number;
    readonly ms: number;
  } | null;
}

/** A worker of an earlier version says nothing of some of these. */
interface WorkerDocument
  extends Pick<WorkerReport, 'seenAt'>, Partial<Pick<WorkerReport, 'version' | 'running' | 'lastSweep'>> {
  readonly _id: string;
  readonly instances?: WorkerFacts['instances'];
}

/** Seconds after which a silent worker's entry is removed. */
const FORGET_AFTER_SECONDS = 3600;
const WORKERS = 'workers';
/** MongoDB removes the entry of a worker that was not heard of for an hour. */
export const WORKER_INDEXES = indexesOf(WORKERS, {
  key: { seenAt: 1 },
  expireAfterSeconds: FORGET_AFTER_SECONDS,
});
const LIST_MOST = 1000;
/** Milliseconds a list may go on being asked for through an election. */
const LIST_BUDGET_MS = 8000;
/** Milliseconds a sign of life, or a count of them, goes on being tried: without the first no worker starts. */
const BEAT_BUDGET_MS = 15_000;

/** Which workers are alive, by their own word. Times are the database's. */
export class WorkerRegistry {
  readonly #workers: mongoose.mongo.Collection<WorkerDocument>;

  constructor(db: mongoose.mongo.Db) {
    this.#workers = db.collection<WorkerDocument>(WORKERS);
  }

  /**
   * Says that this worker is alive, and how it fares.
   * @throws OperationalError, WriteUnconfirmedError when the database does not answer for as long as an election takes
   */
  async beat(workerId: string, { version, running, instances, lastSweep }: WorkerFacts): Promise<void> {
    const { agoMs = 0, ...figures } = lastSweep ?? {};
    const sweep =
      lastSweep === null
        ? null
        : { at: { $subtract: ['$$NOW', Math.max(0, Math.round(agoMs))] }, ...figures };
    await repeatable(BEAT_BUDGET_MS, () =>
      this.#workers.updateOne(
        { _id: workerId },
        [
          {
            $set: {
              seenAt: '$$NOW',
              version,
              running,
              instances: { $literal: instances },
              lastSweep: sweep,
            },
          },
        ],
        { upsert: true },
      ),
    );
  }

  /** The workers heard of in the last hour that did not leave, the latest beat first; at most 1,000. */
  async list(): Promise<readonly WorkerReport[]> {
    const documents = await repeatable(LIST_BUDGET_MS, () =>
      this.#workers
        .aggregate<WorkerDocument & { readonly silentMs: number }>([
          { $sort: { seenAt: -1, _id: 1 } },
          { $limit: LIST_MOST },
          { $set: { silentMs: { $subtract: ['$$NOW', '$seenAt'] } } },
        ])
        .toArray(),
    );
    return documents.map(
      ({ _id, seenAt, silentMs, version = null, running = 0, instances, lastSweep = null }) => ({
        id: _id,
        seenAt,
        silentMs,
        version,
        running,
        instances: instances?.map(({ id }) => id) ?? null,
        lastSweep,
      }),
    );
  }

  /** Takes a stopping worker off the list. */
  async leave(workerId: string): Promise<void> {
    await this.#workers.deleteOne({ _id: workerId });
  }

  /** How many workers were heard of in the last `withinMs` milliseconds. */
  countAlive(withinMs: number): Promise<number> {
    return repeatedRead(BEAT_BUDGET_MS, () => this.#workers.countDocuments(heardOf(withinMs)));
  }

  /** Those of them that carry out the actions of an instance; one that does not say which it does is taken for one. */
  async carriers(instance: string, withinMs: number): Promise<Carriers> {
    const alive = await this.#workers
      .find(heardOf(withinMs))
      .project<Pick<WorkerDocument, 'instances'>>({ _id: 0, instances: 1 })
      .limit(LIST_MOST)
      .toArray();
    const rates = alive.flatMap(({ instances }) => {
      if (instances === undefined) return [0];
      return instances.filter(({ id }) => id === instance).map(({ startsPerMinute }) => startsPerMinute);
    });
    return { workers: rates.length, startsPerMinute: rates.reduce((sum, rate) => sum + rate, 0) };
  }
}

function heardOf(withinMs: number): { readonly $expr: object } {
  return { $expr: { $gte: ['$seenAt', { $subtract: ['$$NOW', withinMs] }] } };
}
