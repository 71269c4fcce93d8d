import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  LatencyHistogram,
  OUTCOMES,
  connectDatabase,
  type Database,
  type FiguresOverTime,
  type SpanSeconds,
} from '#persistence';
import { freshDatabaseUri } from '../support/database.js';
import { boundsOf, profiled } from '../support/profile.js';
import { Random } from '../support/random.js';

const uri = freshDatabaseUri();
let database: Database;
/** It counts as few at once as if each tenant had very many. */
let thrifty: Database;
let direct: mongoose.Connection;

beforeAll(async () => {
  database = await connectDatabase(uri, { appName: 'riposte-test' });
  thrifty = await connectDatabase(uri, { appName: 'riposte-test', figuresAtOnce: 12 });
  direct = await mongoose.createConnection(uri).asPromise();
});
afterAll(async () => {
  await direct.close();
  await thrifty.close();
  await database.close();
});

const actions = () => direct.collection<Stored>('actions');

interface Stored {
  readonly _id: mongoose.mongo.UUID;
  readonly createdAt: Date;
  readonly [field: string]: unknown;
}
const WITHIN_MS = 60_000;

interface Ended {
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly endedAt: Date;
  readonly instance: string;
  readonly outcome: (typeof OUTCOMES)[number];
  readonly code: number | null;
}

const PHASE = {
  completed: 'done',
  failed: 'timedOut',
  outcomeUnknown: 'outcomeUnknown',
  cancelled: 'cancelledAtProvider',
} as const;
const CODES = { completed: null, failed: 408, outcomeUnknown: 520, cancelled: 499 } as const;

/** Actions of a tenant of its own, in the last so many milliseconds, the more the later. */
async function history(
  count: number,
  overMs: number,
): Promise<{ tenantId: string; ended: readonly Ended[] }> {
  const tenantId = randomUUID();
  const random = new Random(count);
  const ended = Array.from({ length: count }, (): Ended => {
    const endedAt = new Date(Date.now() - Math.round(overMs * (random.between(0, 10_000) / 10_000) ** 3));
    const totalMs = Math.round(Math.exp(random.between(0, 1200) / 100));
    const createdAt = new Date(endedAt.getTime() - totalMs);
    const outcome = random.pick([...OUTCOMES, 'completed', 'completed'] as const);
    return {
      createdAt,
      startedAt: random.chance(0.1) ? null : new Date(createdAt.getTime() + Math.round(totalMs / 3)),
      endedAt,
      instance: random.pick(['firewall', 'edr.$x']),
      outcome,
      code: CODES[outcome],
    };
  });
  await actions().insertMany(ended.map((one) => recordOf(tenantId, one)));
  return { tenantId, ended };
}

function recordOf(tenantId: string, { createdAt, startedAt, endedAt, instance, outcome, code }: Ended) {
  const status = outcome === 'completed' ? 'Completed' : 'Failed';
  return {
    _id: new mongoose.mongo.UUID(),
    tenantId,
    status,
    phase: PHASE[outcome],
    instance,
    errorInfo: code === null ? null : { code, subcode: 0, message: 'x' },
    states: [
      { status: 'NotStarted', updatedAt: createdAt },
      ...(startedAt === null ? [] : [{ status: 'Running', updatedAt: startedAt }]),
      { status, updatedAt: endedAt },
    ],
    createdAt,
    lastActionAt: endedAt,
    completedAt: endedAt,
  };
}

const within = (time: Date, { from, to }: FiguresOverTime): boolean => time >= from && time <= to;
const byTime = (one: number, other: number): number => one - other;
const percentile = (values: readonly number[], share: number): number =>
  values.toSorted(byTime)[Math.ceil(share * values.length) - 1] ?? 0;

/** All spans as one. */
function together({ spans }: FiguresOverTime) {
  const outcomes = { completed: 0, failed: 0, outcomeUnknown: 0, cancelled: 0 };
  const byInstance: Record<string, number> = {};
  const codes: Record<string, number> = {};
  const start = new LatencyHistogram();
  const total = new LatencyHistogram();
  let created = 0;
  for (const { figures } of spans) {
    created += figures.created;
    start.merge(figures.start);
    for (const [id, one] of figures.instances) {
      total.merge(one.total);
      for (const outcome of OUTCOMES) {
        outcomes[outcome] += one.outcomes[outcome];
        byInstance[id] = (byInstance[id] ?? 0) + one.outcomes[outcome];
      }
      for (const [code, count] of one.byCode) codes[code] = (codes[code] ?? 0) + count;
    }
  }
  return { created, outcomes, byInstance, codes, start: start.percentiles(), total: total.percentiles() };
}

