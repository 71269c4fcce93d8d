import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { RedisServer, findRedisServer } from '#embedded-servers';
import { BullActionQueue, inspectRedis } from '#queue';
import { eventually } from '../support/eventually.js';

const silent = (): void => undefined;
const PASSWORD = 'pass-of-few-rights';
let dir: string;
let redis: RedisServer;
let admin: Redis;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-inspect-'));
  redis = await RedisServer.start({
    binary: await findRedisServer(silent),
    dir: path.join(dir, 'redis'),
    report: silent,
  });
  admin = new Redis(redis.url);
  // Names what it may do one by one: neither CONFIG nor most of INFO's neighbours.
  await admin.call(
    ...(['ACL', 'SETUSER', 'few', 'on', `>${PASSWORD}`, '~{riposte}:*', '+@read', '+@write'] as const),
    ...(['+@connection', '+info', '+time', '-@dangerous', '+info'] as const),
  );
  await admin.call('ACL', 'SETUSER', 'fewer', 'on', `>${PASSWORD}`, '~other:*', '+@connection');
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
  await rm(dir, { recursive: true, force: true });
});

function as(user: string, password = PASSWORD): string {
  return redis.url.replace('://', `://${user}:${password}@`);
}

describe('looking at a Redis', () => {
  it('tells how it is set up and fares', async () => {
    expect(await inspectRedis(redis.url, 5000)).toEqual({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/) as string,
      isReplica: false,
      appendOnly: { isOn: true, lastWriteWorked: true },
      memory: { policy: 'noeviction', usedBytes: expect.any(Number) as number, mostBytes: 0 },
      writeProblem: null,
      latencyMs: expect.any(Number) as number,
      clockAheadMs: expect.any(Number) as number,
      dataDir: path.join(dir, 'redis'),
    });
  });

  it('tells a write that is refused by the code of the error', async () => {
    await admin.config('SET', 'maxmemory', '1');
    onTestFinished(async () => void (await admin.config('SET', 'maxmemory', '0')));
    expect(await inspectRedis(redis.url, 5000)).toMatchObject({
      writeProblem: 'OOM',
      memory: { mostBytes: 1 },
    });
  });

  it('leaves open what its user may not ask', async () => {
    const facts = await inspectRedis(as('few'), 5000);
    expect(facts).toMatchObject({ dataDir: null, writeProblem: null, memory: { policy: 'noeviction' } });
    expect(await inspectRedis(as('fewer'), 5000)).toMatchObject({
      version: null,
      isReplica: null,
      appendOnly: null,
      memory: null,
      clockAheadMs: null,
      writeProblem: 'NOPERM',
    });
  });

  it('fails in words with a wrong password, and where nobody listens', async () => {
    await expect(inspectRedis(as('few', 'wrong'), 5000)).rejects.toThrow(/WRONGPASS/);
    await expect(inspectRedis('redis://127.0.0.1:1', 500)).rejects.toThrow(/ECONNREFUSED/);
  });
});

describe('a Redis that would lose work', () => {
  it('is reported by a user who may not ask for its configuration', async () => {
    const queue = new BullActionQueue(as('few'), ['mock'], silent);
    onTestFinished(() => queue.close());
    await eventually(async () => (await queue.problems()).length === 0);
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    onTestFinished(async () => void (await admin.config('SET', 'maxmemory-policy', 'noeviction')));
    expect(await queue.problems()).toEqual([expect.stringContaining('allkeys-lru')]);
  });
});
