import type mongoose from 'mongoose';
import {
  isGuid,
  type ArchiveRecord,
  type ExpiredPage,
  type ListPosition,
  type RetentionStore,
} from '#domain';
import { ACTIONS, type Uuid } from './action-document.js';
import { EXACT, lineOf, uuidIn, type ExactDocument } from './exact-record.js';
import { NOW } from './pipeline.js';
import type { ServerClock } from './server-clock.js';
import { uuidOf } from './uuid.js';
import { DEFAULT_RETRY_BUDGET_MS, repeatable } from './write-retry.js';

type Filter = mongoose.mongo.Filter<ExactDocument>;

interface LookedAt {
  readonly _id: Uuid;
  readonly createdAt: Date;
  readonly mayGo: boolean;
  readonly reverts?: string | null;
  readonly revertedBy?: string | null;
}

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
      .project<LookedAt>({ createdAt: 1, reverts: 1, revertedBy: 1, mayGo: mayGo(before) })
      .sort({ createdAt: 1, _id: 1 })
      .limit(limit)
      .toArray();
    const last = page.at(-1);
    return {
      ids: await this.#spared(
        tenantId,
        page.filter((one) => one.mayGo),
      ),
      next:
        page.length === limit && last !== undefined
          ? { at: last.createdAt, id: uuidIn(last).toString() }
          : null,
    };
  }

  /**
   * The ids of those that nothing on record needs: an open revert takes from its original what it is to undo, and an
   * original whose revert is gone would be taken for one that was never undone. Of an original that is asked to be undone
   * after this, `keptUntil` tells at the removal.
   */
  async #spared(tenantId: string, ended: readonly LookedAt[]): Promise<readonly string[]> {
    const others = ended
      .flatMap(({ reverts, revertedBy }) => [reverts ?? '', revertedBy ?? ''])
      .filter((id) => isGuid(id));
    const found =
      others.length === 0
        ? []
        : await this.#actions
            .find({ _id: { $in: others.map(uuidOf) }, tenantId })
            .project<{ _id: Uuid; open?: true; revertedBy?: string | null }>({ open: 1, revertedBy: 1 })
            .toArray();
    const onRecord = new Map(found.map(({ _id, ...one }) => [_id.toString(), one]));
    return ended
      .map(({ _id, ...rest }) => ({ id: _id.toString(), ...rest }))
      .filter(
        ({ id, reverts, revertedBy }) =>
          onRecord.get(reverts ?? '')?.revertedBy !== id && onRecord.get(revertedBy ?? '')?.open !== true,
      )
      .map(({ id }) => id);
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

/**
 * True of what ended before then, for good, needs nobody's attention, has no effect to be lifted, and no idempotency key
 * leads to, nor a revert that is about to be recorded.
 */
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
      // Gone while its idempotency key lives, it would be carried out again by a repeat; gone between the two writes of
      // its revert, that would have nothing to undo.
      { $lte: [{ $ifNull: ['$keptUntil', NOW] }, NOW] },
    ],
  };
}
