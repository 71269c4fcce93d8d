import mongoose from 'mongoose';
import { UserError, type ActionFilter, type SecurityAction } from '#domain';
import type { Filter, OrderKey } from '#odata';
import { ACTIONS, toAction, type ActionDocument } from './action-document.js';
import { boundedPage } from './bounded-page.js';
import { allOf } from './condition.js';
import { conditionOf } from './odata-filter.js';
import { ReadTurns } from './read-turns.js';
import { planOf, type SearchPlan } from './search-index.js';
import {
  STATUS_RANK,
  beyond,
  needsRank,
  positionOf,
  searchOrder,
  sortOf,
  statusRank,
  type SearchOrder,
  type SearchPosition,
} from './search-order.js';
import { DEFAULT_RETRY_BUDGET_MS, repeatedRead } from './write-retry.js';

type Collection = mongoose.mongo.Collection<ActionDocument>;
type Query = mongoose.mongo.Filter<ActionDocument>;

const DEFAULT_SCAN_MS = 2000;
const MOST_SKIPPED = 10_000;
/** MaxTimeMSExpired: looked for long enough. */
const TIME_IS_UP = 50;
/** QueryExceededMemoryLimitNoDiskUseAllowed: what has to be sorted at once is too much. */
const MEMORY_IS_FULL = 292;

export interface ActionQuery {
  readonly filter: Filter | null;
  /** What the filter has no words for. Default: nothing. */
  readonly only?: ActionFilter;
  /** None: newest first; of what is unresolved, last ended first. The id decides between what is equal, in the direction of the last key. */
  readonly order: readonly OrderKey[];
  /** The most actions on the page, from 1. Fewer are on it when they are large. */
  readonly top: number;
  /** How many to leave out, at most 10,000. */
  readonly skip: number;
  /** Where the page before ended; null for the first. */
  readonly after: SearchPosition | null;
}

export interface SearchPage {
  readonly actions: readonly SecurityAction[];
  /** Null on the last page. */
  readonly next: SearchPosition | null;
}

/**
 * Finds a tenant's actions by a filter, in an order. Every query names the tenant and the index it is read by.
 * Pages follow one another by the values of the last action, so that what is added or removed meanwhile makes no
 * other action appear twice or not at all; one whose own values change may move.
 *
 * What no index has in order, or bounds by all of the filter, is looked for among the tenant's actions for
 * `scanMs` at most, and a few such at a time.
 */
export class ActionSearch {
  readonly #actions: Collection;
  readonly #budgetMs: number;
  readonly #scanMs: number;
  readonly #turns: ReadTurns;

  /**
   * @param retryBudgetMs milliseconds a call may go on repeating through an election; default 12,000
   * @param scanMs milliseconds the database may look for what is asked for; default 2,000
   * @param turns shared by all that reads lists
   */
  constructor(
    db: mongoose.mongo.Db,
    retryBudgetMs = DEFAULT_RETRY_BUDGET_MS,
    scanMs = DEFAULT_SCAN_MS,
    turns = new ReadTurns(),
  ) {
    this.#actions = db.collection<ActionDocument>(ACTIONS);
    this.#budgetMs = retryBudgetMs;
    this.#scanMs = scanMs;
    this.#turns = turns;
  }

  /**
   * One page.
   *
   * @throws UserError `invalidRequest` when too much is skipped, the position is of another order, or the answer
   *   was not found in time or memory
   * @throws OperationalError when the database does not answer, or too much is being looked for
   */
  async page(
    tenantId: string,
    { filter, only = {}, order, top, skip, after }: ActionQuery,
  ): Promise<SearchPage> {
    if (skip > MOST_SKIPPED) {
      throw new UserError(
        'invalidRequest',
        `$skip may leave out ${MOST_SKIPPED} actions at most; it is ${skip}. Follow the link to the next page, or narrow the filter.`,
      );
    }
    const sorted = searchOrder(order, only.unresolved === true ? 'completedAt' : 'createdAt');
    const plan = planOf(filter, sorted, only);
    const wanted = allOf([
      filter === null || conditionOf(filter, tenantId),
      plan.implied,
      after === null || beyond(sorted, after),
    ]);
    if (wanted === false) return { actions: [], next: null };
    const query = queryOf(tenantId, wanted);
    const { documents, hasMore } = await this.#bounded(tenantId, plan, (maxTimeMS) => {
      const cursor = needsRank(sorted)
        ? this.#ranked(query, plan, sorted, skip, top + 1, maxTimeMS)
        : this.#actions.find(query, {
            ...maxTimeMS,
            hint: plan.hint,
            sort: sortOf(sorted),
            skip,
            limit: top + 1,
            allowDiskUse: false,
          });
      return boundedPage(cursor, top);
    });
    const last = documents.at(-1);
    return {
      actions: documents.map(toAction),
      next: hasMore && last !== undefined ? positionOf(sorted, last) : null,
    };
  }

  /**
   * How many actions there are.
   *
   * @throws UserError `invalidRequest` when they could not be counted in time
   * @throws OperationalError when the database does not answer, or too much is being looked for
   */
  async count(tenantId: string, filter: Filter | null, only: ActionFilter = {}): Promise<number> {
    const plan = planOf(filter, null, only);
    const wanted = allOf([filter === null || conditionOf(filter, tenantId), plan.implied]);
    if (wanted === false) return 0;
    // However exact: the more there are, the longer it takes to count them.
    return this.#bounded(tenantId, { ...plan, exact: false }, (maxTimeMS) =>
      this.#actions.countDocuments(queryOf(tenantId, wanted), { ...maxTimeMS, hint: plan.hint }),
    );
  }

  #ranked(
    query: Query,
    { hint }: SearchPlan,
    order: SearchOrder,
    skip: number,
    limit: number,
    maxTimeMS: { readonly maxTimeMS?: number },
  ): mongoose.mongo.AggregationCursor<ActionDocument> {
    return this.#actions.aggregate<ActionDocument>(
      [
        { $match: query },
        { $set: { [STATUS_RANK]: statusRank } },
        { $sort: sortOf(order) },
        { $skip: skip },
        { $limit: limit },
        { $unset: STATUS_RANK },
      ],
      { ...maxTimeMS, hint, allowDiskUse: false },
    );
  }

  async #bounded<T>(
    tenantId: string,
    { exact }: SearchPlan,
    read: (maxTimeMS: { readonly maxTimeMS?: number }) => Promise<T>,
  ): Promise<T> {
    try {
      if (exact) return await this.#turns.short(() => repeatedRead(this.#budgetMs, () => read({})));
      return await this.#turns.long(tenantId, () =>
        repeatedRead(this.#budgetMs, () => read({ maxTimeMS: this.#scanMs })),
      );
    } catch (cause) {
      if (!(cause instanceof mongoose.mongo.MongoServerError)) throw cause;
      switch (cause.code) {
        case TIME_IS_UP:
          throw new UserError(
            'invalidRequest',
            `What was asked for was not found within ${this.#scanMs} ms among the tenant's many actions. Narrow the filter by createdDateTime, lastActionDateTime or status, or order by createdDateTime or lastActionDateTime.`,
            { cause },
          );
        case MEMORY_IS_FULL:
          throw new UserError(
            'invalidRequest',
            'A page so large cannot be sorted by this order. Ask for a smaller page, skip fewer, or order by createdDateTime or lastActionDateTime.',
            { cause },
          );
        default:
          throw cause;
      }
    }
  }
}

function queryOf(tenantId: string, wanted: true | Query): Query {
  return wanted === true ? { tenantId } : { tenantId: { $eq: tenantId }, $and: [wanted] };
}
