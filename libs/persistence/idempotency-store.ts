import { createHash } from 'node:crypto';
import mongoose from 'mongoose';
import {
  OperationalError,
  OutcomeUnknownError,
  type Caller,
  type IdempotencyKeys,
  type Reservation,
} from '#domain';
import { indexesOf } from './index-declaration.js';
import { NOW, literal, type Expression } from './pipeline.js';
import { WriteUnconfirmedError, repeatable } from './write-retry.js';
import { isDuplicateKey } from './together.js';

interface KeyDocument extends Reservation {
  /** SHA-256 of tenant, application and key: of one length, and no caller's text. */
  readonly _id: mongoose.mongo.Binary;
  readonly createdAt: Date;
}

/** The collection of the keys. */
const KEYS = 'idempotencyKeys';
/** Milliseconds for which a key is remembered. */
const KEY_LIFE_MS = 24 * 3_600_000;
/** MongoDB removes old keys. */
export const IDEMPOTENCY_KEY_INDEXES = indexesOf(KEYS, {
  key: { createdAt: 1 },
  expireAfterSeconds: KEY_LIFE_MS / 1000,
});
/**
 * Milliseconds from its creation for which an action that a key leads to has to stay on record: longer than the
 * key, whatever clocks disagree by and however slow the request was that still found the key.
 */
export const KEYED_ACTION_STAYS_MS = KEY_LIFE_MS + 3_600_000;
const DEFAULT_RETRY_BUDGET_MS = 12_000;

/** A key as old as this no longer counts; MongoDB's own removal (TTL) comes up to some minutes later. */
const IS_ALIVE: Expression = { $gt: ['$createdAt', { $subtract: [NOW, KEY_LIFE_MS] }] };

/** `IdempotencyKeys` on MongoDB: one document a key, made or replaced by one conditional write. */
export class MongoIdempotencyKeys implements IdempotencyKeys {
  readonly #keys: mongoose.mongo.Collection<KeyDocument>;
  readonly #budgetMs: number;

  /** @param retryBudgetMs milliseconds a call may go on repeating through an election; default 12,000 */
  constructor(db: mongoose.mongo.Db, retryBudgetMs = DEFAULT_RETRY_BUDGET_MS) {
    this.#keys = db.collection<KeyDocument>(KEYS);
    this.#budgetMs = retryBudgetMs;
  }

  async find(caller: Caller, key: string): Promise<Reservation | null> {
    const filter = { _id: idOf(caller, key), $expr: IS_ALIVE };
    try {
      return reservationIn(await repeatable(this.#budgetMs, () => this.#keys.findOne(filter)));
    } catch (cause) {
      if (!(cause instanceof WriteUnconfirmedError)) throw cause;
      throw new OperationalError('serviceNotAvailable', 'The database does not answer. Try again.', 5, {
        cause,
      });
    }
  }

  async reserve(caller: Caller, key: string, wanted: Reservation): Promise<Reservation> {
    const id = idOf(caller, key);
    const fresh = { _id: id, ...literals(wanted), createdAt: NOW };
    const reserveOnce = (): Promise<KeyDocument | null> =>
      this.#keys.findOneAndUpdate({ _id: id }, [{ $replaceWith: { $cond: [IS_ALIVE, '$$ROOT', fresh] } }], {
        upsert: true,
        returnDocument: 'after',
      });
    try {
      const stands = await repeatable(this.#budgetMs, () =>
        // Two may insert at the same time; who comes second finds the other's then.
        reserveOnce().catch((error: unknown) => {
          if (isDuplicateKey(error)) return reserveOnce();
          throw error;
        }),
      );
      return reservationIn(stands) ?? wanted;
    } catch (cause) {
      if (cause instanceof WriteUnconfirmedError) throw new OutcomeUnknownError(wanted.actionId, { cause });
      throw cause;
    }
  }
}

function idOf({ tenantId, appId }: Caller, key: string): mongoose.mongo.Binary {
  // As JSON, no two triples are the same text.
  const text = JSON.stringify([tenantId, appId, key]);
  return new mongoose.mongo.Binary(createHash('sha256').update(text).digest());
}

function literals({ actionId, fingerprint }: Reservation): Readonly<Record<keyof Reservation, Expression>> {
  return { actionId: literal(actionId), fingerprint: literal(fingerprint) };
}

function reservationIn(document: KeyDocument | null): Reservation | null {
  return document === null ? null : { actionId: document.actionId, fingerprint: document.fingerprint };
}
