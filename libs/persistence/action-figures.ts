import mongoose from 'mongoose';
import { PHASES } from '#domain';
import {
  ACTIONS,
  CHANGED_INDEX,
  CREATED_INDEX,
  STATUS_INDEX,
  UNRESOLVED_INDEX,
  type ActionDocument,
} from './action-document.js';
import { indexesOf } from './index-declaration.js';
import { LN_RATIO, LatencyHistogram } from './latency-histogram.js';
import type { Expression } from './pipeline.js';
import { ReadTurns } from './read-turns.js';
import type { ServerClock } from './server-clock.js';
import { DEFAULT_RETRY_BUDGET_MS, repeatedRead } from './write-retry.js';

const FIGURES = 'actionFigures';
/** MongoDB removes what no window shows any more. */
export const FIGURE_INDEXES = indexesOf(FIGURES, { key: { expireAt: 1 }, expireAfterSeconds: 0 });

/** Seconds of the spans that figures are kept of; each divides the next. */
export const SPAN_SECONDS = [60, 900, 7200] as const;
export type SpanSeconds = (typeof SPAN_SECONDS)[number];
/** Milliseconds for which the figures of a span are kept after its end: as long as a window shows it. */
const KEPT_MS: Readonly<Record<SpanSeconds, number>> = {
  60: 2 * 3_600_000,
  900: 2 * 86_400_000,
  7200: 8 * 86_400_000,
};
/** And at least this from when they were counted: what is counted piece by piece is put together later. */
const KEPT_AT_LEAST_MS = 3_600_000;
/**
 * Milliseconds after which nothing is added to a span any more: a create is stamped before it is written, and repeats
 * that through an election.
 */
const SETTLED_MS = 30_000;
/** Actions that the database goes through at once: a few tenths of a second. */
const MOST_AT_ONCE = 20_000;
/** Milliseconds the database may take for that. */
const COUNT_MS = 5000;
/** Where what is open is counted no further. */
const MOST_OPEN = 10_000;
/** MaxTimeMSExpired. */
const TIME_IS_UP = 50;

