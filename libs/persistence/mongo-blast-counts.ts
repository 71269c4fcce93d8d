import { createHash } from 'node:crypto';
import mongoose from 'mongoose';
import { OperationalError, type BlastCount, type BlastCounts } from '#domain';
import { indexesOf } from './index-declaration.js';
import { NOW, literal, type Expression } from './pipeline.js';
import { isDuplicateKey } from './together.js';
import { DEFAULT_RETRY_BUDGET_MS, WriteUnconfirmedError, repeatable } from './write-retry.js';

interface CountDocument {
  /** SHA-256 of what is counted together: of one length, and no caller's text. */
  readonly _id: mongoose.mongo.Binary;
  /** Those of the last hour, oldest first. */
  readonly taken: readonly { readonly actionId: string; readonly at: Date }[];
  readonly lastAt: Date;
}

const HOUR_MS = 3_600_000;
const COUNTS = 'blastCounts';
/** MongoDB removes what counts for nothing any more. */
export const BLAST_COUNT_INDEXES = indexesOf(COUNTS, {
  key: { lastAt: 1 },
  expireAfterSeconds: (2 * HOUR_MS) / 1000,
});

/** `BlastCounts` on MongoDB: one document per count, whose one conditional write decides by the database's clock. */
export class MongoBlastCounts implements BlastCounts {
  readonly #counts: mongoose.mongo.Collection<CountDocument>;
  readonly #budgetMs: number;

  /** @param retryBudgetMs milliseconds a call may go on repeating through an election; default 12,000 */
  constructor(db: mongoose.mongo.Db, retryBudgetMs = DEFAULT_RETRY_BUDGET_MS) {
    this.#counts = db.collection<CountDocument>(COUNTS);
    this.#budgetMs = retryBudgetMs;
  }

  async take({ of, actionId, perHour }: BlastCount): Promise<Date | null> {
    const isNew: Expression = {
      $and: [
        { $not: [{ $in: [literal(actionId), '$taken.actionId'] }] },
        { $lt: [{ $size: '$taken' }, perHour] },
      ],
    };
    const takeOnce = (): Promise<CountDocument | null> =>
      this.#counts.findOneAndUpdate(
        { _id: idOf(of) },
        [
          { $set: { taken: OF_THE_LAST_HOUR, lastAt: NOW } },
          {
            $set: {
              taken: {
                $cond: [
                  isNew,
                  { $concatArrays: ['$taken', [{ actionId: literal(actionId), at: NOW }]] },
                  '$taken',
                ],
              },
            },
          },
        ],
        { upsert: true, returnDocument: 'after' },
      );
    const taken = (
      await this.#write(() =>
        // Two may insert at the same time; who comes second finds the other's then.
        takeOnce().catch((error: unknown) => {
          if (isDuplicateKey(error)) return takeOnce();
          throw error;
        }),
      )
    )?.taken;
    if (taken === undefined || taken.some((one) => one.actionId === actionId)) return null;
    // There is room for it when the last of those that are too many has left the hour.
    const leaves = taken[taken.length - perHour]?.at ?? new Date();
    return new Date(leaves.getTime() + HOUR_MS);
  }

  async giveBack({ of, actionId }: BlastCount): Promise<void> {
    await this.#write(() => this.#counts.updateOne({ _id: idOf(of) }, { $pull: { taken: { actionId } } }));
  }

  async #write<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await repeatable(this.#budgetMs, write);
    } catch (cause) {
      if (!(cause instanceof WriteUnconfirmedError)) throw cause;
      // No action was written yet, whatever was counted.
      throw new OperationalError('serviceNotAvailable', 'The database does not answer. Try again.', 5, {
        cause,
      });
    }
  }
}

const OF_THE_LAST_HOUR: Expression = {
  $filter: {
    input: { $ifNull: ['$taken', []] },
    cond: { $gt: ['$$this.at', { $subtract: [NOW, HOUR_MS] }] },
  },
};

function idOf(of: readonly string[]): mongoose.mongo.Binary {
  // As JSON, no two lists are the same text.
  return new mongoose.mongo.Binary(createHash('sha256').update(JSON.stringify(of)).digest());
}
