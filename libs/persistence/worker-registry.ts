import type mongoose from 'mongoose';

interface WorkerDocument {
  readonly _id: string;
  readonly seenAt: Date;
}

/** Seconds after which a silent worker's entry is removed. */
const FORGET_AFTER_SECONDS = 3600;

/** Which workers are alive, by their own word. Times are the database's. */
export class WorkerRegistry {
  readonly #workers: mongoose.mongo.Collection<WorkerDocument>;

  constructor(workers: mongoose.mongo.Collection<WorkerDocument>) {
    this.#workers = workers;
  }

  async ensureIndexes(): Promise<void> {
    await this.#workers.createIndex({ seenAt: 1 }, { expireAfterSeconds: FORGET_AFTER_SECONDS });
  }

  /** Says that this worker is alive. */
  async beat(workerId: string): Promise<void> {
    await this.#workers.updateOne({ _id: workerId }, [{ $set: { seenAt: '$$NOW' } }], { upsert: true });
  }

  /** Takes a stopping worker off the list. */
  async leave(workerId: string): Promise<void> {
    await this.#workers.deleteOne({ _id: workerId });
  }

  /** How many workers were heard of in the last `withinMs` milliseconds. */
  countAlive(withinMs: number): Promise<number> {
    return this.#workers.countDocuments({ $expr: { $gte: ['$seenAt', { $subtract: ['$$NOW', withinMs] }] } });
  }
}