/** How actions ended; each in one way. */
export const OUTCOMES = ['completed', 'failed', 'outcomeUnknown', 'cancelled'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** What ended at one provider instance. */
export class InstanceFigures {
  readonly outcomes: Record<Outcome, number> = { completed: 0, failed: 0, outcomeUnknown: 0, cancelled: 0 };
  /** By `errorInfo.code`. */
  readonly byCode = new Map<number, number>();
  /** From creation to end. */
  readonly total = new LatencyHistogram();

  add(outcome: Outcome, code: number | null, bucket: number, count: number): void {
    this.outcomes[outcome] += count;
    if (code !== null) this.byCode.set(code, (this.byCode.get(code) ?? 0) + count);
    this.total.add(bucket, count);
  }

  merge(other: InstanceFigures): void {
    for (const outcome of OUTCOMES) this.outcomes[outcome] += other.outcomes[outcome];
    for (const [code, count] of other.byCode) this.byCode.set(code, (this.byCode.get(code) ?? 0) + count);
    this.total.merge(other.total);
  }
}

/** What was created and what ended in a span of time. */
export class SpanFigures {
  created = 0;
  /** From creation to start, of what ended then. */
  readonly start = new LatencyHistogram();
  readonly instances = new Map<string, InstanceFigures>();

  instance(id: string): InstanceFigures {
    const known = this.instances.get(id) ?? new InstanceFigures();
    this.instances.set(id, known);
    return known;
  }

  merge(other: SpanFigures): void {
    this.created += other.created;
    this.start.merge(other.start);
    for (const [id, figures] of other.instances) this.instance(id).merge(figures);
  }
}

/** The figures of a tenant's actions over some time. */
export interface FiguresOverTime {
  readonly from: Date;
  readonly to: Date;
  /** By the time a span begins, oldest first; the last is not over yet. */
  readonly spans: readonly { readonly at: Date; readonly figures: SpanFigures }[];
  /** False: not all could be counted in time; asked again, it goes on where it stopped. */
  readonly complete: boolean;
}

/** A tenant's actions that have not ended, as they are now. No number goes beyond 10,000. */
export interface OpenFigures {
  readonly queued: number;
  readonly throttled: number;
  readonly running: number;
  readonly unresolved: number;
  readonly oldestWaiting: { readonly id: string; readonly createdAt: Date } | null;
  /** The database's time. */
  readonly at: Date;
}

/** Figures as they are kept. */
interface KeptFigures {
  readonly created: number;
  readonly start: Counts;
  readonly instances: readonly {
    readonly id: string;
    readonly outcomes: Readonly<Record<Outcome, number>>;
    readonly byCode: Counts;
    readonly total: Counts;
  }[];
}
type Counts = readonly (readonly [number, number])[];

/** Figures that are counted once and read from then on. */
interface StoredSpan {
  /** Tenant, seconds and begin: {@link idOf}. */
  readonly _id: string;
  readonly at: Date;
  /** `KeptFigures` as JSON: of very many short lists, it is read several times as fast as BSON. */
  readonly figures: string;
  readonly expireAt: Date;
}

type Collect = (beginMs: number, figures: SpanFigures) => void;

interface Question {
  readonly tenantId: string;
  /** `performance.now()` after which nothing more is counted, but for a first part: each answer is a step further. */
  readonly until: number;
  hasBegun: boolean;
  readonly collect: Collect;
}

/**
 * How many actions a tenant had, how they ended, and how long that took. Nobody counts while actions are carried out:
 * what is asked for is counted from the record then, span by span, along the indexes that lists are read by, and kept.
 * A span that is over is counted once, and put together of shorter ones where too much happened in it.
 */
export class ActionFigures {
  readonly #actions: mongoose.mongo.Collection<ActionDocument>;
  readonly #spans: mongoose.mongo.Collection<StoredSpan>;
  readonly #clock: ServerClock;
  readonly #turns: ReadTurns;
  readonly #budgetMs: number;
  readonly #mostAtOnce: number;
  /** What was asked for of each tenant and is not answered yet, the latest last. */
  readonly #underWay = new Map<string, Map<string, Promise<FiguresOverTime>>>();

  /**
   * @param retryBudgetMs milliseconds a call may go on repeating through an election; default 12,000
   * @param turns shared by all that reads lists
   * @param mostAtOnce actions that the database goes through at once; default 20,000
   */
  constructor(
    db: mongoose.mongo.Db,
    clock: ServerClock,
    retryBudgetMs = DEFAULT_RETRY_BUDGET_MS,
    turns = new ReadTurns(),
    mostAtOnce = MOST_AT_ONCE,
  ) {
    this.#actions = db.collection<ActionDocument>(ACTIONS);
    this.#spans = db.collection<StoredSpan>(FIGURES);
    this.#clock = clock;
    this.#budgetMs = retryBudgetMs;
    this.#turns = turns;
    this.#mostAtOnce = mostAtOnce;
  }

  /**
   * The last `count` spans, the one that is not over included. Of each tenant one is counted at a time: who asks for the
   * same meanwhile gets the same answer.
   *
   * @param withinMs milliseconds after which nothing more is begun to be counted
   * @throws OperationalError when the database does not answer, or too much is being looked for
   */
  over(tenantId: string, seconds: SpanSeconds, count: number, withinMs: number): Promise<FiguresOverTime> {
    const what = `${seconds}/${count}`;
    const own = this.#underWay.get(tenantId) ?? new Map<string, Promise<FiguresOverTime>>();
    const same = own.get(what);
    if (same !== undefined) return same;
    const answer = ([...own.values()].at(-1) ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => this.#over(tenantId, seconds, count, withinMs));
    own.set(what, answer);
    this.#underWay.set(tenantId, own);
    void answer
      .catch(() => undefined)
      .finally(() => {
        own.delete(what);
        if (own.size === 0) this.#underWay.delete(tenantId);
      });
    return answer;
  }

  /** @throws OperationalError when the database does not answer, or too much is being looked for */
  async open(tenantId: string): Promise<OpenFigures> {
    const counted = (filter: object, hint: object): Promise<number> =>
      this.#read(() =>
        this.#actions.countDocuments(
          { tenantId, ...filter },
          { limit: MOST_OPEN, maxTimeMS: COUNT_MS, hint },
        ),
      );
    const [notStarted, throttled, running, unresolved, oldest] = await this.#turns.short(() =>
      Promise.all([
        counted({ status: 'NotStarted' }, STATUS_INDEX),
        counted({ status: 'NotStarted', phase: PHASES.NotStarted[1] }, STATUS_INDEX),
        counted({ status: 'Running' }, STATUS_INDEX),
        counted({ unresolved: true }, UNRESOLVED_INDEX),
        this.#read(() =>
          this.#actions.findOne(
            { tenantId, status: 'NotStarted' },
            { projection: { createdAt: 1 }, sort: { createdAt: 1, _id: 1 }, hint: STATUS_INDEX },
          ),
        ),
      ]),
    );
    return {
      queued: Math.max(0, notStarted - throttled),
      throttled,
      running,
      unresolved,
      oldestWaiting: oldest && waitingOf(oldest),
      at: this.#clock.now(),
    };
  }

  async #over(
    tenantId: string,
    seconds: SpanSeconds,
    count: number,
    withinMs: number,
  ): Promise<FiguresOverTime> {
    const to = this.#clock.now().getTime();
    const from = beginOf(to, seconds) - (count - 1) * seconds * 1000;
    const spans = new Map<number, SpanFigures>(
      Array.from({ length: count }, (_, index) => [from + index * seconds * 1000, new SpanFigures()]),
    );
    const question: Question = {
      tenantId,
      until: performance.now() + withinMs,
      hasBegun: false,
      collect: (beginMs, figures) => spans.get(beginOf(beginMs, seconds))?.merge(figures),
    };
    const whole = await this.#upTo(question, seconds, from, to);
    return {
      from: new Date(from),
      to: new Date(to),
      spans: [...spans].map(([at, figures]) => ({ at: new Date(at), figures })),
      complete: whole,
    };
  }

  /** The long spans that are settled, then the shorter ones behind them, then what is not settled. */
  async #upTo(question: Question, longest: SpanSeconds, fromMs: number, toMs: number): Promise<boolean> {
    let beginMs = fromMs;
    let whole = true;
    for (const seconds of SPAN_SECONDS.filter((one) => one <= longest).toReversed()) {
      const endMs = beginOf(toMs - SETTLED_MS, seconds);
      if (endMs <= beginMs) continue;
      whole = (await this.#settled(question, seconds, beginMs, endMs)) && whole;
      beginMs = endMs;
    }
    const counted = await this.#count(question.tenantId, SPAN_SECONDS[0], beginMs, toMs + SETTLED_MS);
    for (const [at, figures] of counted ?? []) question.collect(at, figures);
    return whole && counted !== null;
  }

  /** Spans that are over: those that are kept, and the others counted, the latest first. False: not all of them. */
  async #settled(question: Question, seconds: SpanSeconds, beginMs: number, endMs: number): Promise<boolean> {
    const kept = await this.#read(() =>
      this.#spans
        .find(
          {
            _id: {
              $gte: idOf(question.tenantId, seconds, beginMs),
              $lt: idOf(question.tenantId, seconds, endMs),
            },
          },
          // True also where a failover takes them back.
          { readConcern: 'local' },
        )
        .toArray(),
    );
    const known = new Set<number>();
    for (const span of kept) {
      known.add(span.at.getTime());
      question.collect(span.at.getTime(), figuresOf(span));
    }
    let whole = true;
    for (const gap of gapsIn(known, seconds, beginMs, endMs).toReversed())
      whole = (await this.#fill(question, seconds, gap.beginMs, gap.endMs)) && whole;
    return whole;
  }

  /** Counts spans and keeps them; by halves, and then by shorter ones, where they are too much at once. */
  async #fill(question: Question, seconds: SpanSeconds, beginMs: number, endMs: number): Promise<boolean> {
    const { tenantId, collect } = question;
    if (question.hasBegun && performance.now() > question.until) return false;
    const spans = (endMs - beginMs) / 1000 / seconds;
    const shorter = SPAN_SECONDS.findLast((one) => one < seconds);
    if ((spans === 1 && shorter === undefined) || !(await this.#isTooMuch(tenantId, beginMs, endMs))) {
      const counted = await this.#count(tenantId, seconds, beginMs, endMs);
      question.hasBegun = true;
      if (counted === null) return false;
      await this.#keep(tenantId, seconds, counted);
      for (const [at, figures] of counted) collect(at, figures);
      return true;
    }
    if (spans > 1) {
      const middleMs = beginMs + Math.floor(spans / 2) * seconds * 1000;
      const later = await this.#fill(question, seconds, middleMs, endMs);
      return (await this.#fill(question, seconds, beginMs, middleMs)) && later;
    }
    const together = new SpanFigures();
    const part: Question = { ...question, collect: (_at, figures) => together.merge(figures) };
    const whole = await this.#settled(part, shorter ?? seconds, beginMs, endMs);
    question.hasBegun ||= part.hasBegun;
    if (whole) await this.#keep(tenantId, seconds, new Map([[beginMs, together]]));
    collect(beginMs, together);
    return whole;
  }

  async #isTooMuch(tenantId: string, beginMs: number, endMs: number): Promise<boolean> {
    const [created, changed] = await Promise.all(
      [
        { field: 'createdAt', hint: CREATED_INDEX },
        { field: 'lastActionAt', hint: CHANGED_INDEX },
      ].map(({ field, hint }) =>
        this.#read(() =>
          this.#actions.countDocuments(
            { tenantId, [field]: between(beginMs, endMs) },
            { limit: this.#mostAtOnce + 1, hint },
          ),
        ),
      ),
    );
    return Math.max(created ?? 0, changed ?? 0) > this.#mostAtOnce;
  }

  /** By the begin of each span, those without any action included. Null: it took the database too long. */
  async #count(
    tenantId: string,
    seconds: SpanSeconds,
    beginMs: number,
    endMs: number,
  ): Promise<ReadonlyMap<number, SpanFigures> | null> {
    const spans = new Map<number, SpanFigures>();
    for (let at = beginMs; at < endMs; at += seconds * 1000) spans.set(at, new SpanFigures());
    try {
      const [created, ended] = await this.#turns.long(tenantId, () =>
        Promise.all([
          this.#read(() =>
            this.#actions
              .aggregate<Created>(
                [
                  { $match: { tenantId, createdAt: between(beginMs, endMs) } },
                  { $group: { _id: spanOf('$createdAt', seconds), count: { $sum: 1 } } },
                ],
                { hint: CREATED_INDEX, maxTimeMS: COUNT_MS },
              )
              .toArray(),
          ),
          this.#read(() =>
            this.#actions
              .aggregate<Ended>(
                [
                  {
                    // The last change of an action that has ended is its end.
                    $match: {
                      tenantId,
                      lastActionAt: between(beginMs, endMs),
                      status: { $in: ['Completed', 'Failed'] },
                    },
                  },
                  { $group: endedIn(seconds) },
                ],
                { hint: CHANGED_INDEX, maxTimeMS: COUNT_MS },
              )
              .toArray(),
          ),
        ]),
      );
      for (const { _id: span, count } of created) {
        const figures = spans.get(span * seconds * 1000);
        if (figures !== undefined) figures.created += count;
      }
      for (const { _id, count, starts } of ended) {
        const figures = spans.get(_id.span * seconds * 1000);
        if (figures === undefined) continue;
        figures.instance(_id.instance).add(_id.outcome, _id.code, _id.total, count);
        for (const bucket of starts) if (bucket !== null) figures.start.add(bucket);
      }
      return spans;
    } catch (error) {
      if (error instanceof mongoose.mongo.MongoServerError && error.code === TIME_IS_UP) return null;
      throw error;
    }
  }

  async #keep(
    tenantId: string,
    seconds: SpanSeconds,
    spans: ReadonlyMap<number, SpanFigures>,
  ): Promise<void> {
    const nowMs = this.#clock.now().getTime();
    const documents = [...spans].map(([at, figures]): StoredSpan => ({
      _id: idOf(tenantId, seconds, at),
      at: new Date(at),
      figures: JSON.stringify(keptOf(figures)),
      expireAt: new Date(Math.max(at + seconds * 1000 + KEPT_MS[seconds], nowMs + KEPT_AT_LEAST_MS)),
    }));
    // What is not kept is counted again: nobody waits for a database that cannot write now, or for a majority.
    await this.#spans
      .bulkWrite(
        documents.map((document) => ({
          replaceOne: { filter: filterOf(document), replacement: document, upsert: true },
        })),
        { ordered: false, writeConcern: { w: 1 } },
      )
      .catch(() => undefined);
  }

  #read<T>(read: () => Promise<T>): Promise<T> {
    return repeatedRead(this.#budgetMs, read);
  }
}

