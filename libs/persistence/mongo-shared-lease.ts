import type mongoose from 'mongoose';
import type { SharedLease } from '#domain';
import { NOW, inMs, literal } from './pipeline.js';
import { isDuplicateKey } from './together.js';

interface LeaseDocument {
  readonly _id: string;
  readonly owner: string;
  readonly until: Date;
}

/** The collection of the leases, one document for each kind of work. */
const LEASES = 'leases';

/** `SharedLease` on MongoDB: one conditional write by the database's own clock. */
export class MongoSharedLease implements SharedLease {
  readonly #leases: mongoose.mongo.Collection<LeaseDocument>;
  readonly #name: string;

  /** @param name of the work, e.g. `retention` */
  constructor(db: mongoose.mongo.Db, name: string) {
    this.#leases = db.collection<LeaseDocument>(LEASES);
    this.#name = name;
  }

  async take(owner: string, ms: number): Promise<boolean> {
    const me = literal(owner);
    const mayTake = { $or: [{ $lte: [{ $ifNull: ['$until', NOW] }, NOW] }, { $eq: ['$owner', me] }] };
    try {
      const lease = await this.#leases.findOneAndUpdate(
        { _id: this.#name },
        [
          {
            $set: {
              owner: { $cond: [mayTake, me, '$owner'] },
              until: { $cond: [mayTake, inMs(ms), '$until'] },
            },
          },
        ],
        { upsert: true, returnDocument: 'after' },
      );
      return lease?.owner === owner;
    } catch (error) {
      // Two took the first lease there ever was at the same time: it is the other's.
      if (isDuplicateKey(error)) return false;
      throw error;
    }
  }

  async giveBack(owner: string): Promise<void> {
    await this.#leases.deleteOne({ _id: this.#name, owner });
  }
}
