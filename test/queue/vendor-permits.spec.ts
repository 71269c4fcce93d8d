import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { CallPurpose, InstanceRecord, Permit, PermitRequest, RateWindow, RecentCall } from '#domain';
import { RedisServer, findRedisServer } from '#embedded-servers';
import { RedisVendorPermits, type VendorPermitsOptions } from '#queue';
import { eventually } from '../support/eventually.js';

const silent = (): void => undefined;
let redis: RedisServer;
let admin: Redis;
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-permits-'));
  redis = await RedisServer.start({
    binary: await findRedisServer(silent),
    dir: path.join(dir, 'redis'),
    report: silent,
  });
  admin = new Redis(redis.url);
  admin.on('error', silent);
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
  await rm(dir, { recursive: true, force: true });
});

interface World extends Partial<VendorPermitsOptions> {
  readonly windows?: readonly RateWindow[];
  readonly reserve?: number;
  readonly instance?: string;
}

type Purpose = Exclude<PermitRequest['purpose'], 'question'> | Extract<CallPurpose, { purpose: 'question' }>;
const questionOf = (tenantId: string) => ({ purpose: 'question', tenantId }) as const;

/** Permits of one process; of another for the same instance where it is named. */
async function permitsFor({ windows = [], reserve = 0.2, instance = randomUUID(), ...options }: World = {}) {
  const paused: InstanceRecord[] = [];
  const permits = new RedisVendorPermits({
    redis: redis.url,
    quotas: [{ instance, windows, reserve }],
    recentCalls: { recentCalls: () => Promise.resolve([]) },
    records: { list: () => Promise.resolve(paused) },
    onError: silent,
    ...options,
  });
  onTestFinished(() => permits.close());
  await permits.ready();
  const request = (of: Purpose, calls = 1, actionName = 'BlockIp'): PermitRequest => ({
    instance,
    actionName,
    calls,
    ...(typeof of === 'string' ? { purpose: of } : of),
  });
  /** Takes, also where the windows have to be made first. */
  const take = async (purpose: Purpose = 'start', calls = 1, actionName = 'BlockIp') => {
    for (let tried = 1; ; tried += 1) {
      const answer = await permits.take(request(purpose, calls, actionName));
      if (answer.kind === 'granted' || answer.reason !== 'quota' || answer.waitMs !== 250) return answer;
      // A window may be full for as long, by chance, and in a simulated time that never ends.
      if (tried === 40) return answer;
      await sleep(5);
    }
  };
  /** How many are granted before one has to wait. */
  const takeAll = async (purpose: Purpose, most = 200, actionName = 'BlockIp') => {
    const granted: Permit[] = [];
    while (granted.length < most) {
      const answer = await take(purpose, 1, actionName);
      if (answer.kind === 'wait') break;
      granted.push(answer.permit);
    }
    return granted;
  };
  return { permits, instance, paused, take, takeAll };
}

/** The most calls in any period of this length. */
function mostWithin(times: readonly number[], perMs: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  let from = 0;
  let most = 0;
  for (const [index, time] of sorted.entries()) {
    while (time - (sorted[from] ?? 0) >= perMs) from += 1;
    most = Math.max(most, index - from + 1);
  }
  return most;
}