function waitingOf({ _id, createdAt }: Pick<ActionDocument, '_id' | 'createdAt'>) {
  return { id: _id.toString(), createdAt };
}

function filterOf({ _id }: StoredSpan) {
  return { _id };
}

interface Created {
  readonly _id: number;
  readonly count: number;
}

interface Ended {
  readonly _id: {
    readonly span: number;
    readonly instance: string;
    readonly outcome: Outcome;
    readonly code: number | null;
    /** The bucket of the time from creation to end. */
    readonly total: number;
  };
  readonly count: number;
  /** The bucket of the time from creation to start, of each; null where it was never started. */
  readonly starts: readonly (number | null)[];
}

function endedIn(seconds: SpanSeconds): Record<string, Expression> {
  const second = { $arrayElemAt: ['$states', 1] };
  return {
    _id: {
      span: spanOf('$lastActionAt', seconds),
      instance: '$instance',
      outcome: {
        $switch: {
          branches: [
            { case: { $eq: ['$status', 'Completed'] }, then: 'completed' },
            { case: { $eq: ['$phase', 'outcomeUnknown'] }, then: 'outcomeUnknown' },
            { case: { $in: ['$phase', ['cancelled', 'cancelledAtProvider']] }, then: 'cancelled' },
          ],
          default: 'failed',
        },
      },
      code: { $ifNull: ['$errorInfo.code', null] },
      total: bucketOf({ $subtract: ['$lastActionAt', '$createdAt'] }),
    },
    count: { $sum: 1 },
    starts: {
      $push: {
        $let: {
          vars: { second },
          in: {
            $cond: [
              { $eq: ['$$second.status', 'Running'] },
              bucketOf({ $subtract: ['$$second.updatedAt', '$createdAt'] }),
              null,
            ],
          },
        },
      },
    },
  };
}

