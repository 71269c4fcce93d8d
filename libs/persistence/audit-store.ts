import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import {
  EMPTY,
  eventsOf,
  type AuditChains,
  type AuditProgress,
  type AuditEntry,
  type AuditKey,
  type AuditReader,
  type AuditRecorder,
  type AuditedAction,
  type ChainHead,
  type ChangedAt,
  type ChangeTime,
  type Checkpoint,
  type NewAuditEvent,
  type RecordedEvent,
  type WaitingEvent,
} from '#audit';
import { ACTIONS, CHANGED_INDEX, RESOLVED_INDEX, toAction, type ActionDocument } from './action-document.js';
import { indexesOf } from './index-declaration.js';
import type { ServerClock } from './server-clock.js';
import { isDuplicateKey } from './together.js';
import { uuidOf } from './uuid.js';
import { DEFAULT_RETRY_BUDGET_MS, repeatedRead, repeatedWrite } from './write-retry.js';

/** `_id` is its source: that each is there once needs no other index, which would be a third of what an entry costs. */
type EntryDocument = Omit<AuditEntry, 'source'> & { readonly _id: string };
type CheckpointDocument = Checkpoint & { readonly _id: mongoose.mongo.ObjectId };
/** What was recorded beside the actions; `_id` is its source's. */
type InboxDocument = Omit<RecordedEvent, 'id'> & { readonly _id: string };
interface ProgressDocument {
  readonly _id: string;
  readonly upTo: Date | null;
  readonly round: number;
}
interface ConfigurationDocument {
  readonly _id: string;
  readonly sha256: string;
}

const ENTRIES = 'audit';
const CHECKPOINTS = 'auditCheckpoints';
const INBOX = 'auditInbox';
export const AUDIT_INDEXES = indexesOf(ENTRIES, { key: { chain: 1, seq: 1 }, unique: true });
export const AUDIT_CHECKPOINT_INDEXES = indexesOf(CHECKPOINTS, { key: { chain: 1, seq: 1 }, unique: true });
export const AUDIT_INBOX_INDEXES = indexesOf(INBOX, { key: { at: 1, _id: 1 } });

const NO_ID = { projection: { _id: 0 } } as const;
const ORDER: Readonly<Record<ChangeTime, mongoose.mongo.IndexSpecification>> = {
  lastActionAt: CHANGED_INDEX,
  'resolution.at': RESOLVED_INDEX,
};

/**
 * The audit record on MongoDB. Entries are only ever inserted: their unique indexes make a fork of a chain, and a second
 * copy of an event, impossible whoever appends.
 */
export class MongoAuditStore implements AuditChains, AuditReader, AuditRecorder {
  readonly #entries: mongoose.mongo.Collection<EntryDocument>;
  readonly #checkpoints: mongoose.mongo.Collection<CheckpointDocument>;
  readonly #inbox: mongoose.mongo.Collection<InboxDocument>;
  readonly #keys: mongoose.mongo.Collection<{ readonly _id: string; readonly publicKey: string }>;
  readonly #progress: mongoose.mongo.Collection<ProgressDocument>;
  readonly #configurations: mongoose.mongo.Collection<ConfigurationDocument>;
  readonly #actions: mongoose.mongo.Collection<ActionDocument>;
  readonly #clock: ServerClock;
  readonly #budgetMs: number;

  constructor(db: mongoose.mongo.Db, clock: ServerClock, retryBudgetMs = DEFAULT_RETRY_BUDGET_MS) {
    this.#entries = db.collection(ENTRIES);
    this.#checkpoints = db.collection(CHECKPOINTS);
    this.#inbox = db.collection(INBOX);
    this.#keys = db.collection('auditKeys');
    this.#progress = db.collection('auditProgress');
    this.#configurations = db.collection('auditConfigurations');
    this.#actions = db.collection(ACTIONS);
    this.#clock = clock;
    this.#budgetMs = retryBudgetMs;
  }

  now(): Date {
    return this.#clock.now();
  }

  record(events: readonly NewAuditEvent[]): Promise<void> {
    const at = this.#clock.now().toISOString();
    return this.recordLate(events.map((event) => ({ id: randomUUID(), ...event, at })));
  }

  /** Records what happened before, when there was no database. Safe to repeat. @throws as {@link record} */
  async recordLate(events: readonly RecordedEvent[]): Promise<void> {
    if (events.length === 0) return;
    const documents = events.map(({ id, ...event }) => ({ _id: id, ...event }));
    await repeatedWrite(this.#budgetMs, () =>
      this.#inbox.insertMany(documents, { ordered: false }).catch(onlyIfThere),
    );
  }