describe("a vendor's quota", () => {
  it('of 100 a minute and 1,500 an hour is never exceeded by 1,000 actions, which lose none and start in lane order', async () => {
    let now = Date.now();
    const { take } = await permitsFor({
      windows: [
        { calls: 100, perSeconds: 60 },
        { calls: 1500, perSeconds: 3600 },
      ],
      now: () => now,
    });
    const lanes = ['release', 'containment', 'routine'] as const;
    const waiting = Array.from({ length: 1000 }, (_, index) => lanes[(index * 7) % 3] ?? 'routine').toSorted(
      (a, b) => lanes.indexOf(a) - lanes.indexOf(b),
    );
    const started: string[] = [];
    const calls: number[] = [];
    while (waiting.length > 0) {
      const lane = waiting[0] ?? 'routine';
      const answer = await take(lane === 'release' ? 'urgent' : 'start');
      if (answer.kind === 'wait') {
        now += answer.waitMs;
        continue;
      }
      waiting.shift();
      started.push(lane);
      // It arrives at the vendor at some time between the permit and its end.
      const tookMs = (started.length * 37) % 100;
      calls.push(now + ((started.length * 13) % (tookMs + 1)));
      now += tookMs;
      answer.permit.settle();
    }
    expect(started).toHaveLength(1000);
    expect(started).toEqual(
      started.toSorted((a, b) => lanes.indexOf(a as 'release') - lanes.indexOf(b as 'release')),
    );
    expect(mostWithin(calls, 60_000)).toBeLessThanOrEqual(100);
    expect(mostWithin(calls, 3_600_000)).toBeLessThanOrEqual(1500);
  }, 60_000);

  it('holds in every period, however long calls take and whoever makes them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({ gapMs: fc.nat(4000), tookMs: fc.nat(9000), other: fc.boolean(), urgent: fc.boolean() }),
          {
            minLength: 10,
            maxLength: 40,
          },
        ),
        async (steps) => {
          let now = Date.now();
          const windows = [
            { calls: 5, perSeconds: 10 },
            { calls: 12, perSeconds: 60 },
          ];
          const one = await permitsFor({ windows, now: () => now });
          const two = await permitsFor({ windows, now: () => now, instance: one.instance });
          const underWay: { readonly endsAt: number; readonly permit: Permit }[] = [];
          const calls: number[] = [];
          for (const { gapMs, tookMs, other, urgent } of steps) {
            now += gapMs;
            const ended = underWay.filter(({ endsAt }) => endsAt <= now);
            for (const call of ended) {
              underWay.splice(underWay.indexOf(call), 1);
              call.permit.settle();
            }
            // Settling is not waited for.
            await admin.ping();
            const answer = await (other ? two : one).take(urgent ? 'urgent' : 'start');
            if (answer.kind === 'wait') continue;
            calls.push(now + tookMs / 2);
            underWay.push({ endsAt: now + tookMs, permit: answer.permit });
          }
          expect(mostWithin(calls, 10_000)).toBeLessThanOrEqual(5);
          expect(mostWithin(calls, 60_000)).toBeLessThanOrEqual(12);
        },
      ),
      { numRuns: 12 },
    );
  }, 60_000);

  it('keeps a share for cancels and releases, and lets polls have half of the rest', async () => {
    const { takeAll } = await permitsFor({ windows: [{ calls: 20, perSeconds: 60 }], reserve: 0.2 });
    expect(await takeAll('poll')).toHaveLength(8);
    expect(await takeAll('start')).toHaveLength(8);
    expect(await takeAll('start')).toHaveLength(0);
    expect(await takeAll('urgent', 2)).toHaveLength(2);
    expect(await takeAll('release')).toHaveLength(2);
  });

  it('lets questions have a quarter, and one tenant half of that, however much is left for polls', async () => {
    const { takeAll } = await permitsFor({ windows: [{ calls: 40, perSeconds: 60 }], reserve: 0.2 });
    const [first, ...more] = await takeAll(questionOf('a'));
    expect(more).toHaveLength(3);
    expect(await takeAll(questionOf('b'))).toHaveLength(4);
    expect(await takeAll(questionOf('c'))).toHaveLength(0);
    expect(await takeAll('poll')).toHaveLength(16);
    // What was not asked can be asked by anybody.
    first?.settle(0);
    await eventually(async () => (await takeAll(questionOf('c'))).length === 1);
  });

  it('lets a question that takes several calls come to its end', async () => {
    const { take } = await permitsFor({ windows: [{ calls: 10, perSeconds: 60 }], reserve: 0.2 });
    const answer = await take(questionOf('a'));
    if (answer.kind === 'wait') throw new Error('no permit');
    const { signal } = new AbortController();
    for (let calls = 0; calls < 3; calls += 1) await answer.permit.spend(signal);
    expect(await take(questionOf('a'))).toMatchObject({ kind: 'wait', reason: 'quota' });
  });

  it('has windows of some actions alone', async () => {
    const { takeAll } = await permitsFor({
      windows: [
        { calls: 100, perSeconds: 60 },
        { calls: 5, perSeconds: 60, actions: ['RunScript'] },
      ],
      reserve: 0,
    });
    expect(await takeAll('start', 50, 'RunScript')).toHaveLength(5);
    expect(await takeAll('start', 50, 'BlockIp')).toHaveLength(50);
  });

  it('gets back what was not used', async () => {
    const { take, takeAll } = await permitsFor({ windows: [{ calls: 10, perSeconds: 60 }], reserve: 0 });
    const answer = await take('start', 8);
    if (answer.kind === 'wait') throw new Error('no permit');
    answer.permit.settle(1);
    await eventually(async () => (await takeAll('start', 9)).length === 9);
  });

  it('counts a call that took longer than anybody waits for from its end on', async () => {
    let now = Date.now();
    const { permits, instance, take } = await permitsFor({
      windows: [
        { calls: 10, perSeconds: 1 },
        { calls: 2, perSeconds: 1, actions: ['RunScript'] },
      ],
      now: () => now,
    });
    const slow = await take('start', 1, 'BlockIp');
    if (slow.kind === 'wait') throw new Error('no permit');
    now += 200_000;
    const other = await take();
    if (other.kind === 'wait') throw new Error('no permit');
    // What counts no more is removed with the end of another.
    other.permit.settle();
    await eventually(async () => (await admin.zcard(`{riposte}:quota:${instance}:calls`)) === 1);
    slow.permit.settle();
    await eventually(async () => (await permits.state(instance)).windows?.[0]?.left === 8);
    expect((await permits.state(instance)).windows?.[1]?.left).toBe(2);
  });

  it('gives more calls than were asked for as the windows allow, until the call is stopped', async () => {
    const { take } = await permitsFor({ windows: [{ calls: 2, perSeconds: 60 }], reserve: 0 });
    const answer = await take('start', 1);
    if (answer.kind === 'wait') throw new Error('no permit');
    const stop = new AbortController();
    await answer.permit.spend(stop.signal);
    await answer.permit.spend(stop.signal);
    const third = answer.permit.spend(stop.signal);
    stop.abort(new Error('stopped'));
    await expect(third).rejects.toThrow('stopped');
  });

  it('says when the next may be expected', async () => {
    let now = Date.now();
    const { permits, instance, takeAll } = await permitsFor({
      windows: [{ calls: 10, perSeconds: 60 }],
      reserve: 0,
      now: () => now,
    });
    for (const permit of await takeAll('start', 5)) permit.settle();
    await eventually(async () => (await permits.state(instance)).windows?.[0]?.left === 5);
    now += 10_000;
    expect(await permits.expectedMs(instance, 4, null)).toBe(0);
    expect(await permits.expectedMs(instance, 5, null)).toBe(50_000);
    expect(await permits.expectedMs(instance, 15, null)).toBe(110_000);
    expect((await permits.state(instance)).waiting).toBeNull();
  });
});

