import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { TENANT_A } from '../support/database.js';
import { RedisServer, findRedisServer } from '#embedded-servers';
import { BullActionQueue, HintConsumer } from '#queue';
import { eventually } from '../support/eventually.js';

const silent = (): void => undefined;
let redis: RedisServer;
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-incarnation-'));
  redis = await RedisServer.start({
    binary: await findRedisServer(silent),
    dir: path.join(dir, 'redis'),
    report: silent,
  });
});
afterAll(async () => {
  await redis.stop();
  await rm(dir, { recursive: true, force: true });
});

function queueFor(instance = 'mock'): BullActionQueue {
  const queue = new BullActionQueue(redis.url, [instance], silent);
  onTestFinished(() => queue.close());
  return queue;
}

describe('the name of what Redis holds', () => {
  it('is the same for everybody, and another one once the data was lost', async () => {
    const queues = [queueFor(), queueFor(), queueFor()];
    await eventually(() => queues[0]?.incarnation());
    const first = new Set(await Promise.all(queues.map((queue) => queue.incarnation())));
    expect(first.size).toBe(1);
    const client = new Redis(redis.url);
    await client.flushall();
    client.disconnect();
    const second = new Set(await Promise.all(queues.map((queue) => queue.incarnation())));
    expect(second.size).toBe(1);
    expect(second).not.toEqual(first);
    expect([...second]).not.toContain(null);
  });

  it('is not known while Redis is frozen', async () => {
    const queue = queueFor();
    await eventually(() => queue.incarnation());
    redis.signal('SIGSTOP');
    try {
      expect(await queue.incarnation()).toBeNull();
    } finally {
      redis.signal('SIGCONT');
    }
    await eventually(() => queue.incarnation());
  });
});

describe('listening to a queue anew', () => {
  it('takes further hints, and what was in hand still ends, once', async () => {
    const instance = `i-${randomUUID().slice(0, 8)}`;
    const queue = queueFor(instance);
    const looked: string[] = [];
    let finish = silent;
    const consumer = new HintConsumer({
      redis: redis.url,
      instances: [{ id: instance, concurrency: 2 }],
      handle: async ({ actionId }) => {
        looked.push(actionId);
        if (looked.length === 1) await new Promise<void>((resolve) => (finish = resolve));
        return undefined;
      },
      onCancel: silent,
      onError: silent,
      onHintFailed: silent,
    });
    onTestFinished(() => consumer.stop(0, 500));
    const [held, next] = [randomUUID(), randomUUID()];
    const hint = (actionId: string) =>
      queue.hint({
        actionId,
        tenantId: TENANT_A,
        lane: 'routine',
        instance,
        actionName: 'BlockIp',
        epoch: 0,
      });
    await eventually(() => hint(held));
    await eventually(() => looked.length === 1);
    consumer.renew(instance);
    consumer.renew('not-configured');
    await hint(next);
    await eventually(() => looked.length === 2);
    finish();
    await consumer.stop(5000, 500);
    expect(looked).toEqual([held, next]);
  });
});