  /**
   * Records the configuration that a process starts with, where the last one of its kind had another.
   * @param sha256 of the configuration, without secrets
   */
  async noteConfiguration(process: string, sha256: string, event: NewAuditEvent): Promise<void> {
    const known = await repeatedRead(this.#budgetMs, () => this.#configurations.findOne({ _id: process }));
    if (known?.sha256 === sha256) return;
    // First of all it is recorded: twice rather than not at all.
    await this.record([event]);
    await repeatedWrite(this.#budgetMs, () =>
      this.#configurations.updateOne({ _id: process }, { $set: { sha256 } }, { upsert: true }),
    );
  }

  async progress(resolvedSince: Date): Promise<readonly AuditProgress[]> {
    const [tenants, known, resolved] = await Promise.all([
      // One seek of the index for each tenant: a DISTINCT_SCAN, whatever they have.
      repeatedRead(this.#budgetMs, () =>
        this.#actions
          .aggregate<{ readonly _id: string; readonly changedAt: Date }>(
            [
              { $sort: CHANGED_INDEX },
              { $group: { _id: '$tenantId', changedAt: { $first: '$lastActionAt' } } },
            ],
            { hint: CHANGED_INDEX },
          )
          .toArray(),
      ),
      repeatedRead(this.#budgetMs, () => this.#progress.find().toArray()),
      repeatedRead(this.#budgetMs, () =>
        this.#actions.distinct('tenantId', { 'resolution.at': { $gte: resolvedSince } }),
      ),
    ]);
    const byTenant = new Map(known.map(({ _id: tenantId, ...one }) => [tenantId, one]));
    return tenants.map(({ _id: tenantId, changedAt }) => {
      const { upTo = null, round = 0 } = byTenant.get(tenantId) ?? {};
      return { tenantId, upTo, round, changedAt, isResolved: resolved.includes(tenantId) };
    });
  }

  async noteProgress(
    { tenantId, round }: Pick<AuditProgress, 'tenantId' | 'round'>,
    upTo: Date,
  ): Promise<void> {
    await repeatedWrite(this.#budgetMs, () =>
      this.#progress
        .updateOne({ _id: tenantId, round }, { $set: { upTo } }, { upsert: round === 0 })
        .catch(onlyIfThere),
    );
  }

  /**
   * Has a tenant's actions looked through again from the beginning: records of another time were brought in. Costs a
   * reading of them all, and records nothing twice.
   */
  async lookAgain(tenantId: string): Promise<void> {
    await repeatedWrite(this.#budgetMs, () =>
      this.#progress.updateOne(
        { _id: tenantId },
        { $inc: { round: 1 }, $set: { upTo: null } },
        { upsert: true },
      ),
    );
  }

  async changed(
    by: ChangeTime,
    tenantId: string,
    since: Date,
    after: ChangedAt | null,
    limit: number,
  ): Promise<readonly ChangedAt[]> {
    const beyond =
      after === null
        ? { [by]: { $gte: since } }
        : {
            [by]: { $gte: after.at },
            $or: [{ [by]: { $gt: after.at } }, { _id: { $gt: uuidOf(after.id) } }],
          };
    const page = await repeatedRead(this.#budgetMs, () =>
      this.#actions
        .find({ tenantId, ...beyond } as mongoose.mongo.Filter<ActionDocument>)
        .project<Pick<ActionDocument, '_id' | 'lastActionAt' | 'resolution'>>({ [by]: 1 })
        .sort({ [by]: 1, _id: 1 })
        .hint(ORDER[by])
        .limit(limit)
        .toArray(),
    );
    return page.flatMap((document) => {
      const { _id, lastActionAt, resolution } = document;
      const at = by === 'lastActionAt' ? lastActionAt : resolution?.at;
      return at === undefined ? [] : [{ id: _id.toString(), at }];
    });
  }

  async actions(ids: readonly string[]): Promise<readonly AuditedAction[]> {
    const documents = await repeatedRead(this.#budgetMs, () =>
      this.#actions
        .find({ _id: { $in: ids.map(uuidOf) } })
        .project<ActionDocument>(AUDITED)
        .toArray(),
    );
    return documents.map(toAction);
  }

  /** Of these actions those of which all is in the chain that their histories tell. */
  async inChain(ids: readonly string[]): Promise<readonly string[]> {
    const actions = await this.actions(ids);
    const there = await this.recorded(actions.flatMap(eventsOf).map(({ source }) => source));
    return actions
      .filter((action) => eventsOf(action).every(({ source }) => there.has(source)))
      .map(({ id }) => id);
  }

  async waiting(limit: number): Promise<readonly WaitingEvent[]> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#inbox.find().sort({ at: 1, _id: 1 }).limit(limit).toArray(),
    );
    return found.map(({ _id: id, chain, at, kind, by, about = {}, details = {} }) => ({
      id,
      event: { chain, at, kind, by, about, details, source: `event:${id}` },
    }));
  }

  async forget(ids: readonly string[]): Promise<void> {
    await repeatedWrite(this.#budgetMs, () => this.#inbox.deleteMany({ _id: { $in: [...ids] } }));
  }

  async chains(): Promise<readonly string[]> {
    const found = await Promise.all([
      repeatedRead(this.#budgetMs, () => this.#entries.distinct('chain')),
      repeatedRead(this.#budgetMs, () => this.#checkpoints.distinct('chain')),
    ]);
    return [...new Set(found.flat())].toSorted();
  }

  async head(chain: string): Promise<ChainHead> {
    const last = await repeatedRead(this.#budgetMs, () =>
      this.#entries.findOne({ chain }, { ...NO_ID, sort: { seq: -1 } }),
    );
    return last === null ? EMPTY : { seq: last.seq, hash: last.hash };
  }

  async recorded(sources: readonly string[]): Promise<ReadonlySet<string>> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#entries
        .find({ _id: { $in: [...sources] } })
        .project<Pick<EntryDocument, '_id'>>({ _id: 1 })
        .hint({ _id: 1 })
        .toArray(),
    );
    return new Set(found.map(({ _id: source }) => source));
  }

  async append(entries: readonly AuditEntry[]): Promise<boolean> {
    return repeatedWrite(this.#budgetMs, async () => {
      try {
        await this.#entries.insertMany(
          entries.map(({ source, ...entry }) => ({ _id: source, ...entry })),
          { ordered: true },
        );
        return true;
      } catch (error) {
        // Also a repeat, of which nobody knows how much was written: who appends looks again.
        if (isThere(error)) return false;
        throw error;
      }
    });
  }

  async entries(chain: string, after: number, upTo: number, limit: number): Promise<readonly AuditEntry[]> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#entries
        .find({ chain, seq: { $gt: after, $lte: upTo } })
        .sort({ seq: 1 })
        .limit(limit)
        .toArray(),
    );
    return found.map(({ _id: source, ...entry }) => ({ ...entry, source }));
  }

  checkpoints(chain: string, after: number, upTo: number, limit: number): Promise<readonly Checkpoint[]> {
    return repeatedRead(this.#budgetMs, () =>
      this.#checkpoints
        .find<Checkpoint>({ chain, seq: { $gt: after, $lte: upTo } }, NO_ID)
        .sort({ seq: 1 })
        .limit(limit)
        .toArray(),
    );
  }

  async lastCheckpoint(chain: string): Promise<Checkpoint | null> {
    return repeatedRead(this.#budgetMs, () =>
      this.#checkpoints.findOne<Checkpoint>({ chain }, { ...NO_ID, sort: { seq: -1 } }),
    );
  }

  async addCheckpoint(checkpoint: Checkpoint): Promise<void> {
    await repeatedWrite(this.#budgetMs, () =>
      this.#checkpoints.insertOne({ ...checkpoint, _id: new mongoose.mongo.ObjectId() }).catch(onlyIfThere),
    );
  }

  async publishKey({ keyId, publicKey }: AuditKey): Promise<void> {
    await repeatedWrite(this.#budgetMs, () =>
      this.#keys
        .updateOne({ _id: keyId }, { $setOnInsert: { publicKey } }, { upsert: true })
        .catch(onlyIfThere),
    );
  }

  async keys(): Promise<readonly AuditKey[]> {
    const found = await repeatedRead(this.#budgetMs, () => this.#keys.find().toArray());
    return found.map(({ _id: keyId, publicKey }) => ({ keyId, publicKey }));
  }
}

/** What of an action is audited. */
const AUDITED = {
  tenantId: 1,
  appId: 1,
  user: 1,
  name: 1,
  instance: 1,
  'parameters.name': 1,
  reverts: 1,
  phase: 1,
  states: 1,
  createdAt: 1,
  completedAt: 1,
  errorInfo: 1,
  cancel: 1,
  resolution: 1,
} as const;

function isThere(error: unknown): boolean {
  if (!(error instanceof mongoose.mongo.MongoBulkWriteError)) return isDuplicateKey(error);
  const errors = [error.writeErrors].flat();
  return (
    error.result.getWriteConcernError() === undefined &&
    errors.length > 0 &&
    errors.every(({ code }) => code === DUPLICATE_KEY)
  );
}

/** An earlier try, or somebody else, wrote it. */
function onlyIfThere(error: unknown): void {
  if (!isThere(error)) throw error as Error;
}

const DUPLICATE_KEY = 11_000;