describe('after Redis lost its data', () => {
  const minuteAgo = (count: number): RecentCall[] =>
    Array.from({ length: count }, (_, index) => ({
      actionName: 'BlockIp',
      at: new Date(Date.now() - 1000 * index),
      purpose: 'start',
    }));

  it('the calls on record count before anybody makes another', async () => {
    const { takeAll } = await permitsFor({
      windows: [{ calls: 10, perSeconds: 60 }],
      reserve: 0,
      recentCalls: { recentCalls: () => Promise.resolve(minuteAgo(7)) },
    });
    expect(await takeAll('start')).toHaveLength(3);
    await admin.flushall();
    expect(await takeAll('start')).toHaveLength(3);
  });

  it('nobody calls while the record cannot be read', async () => {
    let away = true;
    const { permits, instance, takeAll } = await permitsFor({
      windows: [{ calls: 10, perSeconds: 60 }],
      reserve: 0,
      recentCalls: {
        recentCalls: () => (away ? Promise.reject(new Error('away')) : Promise.resolve(minuteAgo(9))),
      },
    });
    for (let tries = 0; tries < 5; tries += 1)
      expect(
        await permits.take({ instance, actionName: 'BlockIp', purpose: 'start', calls: 1 }),
      ).toMatchObject({
        kind: 'wait',
      });
    away = false;
    expect(await takeAll('start')).toHaveLength(1);
  });

  it('an older state of it is noticed by who knew a newer one', async () => {
    let recorded = 0;
    const { instance, takeAll } = await permitsFor({
      windows: [{ calls: 10, perSeconds: 60 }],
      reserve: 0,
      recentCalls: { recentCalls: () => Promise.resolve(minuteAgo(recorded)) },
    });
    expect(await takeAll('start', 6)).toHaveLength(6);
    // As a replica has it that was promoted before it heard of them.
    await admin.hset(`{riposte}:quota:${instance}`, 'sequence', 2);
    await admin.del(`{riposte}:quota:${instance}:calls`);
    recorded = 6;
    expect(await takeAll('start')).toHaveLength(4);
  });
});

