import type mongoose from 'mongoose';
import type { EntryWritten, ListReader } from '#domain';
import { ALIVE, ENTRIES } from './entries.js';
import { indexesOf } from './index-declaration.js';
import { NOW, literal } from './pipeline.js';
import { ReadTurns } from './read-turns.js';
import { DEFAULT_RETRY_BUDGET_MS, repeatable, repeatedRead } from './write-retry.js';

/** A list as it is published. */
export interface PublishedList {
  /** Canonical, in no order. */
  readonly values: readonly string[];
  /** When the youngest of them came; null: there is none. */
  readonly upTo: Date | null;
}

/** One fetch of a list by somebody who may. */
export interface FeedFetch {
  readonly instance: string;
  readonly list: string;
  /** By which the firewall gives itself out; null: by none. */
  readonly name: string | null;
  readonly address: string;
  readonly userAgent: string | null;
  /** How long ago it was, in milliseconds. */
  readonly agoMs: number;
  /** HTTP status of the answer, and the list that it was; null where it was none. */
  readonly status: number;
  readonly got: { readonly etag: string; readonly upTo: Date | null } | null;
}

/** Who fetches a list, as it came last. */
export interface FeedConsumer extends ListReader {
  readonly instance: string;
  readonly list: string;
  readonly userAgent: string | null;
  readonly status: number;
  /** Of what it has; null: it never got the list. */
  readonly etag: string | null;
}

interface ConsumerDocument extends FeedConsumer {
  /** Instance, list, name and address. */
  readonly _id: string;
}

interface PublishedEntry {
  readonly value: string;
  readonly writtenAt: Date | null;
}

const CONSUMERS = 'feedConsumers';
const FORGET_AFTER_S = 30 * 86_400;
/** MongoDB removes what nobody fetched with for long. */
export const FEED_CONSUMER_INDEXES = indexesOf(
  CONSUMERS,
  { key: { fetchedAt: 1 }, expireAfterSeconds: FORGET_AFTER_S },
  { key: { instance: 1, list: 1, fetchedAt: -1 } },
);
const LIST_MOST = 1000;
/** Milliseconds a firewall is kept waiting through an election; it comes again by itself. */
const READ_BUDGET_MS = 5000;

/** Lists that firewalls fetch, out of the ledger of their entries, and who fetched them. */
export class FeedStore {
  readonly #entries: mongoose.mongo.Collection<{ readonly written: EntryWritten }>;
  readonly #consumers: mongoose.mongo.Collection<ConsumerDocument>;
  readonly #budgetMs: number;
  readonly #turns: ReadTurns;

  constructor(
    db: mongoose.mongo.Db,
    retryBudgetMs = DEFAULT_RETRY_BUDGET_MS,
    turns: ReadTurns = new ReadTurns(),
  ) {
    this.#turns = turns;
    this.#entries = db.collection(ENTRIES);
    this.#consumers = db.collection<ConsumerDocument>(CONSUMERS);
    this.#budgetMs = Math.min(retryBudgetMs, READ_BUDGET_MS);
  }

  /**
   * All entries of a list that are published now, by the database's clock; never some of them.
   * @throws OperationalError (503) when the database does not answer, (429) when too many lists are read at once
   */
  async published(instance: string, list: string): Promise<PublishedList> {
    const entries = await this.#turns.short(() =>
      repeatedRead(this.#budgetMs, () =>
        this.#entries
          .aggregate<PublishedEntry>([
            { $match: { instance, list, written: 'yes' } },
            { $match: { $expr: { $gt: [{ $size: ALIVE }, 0] } } },
            { $project: { _id: 0, value: 1, writtenAt: { $ifNull: ['$writtenAt', null] } } },
          ])
          .toArray(),
      ),
    );
    const times = entries.map(({ writtenAt }) => writtenAt?.getTime() ?? 0);
    return {
      values: entries.map(({ value }) => value),
      upTo: times.length === 0 ? null : new Date(times.reduce((last, time) => Math.max(last, time))),
    };
  }

  /** Records fetches, the latest of each consumer; repeating it changes the time by what it took. */
  async recordFetches(fetches: readonly FeedFetch[]): Promise<void> {
    if (fetches.length === 0) return;
    await repeatable(this.#budgetMs, () =>
      this.#consumers.bulkWrite(
        fetches.map(({ agoMs, got, ...facts }) => ({
          updateOne: {
            filter: { _id: JSON.stringify([facts.instance, facts.list, facts.name, facts.address]) },
            update: [
              {
                $set: {
                  ...Object.fromEntries(Object.entries(facts).map(([key, value]) => [key, literal(value)])),
                  fetchedAt: { $subtract: [NOW, Math.max(0, Math.round(agoMs))] },
                  // What it got before an outage it has still.
                  etag: got === null ? { $ifNull: ['$etag', null] } : literal(got.etag),
                  hasUpTo: got === null ? { $ifNull: ['$hasUpTo', null] } : got.upTo,
                },
              },
            ],
            upsert: true,
          },
        })),
        { ordered: false },
      ),
    );
  }

  /** Who fetched the lists of an instance, or one of them, in the last 30 days: at most 1,000, the latest first. */
  readers(instance: string, list?: string): Promise<readonly FeedConsumer[]> {
    return repeatedRead(this.#budgetMs, () =>
      this.#consumers
        .find({ instance, ...(list === undefined ? {} : { list }) }, { projection: { _id: 0 } })
        .sort({ fetchedAt: -1 })
        .limit(LIST_MOST)
        .toArray(),
    );
  }
}
