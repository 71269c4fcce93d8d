import { isDeepStrictEqual } from 'node:util';
import type mongoose from 'mongoose';
import { ConfigurationError } from '#domain';
import { ACTION_INDEXES } from './action-document.js';
import { FIGURE_INDEXES } from './action-figures.js';
import { APPLICATION_INDEXES } from './application-store.js';
import { ENTRY_INDEXES } from './entry-ledger.js';
import { FEED_CONSUMER_INDEXES } from './feed-store.js';
import { IDEMPOTENCY_KEY_INDEXES } from './idempotency-store.js';
import { nameOf, type CollectionIndexes, type IndexDeclaration } from './index-declaration.js';
import { ISSUER_KEY_INDEXES } from './issuer-key-store.js';
import { AUDIT_CHECKPOINT_INDEXES, AUDIT_INBOX_INDEXES, AUDIT_INDEXES } from './audit-store.js';
import { BLAST_COUNT_INDEXES } from './mongo-blast-counts.js';
import { NOTIFICATION_INDEXES, SUBSCRIPTION_INDEXES } from './mongo-subscription-store.js';
import { OPERATOR_INDEXES } from './operator-store.js';
import { QUESTION_INDEXES } from './question-store.js';
import { SESSION_INDEXES } from './session-store.js';
import { WORKER_INDEXES } from './worker-registry.js';

/** Every index that the product needs, besides those of the ids. */
export const INDEXES: readonly CollectionIndexes[] = [
  ACTION_INDEXES,
  FIGURE_INDEXES,
  APPLICATION_INDEXES,
  AUDIT_CHECKPOINT_INDEXES,
  AUDIT_INBOX_INDEXES,
  AUDIT_INDEXES,
  BLAST_COUNT_INDEXES,
  ENTRY_INDEXES,
  FEED_CONSUMER_INDEXES,
  IDEMPOTENCY_KEY_INDEXES,
  ISSUER_KEY_INDEXES,
  NOTIFICATION_INDEXES,
  OPERATOR_INDEXES,
  QUESTION_INDEXES,
  SESSION_INDEXES,
  SUBSCRIPTION_INDEXES,
  WORKER_INDEXES,
];

/** How an index that is needed stands in a database. */
export interface IndexState {
  readonly collection: string;
  readonly name: string;
  /** `different`: there is one with this key or name, with other options. */
  readonly state: 'ready' | 'building' | 'missing' | 'different';
}

interface StoredIndex {
  readonly name: string;
  readonly key: Readonly<Record<string, unknown>>;
  readonly unique?: boolean;
  readonly expireAfterSeconds?: number;
  readonly partialFilterExpression?: Readonly<Record<string, unknown>>;
}

const NAMESPACE_NOT_FOUND = 26;
const UNAUTHORIZED = 13;
const OPTIONS_CONFLICT = 85;
const KEY_SPECS_CONFLICT = 86;
/** Enough for every index of a collection: MongoDB has at most 64. */
const FIRST_BATCH = 128;

/**
 * How each of {@link INDEXES} stands. Needs no more than to list the indexes of a collection.
 * @param maxTimeMs milliseconds the database may take over a collection
 * @throws the driver's error
 */
export async function indexStates(db: mongoose.mongo.Db, maxTimeMs?: number): Promise<readonly IndexState[]> {
  const states = await Promise.all(
    INDEXES.map(async ({ collection, indexes }) => {
      const stored = await storedIndexes(db, collection, maxTimeMs);
      return indexes.map((index) => ({ collection, name: nameOf(index), state: stateOf(index, stored) }));
    }),
  );
  return states.flat();
}

/**
 * Makes those of {@link INDEXES} that are not there, and waits for those that are being built. Where all are there it
 * needs no privilege to make one.
 *
 * @throws ConfigurationError when the database's user may not make what is missing, or when one is there with other options
 */
export async function ensureIndexes(db: mongoose.mongo.Db): Promise<void> {
  await Promise.all(
    INDEXES.map(async ({ collection, indexes }) => {
      const stored = await storedIndexes(db, collection);
      const wanted = indexes.filter((index) => stateOf(index, stored) !== 'ready');
      if (wanted.length > 0) await create(db, collection, wanted);
    }),
  );
}

async function create(
  db: mongoose.mongo.Db,
  collection: string,
  indexes: readonly IndexDeclaration[],
): Promise<void> {
  try {
    await db
      .collection(collection)
      .createIndexes(indexes.map((index) => ({ ...index, key: { ...index.key } })));
  } catch (cause) {
    const names = indexes.map(nameOf).join(', ');
    switch ((cause as { readonly code?: unknown }).code) {
      case UNAUTHORIZED:
        throw new ConfigurationError(
          `The collection ${collection} lacks indexes (${names}), and this user of the database may not make them. ` +
            'Run "riposte setup indexes" once with the MONGODB_URI of one who may.',
          { cause },
        );
      case OPTIONS_CONFLICT:
      case KEY_SPECS_CONFLICT:
        throw new ConfigurationError(
          `The collection ${collection} has an index of the name or key of one of these, with other options: ${names}. ` +
            'Drop it (db.collection.dropIndex); the next start makes it as it has to be.',
          { cause },
        );
      default:
        throw cause;
    }
  }
}

/** Of a collection that there is not yet: none. */
async function storedIndexes(
  db: mongoose.mongo.Db,
  collection: string,
  maxTimeMs?: number,
): Promise<readonly (StoredIndex & { readonly isBuilding: boolean })[]> {
  try {
    const answer = await db.command({
      listIndexes: collection,
      // One that is being built looks like any other without it.
      includeBuildUUIDs: true,
      cursor: { batchSize: FIRST_BATCH },
      ...(maxTimeMs === undefined ? {} : { maxTimeMS: maxTimeMs }),
    });
    const { firstBatch } = answer['cursor'] as {
      readonly firstBatch: readonly (StoredIndex | { readonly spec: StoredIndex })[];
    };
    return firstBatch.map((one) =>
      'spec' in one ? { ...one.spec, isBuilding: true } : { ...one, isBuilding: false },
    );
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === NAMESPACE_NOT_FOUND) return [];
    throw error;
  }
}

function stateOf(
  declared: IndexDeclaration,
  stored: readonly (StoredIndex & { readonly isBuilding: boolean })[],
): IndexState['state'] {
  const alike = stored.find((index) => isAlike(declared, index));
  if (alike !== undefined) return alike.isBuilding ? 'building' : 'ready';
  const isInTheWay = stored.some((index) => index.name === nameOf(declared) || isSameKey(declared, index));
  return isInTheWay ? 'different' : 'missing';
}

function isAlike(declared: IndexDeclaration, stored: StoredIndex): boolean {
  return (
    isSameKey(declared, stored) &&
    (declared.unique ?? false) === (stored.unique ?? false) &&
    declared.expireAfterSeconds === stored.expireAfterSeconds &&
    isDeepStrictEqual(declared.partialFilterExpression ?? {}, stored.partialFilterExpression ?? {})
  );
}

function isSameKey({ key }: IndexDeclaration, stored: StoredIndex): boolean {
  return isDeepStrictEqual(Object.entries(key), Object.entries(stored.key));
}