describe('while Redis is away', () => {
  it('each process keeps to its share, and what all did counts once Redis is back, whoever asks then', async () => {
    const own = await RedisServer.start({
      binary: await findRedisServer(silent),
      dir: await mkdtemp(path.join(dir, 'own-')),
      report: silent,
    });
    const world = { redis: own.url, windows: [{ calls: 40, perSeconds: 60 }], reserve: 0, workers: () => 2 };
    const { permits, instance, takeAll } = await permitsFor(world);
    const silentOne = await permitsFor({ ...world, instance });
    expect(await takeAll('start', 5)).toHaveLength(5);
    await own.stop();
    const alone = [...(await takeAll('start')), ...(await silentOne.takeAll('start', 10))];
    expect(alone.length).toBeGreaterThan(10);
    expect(alone.length).toBeLessThanOrEqual(30);
    const back = await RedisServer.start({
      binary: await findRedisServer(silent),
      dir: await mkdtemp(path.join(dir, 'back-')),
      report: silent,
      port: Number(new URL(own.url).port),
    });
    // Its data is gone, and nothing is on record: what counts is what the processes say they did.
    const others = await eventually(async () => {
      const granted = (await Promise.all([takeAll('start'), takeAll('start')])).flat();
      return granted.length > 0 ? granted : null;
    });
    expect(others.length).toBe(40 - alone.length);
    permits.close();
    silentOne.permits.close();
    await back.stop();
  });
});

describe('without Redis from the beginning', () => {
  const recorded = (): RecentCall[] =>
    Array.from({ length: 30 }, () => ({
      actionName: 'BlockIp',
      at: new Date(Date.now() - 5000),
      purpose: 'start',
    }));
  /** A process that has never reached its Redis. */
  const loner = (options: Partial<VendorPermitsOptions>) => {
    const instance = randomUUID();
    const permits = new RedisVendorPermits({
      redis: 'redis://127.0.0.1:1',
      quotas: [{ instance, windows: [{ calls: 40, perSeconds: 60 }], reserve: 0 }],
      recentCalls: { recentCalls: () => Promise.resolve(recorded()) },
      records: { list: () => Promise.resolve([]) },
      onError: silent,
      ...options,
    });
    onTestFinished(() => permits.close());
    return async (): Promise<number> => {
      for (let granted = 0; ; granted += 1) {
        const request = { instance, actionName: 'BlockIp', purpose: 'start', calls: 1 } as const;
        if ((await permits.take(request)).kind === 'wait') return granted;
      }
    };
  };

  it('each process has its share of what all have left by the records, however often it asks', async () => {
    const takeAll = loner({ workers: () => 2 });
    expect(await takeAll()).toBe(5);
    expect(await takeAll()).toBe(0);
  });

  it('nobody calls where there are more processes than calls left', async () => {
    expect(await loner({ workers: () => 11 })()).toBe(0);
  });

  it('nobody calls before the records were read', async () => {
    let away = true;
    const takeAll = loner({
      workers: () => 1,
      recentCalls: {
        recentCalls: () => (away ? Promise.reject(new Error('away')) : Promise.resolve(recorded())),
      },
    });
    expect(await takeAll()).toBe(0);
    away = false;
    expect(await takeAll()).toBe(10);
  });
});

describe("the vendor's Retry-After", () => {
  it('holds for all processes and all purposes, and is never made shorter', async () => {
    const one = await permitsFor();
    const two = await permitsFor({ instance: one.instance });
    one.permits.vendorBusy(one.instance, 5000);
    one.permits.vendorBusy(one.instance, 10);
    await eventually(async () => (await two.take('urgent')).kind === 'wait');
    for (const { take } of [one, two])
      expect(await take('urgent')).toMatchObject({ kind: 'wait', reason: 'vendorBusy' });
    expect((await two.permits.state(one.instance)).waiting).toMatchObject({ reason: 'vendorBusy' });
  });
});

