import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type mongoose from 'mongoose';
import type {
  EntryLedger,
  EntryNote,
  EntryWritten,
  HeldList,
  LedgerEntry,
  ListReader,
  Held,
  NewOwner,
} from '#domain';
import { ALIVE, ENTRIES } from './entries.js';
import { FeedStore } from './feed-store.js';
import { indexesOf } from './index-declaration.js';
import { MongoSharedLease } from './mongo-shared-lease.js';
import { isDuplicateKey } from './together.js';
import { NOW, inMs, literal, type Expression } from './pipeline.js';
import { DEFAULT_RETRY_BUDGET_MS, repeatable, repeatedRead } from './write-retry.js';

interface OwnerDocument {
  readonly action: string;
  readonly tenant: string;
  readonly until: Date | null;
  /** Until when it is an owner without having been settled; null: it was. */
  readonly claim: Date | null;
  readonly form?: string;
}

interface EntryDocument {
  /** Instance, list and value. */
  readonly _id: string;
  readonly instance: string;
  readonly list: string;
  readonly value: string;
  readonly owners: readonly OwnerDocument[];
  /** Actions that were released: a late attempt of theirs must not come back. */
  readonly released: readonly string[];
  readonly revision: number;
  readonly written: EntryWritten;
  /** Since when it is there, and wanted without a gap. */
  readonly writtenAt?: Date | null;
  /** What the device calls it, where it cannot be asked. */
  readonly handle?: string | null;
  /** Since when nobody wants it and nothing is there; the document goes a week later. */
  readonly idleAt: Date | null;
}

/** Longer than an attempt of a released action can be late: its deadline is at most seven days. */
const FORGET_AFTER_S = 8 * 86_400;
/** The lists of an instance; MongoDB removes what is in none any more. */
export const ENTRY_INDEXES = indexesOf(
  ENTRIES,
  { key: { instance: 1, list: 1, value: 1 } },
  { key: { idleAt: 1 }, expireAfterSeconds: FORGET_AFTER_S },
);
/** Released actions an entry remembers, the last ones. */
const MOST_RELEASED = 1000;

/** Milliseconds a writer's lease lasts, and between its renewals and the tries of who waits for it. */
const LEASE_MS = 15_000;
const RENEW_MS = 4000;
const TRY_MS = 50;

/** `EntryLedger` on MongoDB: one document an entry, every change one guarded update, timed by the database's clock. */
export class MongoEntryLedger implements EntryLedger {
  readonly #db: mongoose.mongo.Db;
  readonly #entries: mongoose.mongo.Collection<EntryDocument>;
  readonly #instance: string;
  readonly #budgetMs: number;

  constructor(db: mongoose.mongo.Db, instance: string, retryBudgetMs = DEFAULT_RETRY_BUDGET_MS) {
    this.#db = db;
    this.#entries = db.collection<EntryDocument>(ENTRIES);
    this.#instance = instance;
    this.#budgetMs = retryBudgetMs;
  }

