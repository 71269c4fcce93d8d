import { setTimeout as sleep } from 'node:timers/promises';
import { OperationalError, type Admission, type Bell, type WaitingCounter } from '#domain';
import type { Logger } from '#telemetry';
import { TenantShares } from './tenant-shares.js';

/** Milliseconds for which a count is good; then the next create has it counted again, and does not wait for it. */
const COUNT_AGAIN_MS = 1000;
/** Counting takes no more than this share of the time: a hundred thousand take the database tens of milliseconds or more. */
const COUNTING_SHARE = 0.05;
const COUNT_AGAIN_AT_LATEST_MS = 5000;
/** Milliseconds after which a count says nothing any more: a create waits for a new one, as the first did. */
const STALE_MS = 10_000;
/** Milliseconds a create may wait for a count. */
const WAIT_MS = 1500;
/**
 * Where workers cannot keep up: how many may wait before creates are slowed down; at twice as many they are so the most.
 * A second or two of work for a worker, so that none is idle for want of hints.
 */
const PACED_FROM = 1000;
/** Milliseconds a create is slowed down at most: in that time workers get through what waits then, and no further. */
const PACED_BY_MS = 1000;
/** Milliseconds between the times at which creates that were slowed down go on: together, they are written as a group. */
const PACED_TOGETHER_MS = 40;
/** And how many may wait at all. What comes before the first word of a worker is less than that. */
const PACED_BOUND = 5000;
/**
 * How much of a backlog one tenant may fill: so many times what is left free after it ("dynamic thresholds" of shared
 * buffers: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998). One alone may have nine tenths; two who
 * fill it come to nine nineteenths each, and there is always room for one more.
 */
const TIMES_WHAT_IS_FREE = 9;
/** Milliseconds for which a worker's word is good that it cannot keep up. */
const OVERLOADED_MS = 1500;
const PACED_COUNT_AGAIN_MS = 250;
/** Weight of the last count in how fast it goes. */
const RATE_GAIN = 0.3;
/** Milliseconds over which is seen how fast a backlog is worked off. */
const RATE_OVER_MS = 30_000;

const SOONEST_SECONDS = 1;
const LATEST_SECONDS = 300;
/** Where nothing was seen yet of how fast it goes. */
const UNKNOWN_SECONDS = 10;

export interface BacklogOptions {
  readonly counter: WaitingCounter;
  /** Per provider instance, how many of its actions may wait to be started. */
  readonly bounds: ReadonlyMap<string, number>;
  /** By which workers tell that they cannot keep up. Default: they always can. */
  readonly bell?: Pick<Bell, 'listen'>;
  readonly log: Logger;
  /** Milliseconds that only grow. Default `performance.now`. */
  readonly nowMs?: () => number;
  /** Waits for so many milliseconds. Default: by a timer. */
  readonly wait?: (ms: number) => Promise<unknown>;
}

/**
 * Bounds what waits for each provider instance, so that callers hear of a vendor that is too slow, or away, and not
 * of a full database. What waits is counted in MongoDB at most once a second per instance, in the background, and
 * what this process accepted since is added. With several processes the bound may be passed by what the others
 * accept in that second.
 *
 * Where workers say that they cannot keep up, for want of processor or database and not of their vendors, creates are
 * slowed down the more of them wait, so that intake takes nothing from the work; and there is a lower bound.
 *
 * A tenant that has brought most of what waits is refused before it is full, so that others still get in.
 *
 * Where the count fails, everything is admitted: an action that can be written is worth more than an exact bound.
 */
export class Backlog implements Admission {
  readonly #gauges: ReadonlyMap<string, Gauge>;
  readonly #wait: (ms: number) => Promise<unknown>;