describe('the circuit breaker', () => {
  it('opens for all processes when five calls in a row could not reach the vendor', async () => {
    const one = await permitsFor();
    const two = await permitsFor({ instance: one.instance });
    for (let calls = 0; calls < 4; calls += 1) one.permits.note(one.instance, 'unreachable');
    two.permits.note(one.instance, 'unreachable');
    await eventually(async () => (await two.permits.state(one.instance)).breaker === 'open');
    await eventually(async () => (await one.permits.state(one.instance)).breaker === 'open');
    expect(await one.take('start')).toMatchObject({ kind: 'wait', reason: 'breakerOpen' });
  });

  it('opens when half of twenty calls failed, and not by fewer', async () => {
    const { permits, instance } = await permitsFor();
    for (let calls = 0; calls < 10; calls += 1) permits.note(instance, 'answered');
    for (let calls = 0; calls < 9; calls += 1) permits.note(instance, 'failed');
    await eventually(async () => (await admin.hlen(`{riposte}:condition:${instance}`)) > 0);
    expect((await permits.state(instance)).breaker).toBe('closed');
    permits.note(instance, 'failed');
    await eventually(async () => (await permits.state(instance)).breaker === 'open');
  });

  it('lets one of all contenders try when its time is over, and closes when that is answered', async () => {
    const one = await permitsFor();
    const { instance } = one;
    const others = await Promise.all(Array.from({ length: 3 }, () => permitsFor({ instance })));
    const all = [one, ...others];
    for (let calls = 0; calls < 5; calls += 1) one.permits.note(instance, 'unreachable');
    await eventually(async () => (await one.permits.state(instance)).breaker === 'open');
    // Its time passes.
    await admin.hset(`{riposte}:condition:${instance}`, 'openUntil', 1);
    await Promise.all(all.map(({ permits }) => permits.refresh()));
    const answers = await Promise.all([...all, ...all].map(({ take }) => take('start')));
    expect(answers.filter(({ kind }) => kind === 'granted')).toHaveLength(1);
    one.permits.note(instance, 'answered');
    await eventually(async () => (await others[0]?.permits.state(instance))?.breaker === 'closed');
    await eventually(async () => (await all.at(-1)?.take('start'))?.kind === 'granted');
  });

  it('opens for longer when the one that tried failed, and another may try when it was never made', async () => {
    const { permits, instance, take } = await permitsFor();
    const key = `{riposte}:condition:${instance}`;
    for (let calls = 0; calls < 5; calls += 1) permits.note(instance, 'unreachable');
    await eventually(async () => (await permits.state(instance)).breaker === 'open');
    await admin.hset(key, 'openUntil', 1);
    await permits.refresh();
    const first = await take('start');
    if (first.kind === 'wait') throw new Error('no probe');
    first.permit.settle(0);
    await eventually(async () => (await take('start')).kind === 'granted');
    permits.note(instance, 'failed');
    await eventually(async () => (await permits.state(instance)).breaker === 'open');
    expect(await admin.hget(key, 'openMs')).toBe('30000');
  });
});

describe('a paused instance', () => {
  it('starts and undoes nothing, and is still asked how far things are and told of cancels', async () => {
    const { permits, instance, paused, take } = await permitsFor();
    paused.push({
      instance,
      paused: { by: { appId: randomUUID(), user: null }, at: new Date(), reason: 'maintenance' },
      health: null,
      maintained: null,
    });
    await permits.announce(instance);
    for (const purpose of ['start', 'release'] as const)
      expect(await take(purpose)).toMatchObject({ kind: 'wait', reason: 'paused' });
    expect((await take('poll')).kind).toBe('granted');
    expect((await take('urgent')).kind).toBe('granted');
    paused.length = 0;
    await permits.announce(instance);
    for (const purpose of ['start', 'release'] as const) expect((await take(purpose)).kind).toBe('granted');
  });

  it('starts nothing in a process that has just begun, and nor does any before it is known what is paused', async () => {
    const instance = randomUUID();
    const paused = { by: { appId: randomUUID(), user: null }, at: new Date(), reason: 'maintenance' };
    let isAway = true;
    const permits = new RedisVendorPermits({
      redis: redis.url,
      quotas: [],
      recentCalls: { recentCalls: () => Promise.resolve([]) },
      records: {
        list: () =>
          isAway
            ? Promise.reject(new Error('The database is away.'))
            : Promise.resolve([{ instance, paused, health: null, maintained: null }]),
      },
      onError: silent,
    });
    onTestFinished(() => permits.close());
    const start = (of: string) =>
      permits.take({ instance: of, actionName: 'BlockIp', purpose: 'start', calls: 1 });
    expect((await start(randomUUID())).kind).toBe('wait');
    isAway = false;
    expect(await start(instance)).toMatchObject({ kind: 'wait', reason: 'paused' });
    expect((await start(randomUUID())).kind).toBe('granted');
  });
});