  async hold(
    list: string,
    value: string,
    { actionId, tenantId, until, claimMs, form }: NewOwner,
  ): Promise<Held | null> {
    const isReleased = { $in: [literal(actionId), { $ifNull: ['$released', []] }] };
    const isMe = { $eq: ['$$this.action', literal(actionId)] };
    const me = {
      action: literal(actionId),
      tenant: literal(tenantId),
      until,
      claim: { $cond: [{ $eq: ['$$was.claim', null] }, null, inMs(claimMs)] },
      ...(form === undefined ? {} : { form: literal(form) }),
    };
    const isAsBefore = {
      $and: [
        { $eq: ['$$was.until', until] },
        { $or: [{ $eq: ['$$was.claim', null] }, { $gt: ['$$was.claim', NOW] }] },
      ],
    };
    const withWas = (expression: Expression): Expression => ({
      $let: { vars: { was: { $first: ownersWhere(isMe) } }, in: expression },
    });
    const entry = await this.#change(
      list,
      value,
      {
        owners: {
          $cond: [
            isReleased,
            { $ifNull: ['$owners', []] },
            withWas({
              $cond: [
                { $eq: [{ $type: '$$was' }, 'missing'] },
                { $concatArrays: [{ $ifNull: ['$owners', []] }, [me]] },
                // A repeat keeps its place: of several forms it counts who came last.
                { $map: { input: '$owners', in: { $cond: [isMe, me, '$$this'] } } },
              ],
            }),
          ],
        },
        released: { $ifNull: ['$released', []] },
        revision: {
          $add: [
            { $ifNull: ['$revision', 0] },
            { $cond: [{ $or: [isReleased, withWas(isAsBefore)] }, 0, 1] },
          ],
        },
        written: { $ifNull: ['$written', 'no'] },
        // Wanted again before anybody took it away: a list that is published had it not meanwhile.
        writtenAt: { $cond: [{ $eq: [{ $size: ALIVE }, 0] }, NOW, '$writtenAt'] },
        idleAt: { $cond: [isReleased, { $ifNull: ['$idleAt', NOW] }, null] },
      },
      'after',
    );
    if (entry === null || entry.released.includes(actionId)) return null;
    const isShared = entry.owners.some(({ action, claim }) => action !== actionId && claim === null);
    return { revision: entry.revision, isShared };
  }

  async settle(list: string, value: string, actionId: string): Promise<void> {
    await repeatable(this.#budgetMs, () =>
      this.#entries.updateOne(
        { _id: this.#idOf(list, value), 'owners.action': actionId },
        { $set: { 'owners.$.claim': null } },
      ),
    );
  }

  async release(
    list: string,
    value: string,
    whose: { readonly actionId: string } | { readonly tenantId: string },
  ): Promise<{ readonly left: number; readonly stay: number }> {
    const isWhose: Expression =
      'actionId' in whose
        ? { $eq: ['$$this.action', literal(whose.actionId)] }
        : { $eq: ['$$this.tenant', literal(whose.tenantId)] };
    const leaving = {
      $map: { input: ownersWhere(isWhose), in: '$$this.action' },
    };
    // Also where it holds nothing, for its attempt may be on its way.
    const named = 'actionId' in whose ? { $setUnion: [leaving, [literal(whose.actionId)]] } : leaving;
    const isNew = { $eq: [{ $type: '$value' }, 'missing'] };
    const before = await this.#change(
      list,
      value,
      {
        owners: ownersWhere({ $not: [isWhose] }),
        released: {
          $slice: [{ $setUnion: [{ $ifNull: ['$released', []] }, named] }, -MOST_RELEASED],
        },
        revision: { $add: [{ $ifNull: ['$revision', 0] }, { $min: [1, { $size: leaving }] }] },
        written: { $ifNull: ['$written', 'no'] },
        idleAt: { $cond: [isNew, NOW, '$idleAt'] },
      },
      'before',
    );
    const owners = before?.owners ?? [];
    const left = owners.filter(({ action, tenant }) =>
      'actionId' in whose ? action === whose.actionId : tenant === whose.tenantId,
    );
    return { left: left.length, stay: owners.length - left.length };
  }

  async entry(list: string, value: string): Promise<LedgerEntry | null> {
    const [entry] = await this.#read({ _id: this.#idOf(list, value) });
    return entry ?? null;
  }

  async lists(): Promise<readonly string[]> {
    return repeatedRead(this.#budgetMs, () =>
      this.#entries.distinct('list', { instance: this.#instance, idleAt: null }),
    );
  }

  all(): Promise<readonly (LedgerEntry & { readonly list: string })[]> {
    return this.#read({ instance: this.#instance, idleAt: null });
  }

  readers(list: string): Promise<readonly ListReader[]> {
    return new FeedStore(this.#db, this.#budgetMs).readers(this.#instance, list);
  }

  async handles(list: string): Promise<ReadonlyMap<string, string>> {
    const kept = await repeatedRead(this.#budgetMs, () =>
      this.#entries
        .find(
          { instance: this.#instance, list, handle: { $type: 'string' } },
          { projection: { _id: 0, value: 1, handle: 1 } },
        )
        .toArray(),
    );
    return new Map(
      kept.flatMap(({ value, handle }) => (typeof handle === 'string' ? [[value, handle] as const] : [])),
    );
  }

  async keepHandle(list: string, value: string, handle: string | null): Promise<void> {
    await repeatable(this.#budgetMs, () =>
      this.#entries.updateOne({ _id: this.#idOf(list, value) }, { $set: { handle } }),
    );
  }

  async asOnlyWriter<T>(list: string, signal: AbortSignal, work: (held: HeldList) => Promise<T>): Promise<T> {
    const lease = new MongoSharedLease(this.#db, `entries:${this.#instance}:${list}`);
    const owner = randomUUID();
    while (!(await lease.take(owner, LEASE_MS)))
      await sleep(TRY_MS * (0.5 + Math.random()), undefined, { signal }).catch(() => signal.throwIfAborted());
    const lost = new AbortController();
    let takenAt = performance.now();
    const renewal = setInterval(() => {
      const askedAt = performance.now();
      lease
        .take(owner, LEASE_MS)
        .then((isOurs) => {
          if (isOurs) takenAt = askedAt;
          else lost.abort(new Error('another worker writes this list'));
        })
        .catch(() => undefined)
        .finally(() => {
          if (performance.now() - takenAt > LEASE_MS - RENEW_MS)
            lost.abort(new Error('the lease on this list could not be renewed'));
        });
    }, RENEW_MS);
    const held: HeldList = {
      signal: AbortSignal.any([signal, lost.signal]),
      entries: () => this.#read({ instance: this.#instance, list, idleAt: null }),
      note: (notes) => this.#note(list, notes),
    };
    try {
      return await work(held);
    } finally {
      clearInterval(renewal);
      await lease.giveBack(owner).catch(() => undefined);
    }
  }

  /** Makes the entry where there is none. */
  async #change(
    list: string,
    value: string,
    changes: Readonly<Record<string, Expression>>,
    returnDocument: 'before' | 'after',
  ): Promise<EntryDocument | null> {
    const change = (): Promise<EntryDocument | null> =>
      this.#entries.findOneAndUpdate(
        { _id: this.#idOf(list, value) },
        [
          {
            $set: {
              ...changes,
              instance: literal(this.#instance),
              list: literal(list),
              value: literal(value),
            },
          },
        ],
        { upsert: true, returnDocument },
      );
    return repeatable(this.#budgetMs, () =>
      change().catch((error: unknown) => {
        // Two made it at the same time.
        if (isDuplicateKey(error)) return change();
        throw error;
      }),
    );
  }

  async #note(list: string, notes: readonly EntryNote[]): Promise<void> {
    if (notes.length === 0) return;
    await repeatable(this.#budgetMs, () =>
      this.#entries.bulkWrite(
        notes.map(({ value, revision, written }) => ({
          updateOne: {
            filter: { _id: this.#idOf(list, value) },
            update: [
              {
                $set: {
                  written,
                  writtenAt:
                    written === 'yes' ? { $cond: [{ $eq: ['$written', 'yes'] }, '$writtenAt', NOW] } : null,
                  idleAt: {
                    $cond: [
                      {
                        $and: [
                          written === 'no',
                          { $eq: ['$revision', revision] },
                          { $eq: [{ $size: ALIVE }, 0] },
                        ],
                      },
                      NOW,
                      null,
                    ],
                  },
                },
              },
            ],
          },
        })),
        { ordered: false },
      ),
    );
  }

  async #read(
    filter: mongoose.mongo.Filter<EntryDocument>,
  ): Promise<readonly (LedgerEntry & { readonly list: string })[]> {
    return repeatedRead(this.#budgetMs, () =>
      this.#entries
        .aggregate<LedgerEntry & { readonly list: string }>([
          { $match: filter },
          { $set: { alive: ALIVE } },
          {
            $project: {
              _id: 0,
              list: 1,
              value: 1,
              revision: 1,
              written: 1,
              writtenAt: { $ifNull: ['$writtenAt', null] },
              owners: { $size: '$alive' },
              settled: {
                $size: { $filter: { input: '$alive', cond: { $eq: ['$$this.claim', null] } } },
              },
              forms: {
                $map: {
                  input: {
                    $filter: { input: '$alive', cond: { $eq: [{ $type: '$$this.form' }, 'string'] } },
                  },
                  in: {
                    actionId: '$$this.action',
                    tenantId: '$$this.tenant',
                    until: '$$this.until',
                    form: '$$this.form',
                    isSettled: { $eq: ['$$this.claim', null] },
                  },
                },
              },
              leftMs: {
                $cond: [
                  { $or: [{ $eq: [{ $size: '$alive' }, 0] }, { $in: [null, '$alive.until'] }] },
                  null,
                  { $subtract: [{ $max: '$alive.until' }, NOW] },
                ],
              },
            },
          },
        ])
        .toArray(),
    );
  }

  #idOf(list: string, value: string): string {
    return `${this.#instance}\n${list}\n${value}`;
  }
}

function ownersWhere(condition: Expression): Expression {
  return { $filter: { input: { $ifNull: ['$owners', []] }, cond: condition } };
}