  constructor({ counter, bounds, bell, log, nowMs = () => performance.now(), wait = sleep }: BacklogOptions) {
    this.#wait = wait;
    this.#gauges = new Map(
      [...bounds].map(([instance, bound]) => [
        instance,
        new Gauge(
          bound,
          () => counter.countWaiting(instance, bound + 1),
          nowMs,
          (failure) => {
            if (failure === null) log.info({ instance }, 'backlog counted again');
            else log.warn({ instance, err: failure }, 'backlog not counted; everything is admitted');
          },
        ),
      ]),
    );
    bell?.listen('overloaded', (instance) => this.#gauges.get(instance)?.noteOverload());
  }

  async admit(instance: string, tenantId: string, isWanted = (): boolean => true): Promise<void> {
    const gauge = this.#gauges.get(instance);
    if (gauge === undefined) return;
    await gauge.beKnown();
    const refusal = gauge.refusalOf(tenantId, instance);
    if (refusal !== null)
      throw new OperationalError('tooManyRequests', refusal.message, refusal.retryAfterSeconds);
    gauge.accept(tenantId);
    const paceMs = gauge.paceMs();
    if (paceMs <= 0) return;
    await this.#wait(paceMs);
    if (isWanted()) return;
    gauge.forget(tenantId);
    throw new OperationalError(
      'tooManyRequests',
      'The caller hung up while the request waited for its turn. Nothing was written.',
      gauge.secondsUntilRoom(),
    );
  }
}

/** A count, and how many this process had accepted in all when it began. */
interface Sample {
  readonly atMs: number;
  readonly waiting: number;
  readonly accepted: number;
}

/** Why no more is admitted now, and when it may be. */
interface Refusal {
  readonly message: string;
  readonly retryAfterSeconds: number;
}

/** How much waits for one instance. */
class Gauge {
  readonly bound: number;
  readonly #count: () => Promise<number>;
  readonly #nowMs: () => number;
  readonly #onChange: (failure: unknown) => void;
  /** Oldest first. */
  readonly #samples: Sample[] = [];
  readonly #shares = new TenantShares();
  #accepted = 0;
  #counting: Promise<void> | null = null;
  #againAtMs = Number.NEGATIVE_INFINITY;
  #overloadedUntilMs = Number.NEGATIVE_INFINITY;
  #failed = false;
  /** How many are started in a millisecond, lately. */
  #startedPerMs = 0;

  constructor(
    bound: number,
    count: () => Promise<number>,
    nowMs: () => number,
    onChange: (failure: unknown) => void,
  ) {
    this.bound = bound;
    this.#count = count;
    this.#nowMs = nowMs;
    this.#onChange = onChange;
  }

