import type mongoose from 'mongoose';
import type { Caller, HealthReport, InstanceRecord, InstanceRecords, Maintained } from '#domain';
import { INSTANCES } from './action-document.js';
import { literal } from './pipeline.js';
import { DEFAULT_RETRY_BUDGET_MS, repeatable, repeatedRead } from './write-retry.js';

interface InstanceDocument extends Partial<Omit<InstanceRecord, 'instance'>> {
  readonly _id: string;
}

/** `InstanceRecords` on MongoDB, one document an instance; stamped by the database's clock. */
export class InstanceStore implements InstanceRecords {
  readonly #instances: mongoose.mongo.Collection<InstanceDocument>;
  readonly #budgetMs: number;

  constructor(db: mongoose.mongo.Db, retryBudgetMs = DEFAULT_RETRY_BUDGET_MS) {
    this.#instances = db.collection<InstanceDocument>(INSTANCES);
    this.#budgetMs = retryBudgetMs;
  }

  async list(): Promise<readonly InstanceRecord[]> {
    const documents = await repeatedRead(this.#budgetMs, () => this.#instances.find().toArray());
    return documents.map(toRecord);
  }

  /** Who paused it first, when and why stands until it is resumed. */
  pause(instance: string, { appId, user }: Caller, reason: string): Promise<InstanceRecord> {
    const paused = {
      by: { appId: literal(appId), user: literal(user) },
      at: '$$NOW',
      reason: literal(reason),
    };
    return this.#change(instance, { paused: { $ifNull: ['$paused', paused] } });
  }

  resume(instance: string): Promise<InstanceRecord> {
    return this.#change(instance, { paused: null });
  }

  async reportHealth(instance: string, { ok, message, checks }: HealthReport): Promise<void> {
    const health = { ok, message, ...(checks === undefined ? {} : { checks }) };
    await this.#change(instance, { health: { $mergeObjects: [literal(health), { at: '$$NOW' }] } });
  }

  async reportMaintained(instance: string, { checked, added, removed, problems }: Maintained): Promise<void> {
    const report = { checked, added, removed, problems };
    await this.#change(instance, { maintained: { $mergeObjects: [literal(report), { at: '$$NOW' }] } });
  }

  async #change(instance: string, changes: Readonly<Record<string, unknown>>): Promise<InstanceRecord> {
    const document = await repeatable(this.#budgetMs, () =>
      this.#instances.findOneAndUpdate({ _id: instance }, [{ $set: changes }], {
        upsert: true,
        returnDocument: 'after',
      }),
    );
    return toRecord(document ?? { _id: instance });
  }
}

function toRecord({
  _id,
  paused = null,
  health = null,
  maintained = null,
}: InstanceDocument): InstanceRecord {
  return { instance: _id, paused, health, maintained };
}
