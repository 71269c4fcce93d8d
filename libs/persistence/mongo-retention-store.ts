import type mongoose from 'mongoose';
import type { ArchiveRecord, ExpiredPage, ListPosition, RetentionStore } from '#domain';
import { ACTIONS, type Uuid } from './action-document.js';
import { EXACT, lineOf, uuidIn, type ExactDocument } from './exact-record.js';
import { NOW } from './pipeline.js';
import type { ServerClock } from './server-clock.js';
import { uuidOf } from './uuid.js';
import { DEFAULT_RETRY_BUDGET_MS, repeatable } from './write-retry.js';

type Filter = mongoose.mongo.Filter<ExactDocument>;

/** No action has it. */
const NO_ID = '00000000-0000-0000-0000-000000000000';
const UNAUTHORIZED = 13;

/** Records in one answer of the database: 50 of the largest there are (256 KiB) are 13 MB. */
const RECORDS_AT_ONCE = 50;

/**
 * `RetentionStore` on MongoDB. It goes through the index of a tenant's list from its old end, so that its work
 * grows with what is to be removed and not with what is kept.
 */
export class MongoRetentionStore implements RetentionStore {
  readonly #actions: mongoose.mongo.Collection<ExactDocument>;
  readonly #clock: ServerClock;

  constructor(db: mongoose.mongo.Db, clock: ServerClock) {
    this.#actions = db.collection<ExactDocument>(ACTIONS);
    this.#clock = clock;
  }

  /** Whether this connection's user is allowed to remove actions. @throws OperationalError when the database does not answer */
  async mayRemove(): Promise<boolean> {
    try {
      await repeatable(DEFAULT_RETRY_BUDGET_MS, () => this.#actions.deleteOne({ _id: uuidOf(NO_ID) }));
      return true;
    } catch (error) {
      if ((error as { readonly code?: unknown }).code === UNAUTHORIZED) return false;
      throw error;
    }
  }

  async tenants(): Promise<readonly string[]> {
    return this.#actions.distinct('tenantId');
  }

  async expired(
    tenantId: string,
    keepMs: number,
    limit: number,
    after: ListPosition | null,
  ): Promise<ExpiredPage> {
    const before = this.#before(keepMs);
    const beyond: Filter =
      after === null ? {} : { $or: [{ createdAt: { $gt: after.at } }, { _id: { $gt: uuidOf(after.id) } }] };
    const page = await this.#actions
      .find({
        tenantId,
        createdAt: after === null ? { $lt: before } : { $gte: after.at, $lt: before },
        ...beyond,
      })
      // Whether it may go is asked of those looked at, so that those that may not cost no more than a page a pass.
      .project<{ _id: Uuid; createdAt: Date; mayGo: boolean }>({ createdAt: 1, mayGo: mayGo(before) })
      .sort({ createdAt: 1, _id: 1 })
      .limit(limit)
      .toArray();
    const last = page.at(-1);
    return {
      ids: page.filter((one) => one.mayGo).map(({ _id }) => _id.toString()),
      next:
        page.length === limit && last !== undefined
          ? { at: last.createdAt, id: uuidIn(last).toString() }
          : null,
    };
  }

  async *records(tenantId: string, ids: readonly string[]): AsyncGenerator<ArchiveRecord> {
    const documents = this.#actions.find(
      { _id: { $in: ids.map(uuidOf) }, tenantId },
      {
        ...EXACT,
        batchSize: RECORDS_AT_ONCE,
      },
    );
    for await (const document of documents) {
      const { _id, completedAt } = document;
      if (completedAt !== null) yield { id: _id.toString(), completedAt, line: lineOf(document) };
    }
  }

  async remove(tenantId: string, keepMs: number, ids: readonly string[]): Promise<number> {
    const { deletedCount } = await this.#actions.deleteMany({
      _id: { $in: ids.map(uuidOf) },
      tenantId,
      $expr: mayGo(this.#before(keepMs)),
    });
    return deletedCount;
  }

  #before(keepMs: number): Date {
    return new Date(this.#clock.now().getTime() - keepMs);
  }
}

/** True of what ended before then, for good, needs nobody's attention, has no effect to be lifted, and no idempotency key leads to. */
function mayGo(before: Date): object {
  return {
    $and: [
      { $in: ['$status', ['Completed', 'Failed']] },
      { $ne: [{ $ifNull: ['$open', false] }, true] },
      // As `isUnresolved`; the flag alone would let go what ended before there was one.
      {
        $or: [
          { $ne: [{ $ifNull: ['$resolution', null] }, null] },
          {
            $and: [
              { $ne: ['$phase', 'outcomeUnknown'] },
              { $ne: [{ $last: { $ifNull: ['$attempts.outcome', []] } }, 'unknown'] },
            ],
          },
        ],
      },
      { $ne: [{ $ifNull: ['$completedAt', null] }, null] },
      { $lt: ['$completedAt', before] },
      // Gone before its time, its effect would stay for ever.
      { $eq: [{ $ifNull: ['$liftAt', null] }, null] },
      // Gone while its idempotency key lives, it would be carried out again by a repeat.
      { $lte: [{ $ifNull: ['$keptUntil', NOW] }, NOW] },
    ],
  };
}
