import type mongoose from 'mongoose';
import type { IssuerKeyBoard, IssuerPublicKey } from '#domain';
import { indexesOf } from './index-declaration.js';
import { NOW, inMs, literal } from './pipeline.js';
import { repeatable } from './write-retry.js';

interface KeyDocument extends Omit<IssuerPublicKey, 'kid'> {
  readonly _id: string;
  readonly publishedAt: Date;
  readonly seenAt: Date;
  readonly retiredAt: Date | null;
  readonly revokedAt: Date | null;
  /** Until when its tokens are accepted; of a revoked key {@link FOR_GOOD}. */
  readonly validUntil: Date;
}

const COLLECTION = 'issuerKeys';
/** MongoDB removes a key when it is not accepted any more. */
export const ISSUER_KEY_INDEXES = indexesOf(COLLECTION, { key: { validUntil: 1 }, expireAfterSeconds: 0 });
const BUDGET_MS = 8000;
const HOUR_MS = 3_600_000;
/** Milliseconds a token lives at most. */
const LONGEST_TOKEN_MS = 24 * HOUR_MS;
/** And some more for clocks, and for an API process that does not yet know of a change. */
const REMEMBER_MS = LONGEST_TOKEN_MS + HOUR_MS;
/** A key that was revoked stays so: a copy of its data dir may be put to use, or to misuse, at any time. */
const FOR_GOOD = new Date('9999-12-31T00:00:00Z');
const DUPLICATE_KEY = 11_000;
const ENDED = { $ne: [{ $ifNull: ['$retiredAt', '$revokedAt', null] }, null] };

/** What is known of a key, besides the key. */
export type IssuerKeyReport = Omit<KeyDocument, '_id' | 'n' | 'e'> & { readonly kid: string };

/**
 * `IssuerKeyBoard` on MongoDB. A key is valid for a day (and an hour) after it was last seen to sign, or for a day
 * after it was retired: as long as a token it signed may live.
 */
export class IssuerKeyStore implements IssuerKeyBoard {
  readonly #keys: mongoose.mongo.Collection<KeyDocument>;

  constructor(db: mongoose.mongo.Db) {
    this.#keys = db.collection<KeyDocument>(COLLECTION);
  }

  async publish({ kid, n, e }: IssuerPublicKey): Promise<void> {
    const write = (): Promise<unknown> =>
      this.#keys.updateOne(
        { _id: kid },
        [
          {
            $set: {
              n: literal(n),
              e: literal(e),
              publishedAt: { $ifNull: ['$publishedAt', NOW] },
              seenAt: NOW,
              retiredAt: { $ifNull: ['$retiredAt', null] },
              revokedAt: { $ifNull: ['$revokedAt', null] },
              validUntil: { $cond: [ENDED, '$validUntil', inMs(REMEMBER_MS)] },
            },
          },
        ],
        { upsert: true },
      );
    // Two processes on one data dir publish their key for the first time at once: the second finds the first's.
    await repeatable(BUDGET_MS, () =>
      write().catch((error: { readonly code?: unknown }) => {
        if (error.code !== DUPLICATE_KEY) throw error;
        return write();
      }),
    );
  }

  /** A new key took its place: its tokens are good for a day. Of a revoked key nothing changes. */
  async retire(kid: string): Promise<void> {
    await this.#change(kid, {
      retiredAt: { $ifNull: ['$retiredAt', NOW] },
      validUntil: { $cond: [ENDED, '$validUntil', inMs(LONGEST_TOKEN_MS)] },
    });
  }

  /**
   * Its tokens end at once, and it is accepted never again, whoever publishes it.
   * @returns false for a key that was never published, or whose tokens have all expired
   */
  revoke(kid: string): Promise<boolean> {
    return this.#change(kid, {
      revokedAt: { $ifNull: ['$revokedAt', NOW] },
      validUntil: FOR_GOOD,
    });
  }

  /** All that are known, the last published first. */
  async list(): Promise<readonly IssuerKeyReport[]> {
    const found = await repeatable(BUDGET_MS, () => this.#keys.find().sort({ publishedAt: -1 }).toArray());
    return found.map(({ _id, publishedAt, seenAt, retiredAt, revokedAt, validUntil }) => ({
      kid: _id,
      publishedAt,
      seenAt,
      retiredAt,
      revokedAt,
      validUntil,
    }));
  }

  async read(): Promise<{ readonly valid: readonly IssuerPublicKey[]; readonly revoked: readonly string[] }> {
    const found = await repeatable(BUDGET_MS, () =>
      // The index removes documents some time after; and it is the database's clock that counts.
      this.#keys.find({ $expr: { $gt: ['$validUntil', NOW] } }).toArray(),
    );
    return {
      valid: found.filter(({ revokedAt }) => revokedAt === null).map(({ _id, n, e }) => ({ kid: _id, n, e })),
      revoked: found.filter(({ revokedAt }) => revokedAt !== null).map(({ _id }) => _id),
    };
  }

  async #change(kid: string, set: Readonly<Record<string, unknown>>): Promise<boolean> {
    const { matchedCount } = await repeatable(BUDGET_MS, () =>
      this.#keys.updateOne({ _id: kid }, [{ $set: set }]),
    );
    return matchedCount === 1;
  }
}
