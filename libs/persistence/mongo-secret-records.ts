import type mongoose from 'mongoose';
import type {
  KeyValuePair,
  RecipientRecord,
  SecretRecord,
  SecretRecords,
  SharedKeyRecord,
  StoredParameters,
} from '#domain';
import { ACTIONS, type ActionDocument, type Uuid } from './action-document.js';
import { RECIPIENTS } from './mongo-subscription-store.js';
import { SHARED_KEYS, newSharedKey, placeOfSharedKey, type SharedKeyDocument } from './shared-key.js';
import { uuidOf } from './uuid.js';
import { repeatable } from './write-retry.js';

interface Fields {
  readonly _id: Uuid;
  readonly tenantId: string;
  readonly instance: string;
  readonly actionName: string;
  readonly parameters: readonly KeyValuePair[];
  readonly sealed?: string;
}

interface RecipientFields {
  readonly _id: string;
  readonly kind: 'subscription' | 'webhook';
  readonly tenantId: string;
  readonly sealed: string;
}

const FIELDS = { tenantId: 1, instance: 1, actionName: 1, parameters: 1, sealed: 1 } as const;

/** `SecretRecords` on MongoDB. It goes through all actions by their id, so that it needs no index and costs writes nothing. */
export class MongoSecretRecords implements SecretRecords {
  readonly #actions: mongoose.mongo.Collection<ActionDocument>;
  readonly #recipients: mongoose.mongo.Collection<RecipientFields>;
  readonly #keys: mongoose.mongo.Collection<{ _id: string }>;
  readonly #budgetMs: number;

  constructor(db: mongoose.mongo.Db, retryBudgetMs: number) {
    this.#actions = db.collection<ActionDocument>(ACTIONS);
    this.#recipients = db.collection<RecipientFields>(RECIPIENTS);
    this.#keys = db.collection<{ _id: string }>(SHARED_KEYS);
    this.#budgetMs = retryBudgetMs;
  }

  async page(after: string | null, limit: number): Promise<readonly SecretRecord[]> {
    const documents = await repeatable(this.#budgetMs, () =>
      this.#actions
        .find(after === null ? {} : { _id: { $gt: uuidOf(after) } })
        .project<Fields>(FIELDS)
        .sort({ _id: 1 })
        .limit(limit)
        .toArray(),
    );
    return documents.map(({ _id, sealed = null, ...rest }) => ({ ...rest, id: _id.toString(), sealed }));
  }

  async replace({ id, tenantId, ...before }: SecretRecord, after: StoredParameters): Promise<boolean> {
    const { parameters, sealed } = after;
    return repeatable(this.#budgetMs, async (isRepeat) => {
      const { matchedCount } = await this.#actions.updateOne(
        {
          _id: uuidOf(id),
          tenantId,
          parameters: { $eq: [...before.parameters] },
          // Null also finds a record that has none.
          sealed: before.sealed,
        },
        { $set: { parameters: [...parameters], ...(sealed === null ? {} : { sealed }) } },
      );
      if (matchedCount > 0 || !isRepeat || sealed === null) return matchedCount > 0;
      // The first try may have changed it, with its answer lost.
      return (await this.#actions.countDocuments({ _id: uuidOf(id), sealed })) > 0;
    });
  }

  async recipients(after: string | null, limit: number): Promise<readonly RecipientRecord[]> {
    const documents = await repeatable(this.#budgetMs, () =>
      this.#recipients
        .find(after === null ? {} : { _id: { $gt: after } })
        .project<RecipientFields>({ kind: 1, tenantId: 1, sealed: 1 })
        .sort({ _id: 1 })
        .limit(limit)
        .toArray(),
    );
    return documents.map(({ _id: id, kind, tenantId, sealed }) => ({
      place: { kind, tenantId, id },
      sealed,
    }));
  }

  async replaceRecipient({ place, ...before }: RecipientRecord, sealed: string): Promise<boolean> {
    return repeatable(this.#budgetMs, async (isRepeat) => {
      const { matchedCount } = await this.#recipients.updateOne(
        { _id: place.id, sealed: before.sealed },
        { $set: { sealed } },
      );
      if (matchedCount > 0 || !isRepeat) return matchedCount > 0;
      return (await this.#recipients.countDocuments({ _id: place.id, sealed })) > 0;
    });
  }

  async sharedKeys(): Promise<readonly SharedKeyRecord[]> {
    const keys = await repeatable(this.#budgetMs, () => this.#keys.find<SharedKeyDocument>({}).toArray());
    return keys.map(({ _id, sealed = null, key = null }) => ({
      place: placeOfSharedKey(_id),
      sealed,
      clear: key,
    }));
  }

  async replaceSharedKey({ place, ...before }: SharedKeyRecord, sealed: string): Promise<boolean> {
    return repeatable(this.#budgetMs, async (isRepeat) => {
      const { matchedCount } = await this.#keys.updateOne(
        { _id: place.id, sealed: before.sealed, key: before.clear },
        { $set: { sealed }, $unset: { key: '' } },
      );
      if (matchedCount > 0 || !isRepeat) return matchedCount > 0;
      return (await this.#keys.countDocuments({ _id: place.id, sealed })) > 0;
    });
  }

  newSharedKey(): string {
    return newSharedKey();
  }
}