/** The same from the definition. */
function expected(ended: readonly Ended[], time: FiguresOverTime) {
  const shown = ended.filter(({ endedAt }) => within(endedAt, time));
  const counted = (key: (one: Ended) => string | number | null): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const one of shown) {
      const name = key(one);
      if (name !== null) counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  };
  return {
    created: ended.filter(({ createdAt }) => within(createdAt, time)).length,
    outcomes: counted(({ outcome }) => outcome),
    byInstance: counted(({ instance }) => instance),
    codes: counted(({ code }) => code),
  };
}

describe('the figures of a window', () => {
  it.each<[string, SpanSeconds, number, number]>([
    ['an hour, by minutes', 60, 60, 2 * 3_600_000],
    ['a day, by quarters of an hour', 900, 96, 25 * 3_600_000],
    ['a week, by two hours', 7200, 84, 8 * 86_400_000],
  ])(
    'of %s are those of the record: at first, when they are kept, and piece by piece',
    async (_what, seconds, count, overMs) => {
      const { tenantId, ended } = await history(250, overMs);
      const first = await thrifty.figures.over(tenantId, seconds, count, WITHIN_MS);
      const again = await database.figures.over(tenantId, seconds, count, WITHIN_MS);
      for (const time of [first, again]) {
        expect(time.complete).toBe(true);
        expect(time.spans).toHaveLength(count);
        expect(time.spans.every(({ at }) => at.getTime() % (seconds * 1000) === 0)).toBe(true);
        const { start: _start, total: _total, ...found } = together(time);
        expect(found).toEqual(expected(ended, time));
      }
      for (const { at, figures } of again.spans) {
        const end = at.getTime() + seconds * 1000;
        const there = ended.filter(
          ({ endedAt }) => endedAt >= at && endedAt.getTime() < end && endedAt <= again.to,
        );
        const counted = [...figures.instances.values()].flatMap(({ outcomes }) => Object.values(outcomes));
        expect(counted.reduce((sum, one) => sum + one, 0)).toBe(there.length);
      }
    },
  );

  it('tell percentiles within 10 %', async () => {
    const { tenantId, ended } = await history(2000, 3_000_000);
    const time = await database.figures.over(tenantId, 60, 60, WITHIN_MS);
    const shown = ended.filter(({ endedAt }) => within(endedAt, time));
    const { start, total } = together(time);
    const started = shown.flatMap(({ createdAt, startedAt }) =>
      startedAt === null ? [] : [startedAt.getTime() - createdAt.getTime()],
    );
    const ms = shown.map(({ createdAt, endedAt }) => endedAt.getTime() - createdAt.getTime());
    for (const [name, share] of [
      ['p50', 0.5],
      ['p95', 0.95],
      ['p99', 0.99],
    ] as const) {
      const [truth, truthOfStart] = [percentile(ms, share), percentile(started, share)];
      expect(Math.abs((total?.[name] ?? 0) - truth)).toBeLessThanOrEqual(Math.max(1, truth / 10));
      expect(Math.abs((start?.[name] ?? 0) - truthOfStart)).toBeLessThanOrEqual(
        Math.max(1, truthOfStart / 10),
      );
    }
  });

  it('are nothing where there is nothing, and another tenant is somebody else', async () => {
    const time = await database.figures.over(randomUUID(), 900, 96, WITHIN_MS);
    expect(time.complete).toBe(true);
    expect(together(time)).toEqual({
      created: 0,
      outcomes: { completed: 0, failed: 0, outcomeUnknown: 0, cancelled: 0 },
      byInstance: {},
      codes: {},
      start: null,
      total: null,
    });
  });

  it('count what is over once: later only the minutes that may still change are read', async () => {
    const { tenantId, ended } = await history(300, 20 * 3_600_000);
    const lately = ended.filter(({ endedAt }) => endedAt.getTime() > Date.now() - 150_000).length;
    await database.figures.over(tenantId, 900, 96, WITHIN_MS);
    const profiles = await profiled(direct.getClient().db(direct.name), () =>
      database.figures.over(tenantId, 900, 96, WITHIN_MS),
    );
    const ranges = profiles.map(({ command }) => JSON.stringify(command));
    expect(ranges.length).toBeGreaterThan(0);
    expect(profiles.reduce((sum, { docsExamined }) => sum + docsExamined, 0)).toBeLessThanOrEqual(lately);
    for (const { stages } of profiles) {
      expect(stages.map(({ stage }) => stage)).not.toContain('COLLSCAN');
      for (const scan of stages.filter(({ stage }) => stage === 'IXSCAN'))
        expect(boundsOf(scan, 'tenantId')).toBe(`["${tenantId}", "${tenantId}"]`);
    }
  });

  it('show what happened since, and what ended in a minute that was over', async () => {
    const { tenantId } = await history(20, 3_000_000);
    const before = together(await database.figures.over(tenantId, 60, 60, WITHIN_MS));
    const now = new Date(Date.now() - 1000);
    const one: Ended = {
      createdAt: now,
      startedAt: now,
      endedAt: now,
      instance: 'firewall',
      outcome: 'completed',
      code: null,
    };
    await actions().insertMany([recordOf(tenantId, one)]);
    const after = together(await database.figures.over(tenantId, 60, 60, WITHIN_MS));
    expect([after.created - before.created, after.outcomes.completed - before.outcomes.completed]).toEqual([
      1, 1,
    ]);
  });

  it('come in parts where there is no time for all, and go on where they stopped', async () => {
    const { tenantId, ended } = await history(250, 20 * 3_600_000);
    let time = await thrifty.figures.over(tenantId, 900, 96, 0);
    expect(time.complete).toBe(false);
    expect(together(time).created).toBeLessThan(ended.length);
    for (let round = 0; round < 200 && !time.complete; round += 1)
      time = await thrifty.figures.over(tenantId, 900, 96, 50);
    expect(time.complete).toBe(true);
    expect(together(time)).toMatchObject(expected(ended, time));
  });

  it('are counted once for all who ask for the same at the same time', async () => {
    const { tenantId } = await history(50, 3_000_000);
    const asked = Array.from({ length: 20 }, () => database.figures.over(tenantId, 60, 60, WITHIN_MS));
    const [first, ...others] = await Promise.all(asked);
    expect(others.every((one) => one === first)).toBe(true);
  });

  it('are counted once also where several windows are asked for in turn', async () => {
    const tenant = randomUUID();
    const asked = Array.from({ length: 10 }, (_, index) =>
      database.figures.over(tenant, index % 2 === 0 ? 60 : 900, 4, WITHIN_MS),
    );
    expect(new Set(asked).size).toBe(2);
    await Promise.all(asked);
  });
});

