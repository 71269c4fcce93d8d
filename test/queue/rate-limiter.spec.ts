import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { RedisServer, findRedisServer } from '#embedded-servers';
import { RedisRateLimiter, type RateLimiterOptions } from '#queue';
import { eventually } from '../support/eventually.js';

const silent = (): void => undefined;
let redis: RedisServer;
let admin: Redis;
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-limiter-'));
  redis = await startRedis();
  admin = new Redis(redis.url);
  admin.on('error', silent);
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
  await rm(dir, { recursive: true, force: true });
});

async function startRedis(port?: number): Promise<RedisServer> {
  const binary = await findRedisServer(silent);
  return RedisServer.start({
    binary,
    dir: path.join(dir, 'redis'),
    report: silent,
    ...(port === undefined ? {} : { port }),
  });
}

/** A limiter that speaks to Redis already, and says whether it limits by itself. */
async function limiterFor(options: Partial<RateLimiterOptions> = {}) {
  const state = { isLocal: false };
  const limiter = new RedisRateLimiter({
    redis: redis.url,
    perSecond: 5,
    // A busy machine is not a frozen Redis.
    waitMs: 5000,
    onError: silent,
    onLocal: (isLocal) => (state.isLocal = isLocal),
    ...options,
  });
  onTestFinished(() => limiter.close());
  await shared(limiter);
  return { limiter, state };
}

/** Waits until Redis knows what the limiter takes. */
async function shared(limiter: RedisRateLimiter): Promise<void> {
  await eventually(async () => {
    const key = randomUUID();
    await limiter.take(key);
    return (await admin.exists(`{riposte}:limit:${key}`)) === 1;
  });
}

/** Takes as often as it is told, all at once; how often it was allowed. */
async function takeAll(
  limiters: readonly RedisRateLimiter[],
  key: string,
  each: number,
): Promise<{ readonly allowed: number; readonly atMost: number; readonly ms: number }> {
  const began = performance.now();
  const answers = await Promise.all(
    limiters.flatMap((limiter) => Array.from({ length: each }, () => limiter.take(key))),
  );
  const ms = performance.now() - began;
  // The bucket of 10, and what was refilled meanwhile at 5/s.
  return { allowed: answers.filter(({ allowed }) => allowed).length, atMost: 10 + Math.ceil(ms / 200), ms };
}

describe('the rate limit in Redis', () => {
  it('allows two seconds of the rate at once, counts down, then says how long to wait', async () => {
    const { limiter } = await limiterFor({ perSecond: 1 });
    const key = randomUUID();
    const [first, second, third] = [
      await limiter.take(key),
      await limiter.take(key),
      await limiter.take(key),
    ];
    expect(first).toMatchObject({ allowed: true, limit: 2, remaining: 1 });
    expect(first.waitMs).toBeLessThanOrEqual(1000);
    expect(second).toMatchObject({ allowed: true, remaining: 0 });
    expect(third).toMatchObject({ allowed: false, remaining: 0 });
    expect(third.waitMs).toBeGreaterThan(0);
    expect(third.waitMs).toBeLessThanOrEqual(1000);
  });

  it('keeps its word: whoever waits as long as he was told is allowed', async () => {
    const { limiter } = await limiterFor();
    const key = randomUUID();
    const refused = await eventually(async () => {
      const answer = await limiter.take(key);
      return answer.allowed ? null : answer;
    });
    await sleep(refused.waitMs + 1);
    expect(await limiter.take(key)).toMatchObject({ allowed: true });
  });

  it('takes nothing for a refusal: who goes on asking still gets his rate', async () => {
    const { limiter } = await limiterFor();
    const key = randomUUID();
    await takeAll([limiter], key, 200);
    // Counted, they would have to be waited out: 40 s.
    await eventually(async () => (await limiter.take(key)).allowed);
  });

  it('is shared by all who limit, and full again after a quiet time', async () => {
    const [{ limiter: one }, { limiter: other }] = [await limiterFor(), await limiterFor()];
    const key = randomUUID();
    const { allowed, atMost } = await takeAll([one, other], key, 15);
    expect(allowed).toBeGreaterThanOrEqual(10);
    expect(allowed).toBeLessThanOrEqual(atMost);
    await eventually(async () => (await admin.exists(`{riposte}:limit:${key}`)) === 0, 5000);
    expect(await other.take(key)).toMatchObject({ allowed: true, remaining: 9 });
  });

  it('limits each key by itself', async () => {
    const { limiter } = await limiterFor();
    await takeAll([limiter], randomUUID(), 20);
    expect(await limiter.take(randomUUID())).toMatchObject({ allowed: true, remaining: 9 });
  });

  it('begins with full buckets in a Redis that lost its data', async () => {
    const { limiter, state } = await limiterFor();
    const key = randomUUID();
    await takeAll([limiter], key, 20);
    await admin.flushall();
    await admin.script('FLUSH');
    expect(await limiter.take(key)).toMatchObject({ allowed: true });
    expect(state.isLocal).toBe(false);
  });
});

describe('without Redis', () => {
  it.each([
    ['paused', () => admin.client('PAUSE', 60_000, 'WRITE'), () => admin.client('UNPAUSE')],
    ['frozen', () => redis.signal('SIGSTOP'), () => redis.signal('SIGCONT')],
    [
      'away',
      () => redis.stop(),
      async () => {
        redis = await startRedis(redis.port);
      },
    ],
  ] as const)('limits by itself at the same rate, and quickly: Redis is %s', async (_how, hurt, heal) => {
    const { limiter, state } = await limiterFor({ waitMs: 75 });
    await hurt();
    try {
      const key = randomUUID();
      const { allowed, atMost, ms } = await takeAll([limiter], key, 30);
      expect(state.isLocal).toBe(true);
      expect(allowed).toBeGreaterThanOrEqual(10);
      expect(allowed).toBeLessThanOrEqual(atMost);
      // All of them waited at the same time, for as long as may be; not for the connection's 800 ms.
      expect(ms).toBeLessThan(800);
      expect(await limiter.take(key)).toMatchObject({ allowed: false, limit: 10, remaining: 0 });
      // One a second waits to see how Redis is; if each did, it would take 15 s.
      const began = performance.now();
      for (let asked = 0; asked < 200; asked += 1) await limiter.take(randomUUID());
      expect(performance.now() - began).toBeLessThan(5000);
    } finally {
      await heal();
    }
    await shared(limiter);
    await eventually(async () => {
      await limiter.take(randomUUID());
      return !state.isLocal;
    });
  });
});