/** The bucket of a `LatencyHistogram` that a number of milliseconds is in. */
function bucketOf(ms: Expression): Expression {
  return { $toInt: { $floor: { $divide: [{ $ln: { $max: [1, ms] } }, LN_RATIO] } } };
}

/** The number of the span that a time is in, from 1970. */
function spanOf(time: string, seconds: SpanSeconds): Expression {
  return { $floor: { $divide: [{ $toLong: time }, seconds * 1000] } };
}

function between(beginMs: number, endMs: number): { readonly $gte: Date; readonly $lt: Date } {
  return { $gte: new Date(beginMs), $lt: new Date(endMs) };
}

/** Where the span begins that a time is in. */
function beginOf(ms: number, seconds: SpanSeconds): number {
  return Math.floor(ms / (seconds * 1000)) * seconds * 1000;
}

/** Ordered by time among a tenant's spans of a length. */
function idOf(tenantId: string, seconds: SpanSeconds, beginMs: number): string {
  return `${tenantId}/${seconds}/${new Date(beginMs).toISOString()}`;
}

function keptOf({ created, start, instances }: SpanFigures): KeptFigures {
  return {
    created,
    start: start.counts,
    instances: [...instances].map(([id, { outcomes, byCode, total }]) => ({
      id,
      outcomes,
      byCode: [...byCode],
      total: total.counts,
    })),
  };
}

function figuresOf(span: StoredSpan): SpanFigures {
  const { created, start, instances } = JSON.parse(span.figures) as KeptFigures;
  const figures = new SpanFigures();
  figures.created = created;
  figures.start.merge(new LatencyHistogram(start));
  for (const { id, outcomes, byCode, total } of instances) {
    const own = figures.instance(id);
    for (const outcome of OUTCOMES) own.outcomes[outcome] += outcomes[outcome];
    for (const [code, count] of byCode) own.byCode.set(code, count);
    own.total.merge(new LatencyHistogram(total));
  }
  return figures;
}

/** The times in between that are not known, oldest first. */
function gapsIn(
  known: ReadonlySet<number>,
  seconds: SpanSeconds,
  beginMs: number,
  endMs: number,
): readonly { readonly beginMs: number; readonly endMs: number }[] {
  const gaps: { beginMs: number; endMs: number }[] = [];
  for (let at = beginMs; at < endMs; at += seconds * 1000) {
    if (known.has(at)) continue;
    const last = gaps.at(-1);
    if (last?.endMs === at) last.endMs = at + seconds * 1000;
    else gaps.push({ beginMs: at, endMs: at + seconds * 1000 });
  }
  return gaps;
}