describe('what is open', () => {
  it('is counted by what it waits for, with the one that waits the longest', async () => {
    const tenantId = randomUUID();
    const at = (minutesAgo: number) => new Date(Date.now() - minutesAgo * 60_000);
    const open = (status: string, phase: string, minutesAgo: number): Stored => ({
      _id: new mongoose.mongo.UUID(),
      tenantId,
      status,
      phase,
      open: true,
      createdAt: at(minutesAgo),
      lastActionAt: at(minutesAgo),
    });
    const oldest = open('NotStarted', 'throttled', 9);
    const { _id: oldestId, createdAt } = oldest;
    await actions().insertMany([
      open('NotStarted', 'queued', 2),
      oldest,
      open('NotStarted', 'queued', 5),
      open('Running', 'executing', 20),
      open('Running', 'throttled', 20),
      {
        ...recordOf(tenantId, {
          createdAt: at(9),
          startedAt: null,
          endedAt: at(3),
          instance: 'x',
          outcome: 'outcomeUnknown',
          code: 520,
        }),
        unresolved: true,
      },
    ]);
    const { at: _at, ...found } = await database.figures.open(tenantId);
    expect(found).toEqual({
      queued: 2,
      throttled: 1,
      running: 2,
      unresolved: 1,
      oldestWaiting: { id: oldestId.toString(), createdAt },
    });
    expect((await database.figures.open(randomUUID())).oldestWaiting).toBeNull();
  });
});
