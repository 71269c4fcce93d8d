import type mongoose from 'mongoose';
import type { Application, ApplicationDirectory, ApplicationSecret, Revocation } from '#domain';
import { indexesOf } from './index-declaration.js';
import { NOW, literal } from './pipeline.js';
import { repeatable } from './write-retry.js';

/** An application to be registered. */
export type NewApplication = Pick<Application, 'appId' | 'tenantId' | 'name' | 'roles'>;
/** A secret to be added; the database stamps when. */
export type NewSecret = Pick<ApplicationSecret, 'id' | 'hash' | 'hint'> & {
  /** Milliseconds from now; null: it does not expire. */
  readonly expiresInMs: number | null;
};

interface ApplicationDocument extends Omit<Application, 'appId'> {
  readonly _id: string;
}

const COLLECTION = 'applications';
/** The applications of a tenant, and those whose tokens were revoked. */
export const APPLICATION_INDEXES = indexesOf(
  COLLECTION,
  { key: { tenantId: 1, createdAt: 1 } },
  { key: { revokedAt: 1 }, partialFilterExpression: { revokedAt: { $type: 'date' } } },
);
/** Milliseconds a call may go on being repeated through an election. */
const BUDGET_MS = 8000;
const LIST_MOST = 10_000;
/** Old and new while one is replaced, and some. */
const MOST_SECRETS = 10;

/** The applications that the built-in issuer knows, in MongoDB. Times are the database's. */
export class ApplicationStore implements ApplicationDirectory {
  readonly #applications: mongoose.mongo.Collection<ApplicationDocument>;

  constructor(db: mongoose.mongo.Db) {
    this.#applications = db.collection<ApplicationDocument>(COLLECTION);
  }

  async find(appId: string): Promise<Application | null> {
    const found = await repeatable(BUDGET_MS, () =>
      this.#applications.findOne({ _id: appId.toLowerCase() }, { maxTimeMS: 2000 }),
    );
    return found === null ? null : applicationOf(found);
  }

  async revocations(): Promise<readonly Revocation[]> {
    const found = await repeatable(BUDGET_MS, () =>
      this.#applications
        .find({ revokedAt: { $type: 'date' } })
        .project<Pick<ApplicationDocument, '_id' | 'tenantId' | 'disabledAt' | 'revokedAt'>>({
          tenantId: 1,
          disabledAt: 1,
          revokedAt: 1,
        })
        .toArray(),
    );
    return found.map(({ _id, tenantId, disabledAt, revokedAt }) => ({
      appId: _id,
      tenantId,
      disabledAt,
      revokedAt,
    }));
  }

  /** Oldest first, of one tenant or of all; at most 10,000. */
  async list(tenantId: string | null): Promise<readonly Application[]> {
    const found = await repeatable(BUDGET_MS, () =>
      this.#applications
        .find(tenantId === null ? {} : { tenantId })
        .sort({ tenantId: 1, createdAt: 1, _id: 1 })
        .limit(LIST_MOST)
        .toArray(),
    );
    return found.map((document) => applicationOf(document));
  }

  /** Registers an application with its first secret. Safe to repeat with the same id. */
  async add(application: NewApplication, secret: NewSecret): Promise<void> {
    const { appId, tenantId, name, roles } = application;
    // An upsert by pipeline, for the database's clock; where it is there already, it stays as it is.
    const once = (field: string, value: unknown): unknown => ({ $ifNull: [`$${field}`, value] });
    await repeatable(BUDGET_MS, () =>
      this.#applications.updateOne(
        { _id: appId },
        [
          {
            $set: {
              tenantId: once('tenantId', literal(tenantId)),
              name: once('name', literal(name)),
              roles: once('roles', literal(roles)),
              secrets: once('secrets', [secretDocument(secret)]),
              createdAt: once('createdAt', NOW),
              disabledAt: once('disabledAt', null),
              revokedAt: once('revokedAt', null),
            },
          },
        ],
        { upsert: true },
      ),
    );
  }

  /**
   * Adds a secret; those it has stay. Safe to repeat with the same secret.
   * @returns `full` when the application has ten secrets
   */
  async addSecret(appId: string, secret: NewSecret): Promise<'added' | 'full' | 'unknown'> {
    const mine = { $in: [secret.id, '$secrets.id'] };
    const room = { $lt: [{ $size: '$secrets' }, MOST_SECRETS] };
    const { matchedCount } = await repeatable(BUDGET_MS, () =>
      this.#applications.updateOne({ _id: appId, $expr: { $or: [mine, room] } }, [
        {
          $set: {
            secrets: { $cond: [mine, '$secrets', { $concatArrays: ['$secrets', [secretDocument(secret)]] }] },
          },
        },
      ]),
    );
    if (matchedCount === 1) return 'added';
    return (await this.find(appId)) === null ? 'unknown' : 'full';
  }

  /** Removes a secret. False: there is no such application or secret. */
  async removeSecret(appId: string, secretId: string): Promise<boolean> {
    const there = await this.find(appId);
    if (there?.secrets.some(({ id }) => id === secretId) !== true) return false;
    await repeatable(BUDGET_MS, () =>
      this.#applications.updateOne({ _id: appId }, { $pull: { secrets: { id: secretId } } }),
    );
    return true;
  }

  /** Ends its tokens and gives it no more. False: there is no such application. */
  async revoke(appId: string): Promise<boolean> {
    return this.#change(appId, { disabledAt: { $ifNull: ['$disabledAt', NOW] }, revokedAt: NOW });
  }

  /** Lets it get tokens again; those from before it was revoked stay ended. False: there is no such application. */
  async restore(appId: string): Promise<boolean> {
    return this.#change(appId, {
      disabledAt: null,
      // Until now, not until it was revoked: clocks of API processes differ, and nothing was issued in between.
      revokedAt: { $cond: [{ $eq: ['$disabledAt', null] }, '$revokedAt', NOW] },
    });
  }

  async #change(appId: string, set: Readonly<Record<string, unknown>>): Promise<boolean> {
    const { matchedCount } = await repeatable(BUDGET_MS, () =>
      this.#applications.updateOne({ _id: appId }, [{ $set: set }]),
    );
    return matchedCount === 1;
  }
}

function secretDocument({ id, hash, hint, expiresInMs }: NewSecret): Record<string, unknown> {
  return {
    id: literal(id),
    hash: literal(hash),
    hint: literal(hint),
    createdAt: NOW,
    expiresAt: expiresInMs === null ? null : { $add: [NOW, expiresInMs] },
  };
}

function applicationOf({ _id, ...application }: ApplicationDocument): Application {
  return { appId: _id, ...application };
}