  /** Has it counted where that is due, and waits for it only where nothing is known. */
  async beKnown(): Promise<void> {
    if (this.#nowMs() >= this.#againAtMs) this.#counting ??= this.#sample();
    // Who waits in vain is admitted, and so are, without a wait, those after him until the next try.
    if (this.#latest() === null && this.#counting !== null && !this.#failed) await soon(this.#counting);
  }

  /** A worker cannot keep up. */
  noteOverload(): void {
    this.#overloadedUntilMs = this.#nowMs() + OVERLOADED_MS;
  }

  /** Null: the tenant may bring one more. */
  refusalOf(tenantId: string, instance: string): Refusal | null {
    if (this.#latest() === null) return null;
    const [waiting, bound] = [this.#waiting(), this.#boundNow()];
    const why = bound < this.bound ? ' while the workers cannot keep up' : '';
    if (waiting >= bound)
      return {
        message: `${bound} actions wait for provider instance "${instance}", and no more may${why}. Nothing was written; send it again later.`,
        retryAfterSeconds: this.secondsUntilRoom(),
      };
    const own = this.#shares.of(tenantId);
    const over = own - TIMES_WHAT_IS_FREE * (bound - waiting);
    if (over < 0) return null;
    return {
      message: `Most of the ${bound} actions that may wait for provider instance "${instance}"${why} are of this tenant, and the rest is for others. Nothing was written; send it again later.`,
      // What is worked off makes room, and is the tenant's own in its share.
      retryAfterSeconds: this.#secondsUntilStarted((over + 1) / (TIMES_WHAT_IS_FREE + own / waiting)),
    };
  }

  /** Milliseconds by which a create is slowed down: none, and then the more the more wait. */
  paceMs(): number {
    if (!this.#isOverloaded()) return 0;
    const over = (this.#waitingNow() - PACED_FROM) / PACED_FROM;
    if (over <= 0) return 0;
    const nowMs = this.#nowMs();
    const goesOnAtMs = nowMs + PACED_BY_MS * Math.min(over, 1) ** 2;
    return Math.ceil(goesOnAtMs / PACED_TOGETHER_MS) * PACED_TOGETHER_MS - nowMs;
  }

  accept(tenantId: string): void {
    this.#accepted += 1;
    this.#shares.add(tenantId);
  }

  /** One that was accepted is not written after all. */
  forget(tenantId: string): void {
    this.#accepted -= 1;
    this.#shares.remove(tenantId);
  }

  secondsUntilRoom(): number {
    return this.#secondsUntilStarted(this.#waiting() - this.#boundNow() + 1);
  }

  /** Until so many more are started, by how fast it was worked off lately. */
  #secondsUntilStarted(excess: number): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || first === last) return UNKNOWN_SECONDS;
    const started = first.waiting + (last.accepted - first.accepted) - last.waiting;
    const secondsForOne = (last.atMs - first.atMs) / 1000 / Math.max(started, 1);
    // That none was started for a second is no proof that it goes on like that.
    const seconds = Math.max(excess * secondsForOne, started <= 0 ? UNKNOWN_SECONDS : 0);
    return Math.min(Math.max(Math.ceil(seconds), SOONEST_SECONDS), LATEST_SECONDS);
  }

  #noteRate({ atMs, waiting, accepted }: Sample): void {
    const before = this.#latest();
    if (before === null || atMs <= before.atMs) return;
    const started = Math.max(0, before.waiting + accepted - before.accepted - waiting);
    this.#startedPerMs += RATE_GAIN * (started / (atMs - before.atMs) - this.#startedPerMs);
  }

  /** As far as is known. */
  #waiting(): number {
    const latest = this.#latest();
    return latest === null ? 0 : latest.waiting + this.#accepted - latest.accepted;
  }

  /** The same, less what will have been started since it was counted if that goes on as before. */
  #waitingNow(): number {
    const sinceMs = this.#nowMs() - (this.#latest()?.atMs ?? this.#nowMs());
    return this.#waiting() - this.#startedPerMs * sinceMs;
  }

  #boundNow(): number {
    return this.#isOverloaded() ? Math.min(this.bound, PACED_BOUND) : this.bound;
  }

  #isOverloaded(): boolean {
    return this.#nowMs() < this.#overloadedUntilMs;
  }

  #latest(): Sample | null {
    const latest = this.#samples.at(-1);
    return latest === undefined || this.#nowMs() - latest.atMs > STALE_MS ? null : latest;
  }

  async #sample(): Promise<void> {
    const atMs = this.#nowMs();
    const accepted = this.#accepted;
    const againMs = this.#isOverloaded() ? PACED_COUNT_AGAIN_MS : COUNT_AGAIN_MS;
    this.#againAtMs = atMs + againMs;
    try {
      const waiting = await this.#count();
      const spared = (this.#nowMs() - atMs) / COUNTING_SHARE;
      this.#againAtMs = atMs + Math.min(Math.max(againMs, spared), COUNT_AGAIN_AT_LATEST_MS);
      while ((this.#samples[0]?.atMs ?? atMs) < atMs - RATE_OVER_MS) this.#samples.shift();
      this.#noteRate({ atMs, waiting, accepted });
      this.#samples.push({ atMs, waiting, accepted });
      this.#shares.fit(this.#waiting());
      if (this.#failed) this.#onChange(null);
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) this.#onChange(error);
      this.#failed = true;
    } finally {
      this.#counting = null;
    }
  }
}

async function soon(counting: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, WAIT_MS);
  });
  await Promise.race([counting, late]);
  clearTimeout(timer);
}
