import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { Redis } from 'ioredis';
import type { Allowance, RateLimit } from '#domain';
import { PREFIX, promptConnection, type OnConnectionError, type RedisAddress } from './redis-connection.js';

/** Seconds of the rate that a caller who was quiet may use at once. */
const BURST_SECONDS = 2;

/**
 * Milliseconds Redis may take to answer. Ten times what it needs under load; a caller notices nothing of it when
 * Redis is frozen.
 */
const DEFAULT_WAIT_MS = 75;

/** Milliseconds after a failure for which nobody asks Redis again, but for a first one to see how it is. */
const LOCAL_FOR_MS = 1000;

/**
 * A bucket that is refilled evenly, as one number: the time at which it will be full again (GCRA,
 * https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm). The library's own script counts in fixed windows,
 * which let twice the limit through where two of them meet, and have everybody who was refused come back at once.
 * A refusal takes nothing: who goes on asking still gets his rate. By Redis' clock, for all processes.
 *
 * ARGV: what is taken, (unused), size of the bucket, seconds in which it fills. Returns, as the library expects, how
 * much of it is used (more than its size: refused), and the milliseconds until it is full, or has room for this.
 */
const TAKE = `
local now = redis.call('TIME')
now = now[1] * 1000 + now[2] / 1000
local size = tonumber(ARGV[3])
local each = ARGV[4] * 1000 / size
local full = tonumber(redis.call('GET', KEYS[1]) or 0)
-- Never empty for longer than it takes to fill, though the clock was set back.
full = math.min(math.max(full, now), now + size * each)
local after = full + ARGV[1] * each
local room = now + size * each - after
if room < -0.001 then return { size + 1, math.ceil(-room) } end
redis.call('SET', KEYS[1], string.format('%.3f', after), 'PX', math.ceil(after - now))
return { math.ceil((after - now) / each - 0.001), math.ceil(after - now) }
`;

export interface RateLimiterOptions {
  readonly redis: RedisAddress;
  /** Requests a second, on average; twice as many at once after a second or two without one. At least 1. */
  readonly perSecond: number;
  /** Milliseconds Redis may take to answer. Default 75. */
  readonly waitMs?: number;
  readonly onError: OnConnectionError;
  /** Told of each change: `true` when from now on this process limits by itself. */
  readonly onLocal?: (isLocal: boolean) => void;
}

/**
 * `RateLimit` in Redis, shared by all processes on it: one round trip a request. While Redis is away, slow or
 * frozen, each process limits by itself at the same rate; a Redis that lost its data starts with full buckets.
 */
export class RedisRateLimiter implements RateLimit {
  readonly #redis: Redis;
  readonly #shared: RateLimiterRedis;
  readonly #local: RateLimiterMemory;
  readonly #size: number;
  readonly #waitMs: number;
  readonly #onLocal: (isLocal: boolean) => void;
  #isLocal = false;
  /** On the clock of `performance.now()`. */
  #localUntil = 0;

  constructor(options: RateLimiterOptions) {
    this.#redis = promptConnection(options.redis, options.onError);
    this.#size = options.perSecond * BURST_SECONDS;
    this.#waitMs = options.waitMs ?? DEFAULT_WAIT_MS;
    this.#onLocal = options.onLocal ?? (() => undefined);
    const bucket = { points: this.#size, duration: BURST_SECONDS };
    this.#local = new RateLimiterMemory(bucket);
    this.#shared = new RateLimiterRedis({
      ...bucket,
      storeClient: this.#redis,
      keyPrefix: `${PREFIX}:limit`,
      customIncrTtlLuaScript: TAKE,
    });
  }

  async take(key: string): Promise<Allowance> {
    return (await this.#takeShared(key)) ?? this.#answer(await outcomeOf(this.#local.consume(key)));
  }

  close(): void {
    this.#redis.disconnect();
  }

  /** Null: Redis did not say, or is not asked for now. */
  async #takeShared(key: string): Promise<Allowance | null> {
    // Nobody waits for a connection that is not there: no need to spare anyone that.
    if (this.#redis.status !== 'ready') return this.#noteLocal();
    if (performance.now() < this.#localUntil) return null;
    // While one asks whether Redis is back, the others do not wait for that.
    if (this.#isLocal) this.#localUntil = performance.now() + LOCAL_FOR_MS;
    const outcome = await within(
      this.#waitMs,
      outcomeOf(this.#shared.consume(key)).catch(() => null),
    );
    if (outcome === null) {
      this.#localUntil = performance.now() + LOCAL_FOR_MS;
      return this.#noteLocal();
    }
    this.#localUntil = 0;
    this.#note(false);
    return this.#answer(outcome);
  }

  #noteLocal(): null {
    this.#note(true);
    return null;
  }

  #note(isLocal: boolean): void {
    if (isLocal === this.#isLocal) return;
    this.#isLocal = isLocal;
    this.#onLocal(isLocal);
  }

  #answer({ allowed, result }: Outcome): Allowance {
    return {
      allowed,
      limit: this.#size,
      remaining: result.remainingPoints,
      waitMs: Math.max(0, result.msBeforeNext),
    };
  }
}

interface Outcome {
  readonly allowed: boolean;
  readonly result: RateLimiterRes;
}

/** The library rejects with its result where it refuses, and with an error where it does not know. */
async function outcomeOf(consumed: Promise<RateLimiterRes>): Promise<Outcome> {
  try {
    return { allowed: true, result: await consumed };
  } catch (refusal) {
    if (refusal instanceof RateLimiterRes) return { allowed: false, result: refusal };
    throw refusal;
  }
}

/** Null when it is late. An answer that has arrived counts, however long this process was too busy to read it. */
async function within<T>(ms: number, answer: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    // Timers go before sockets in Node's loop: one more round reads what is there.
    timer = setTimeout(() => setImmediate(() => setImmediate(() => resolve(null))), ms);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
