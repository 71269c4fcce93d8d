import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mockAction, type Client } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';

let stack: Stack;
let client: Client;

beforeAll(async () => {
  stack = await Stack.start();
  client = await stack.client();
});
afterAll(() => stack.stop());

const readiness = async (): Promise<{ status: number; body: unknown }> =>
  client.request('GET', '/health/ready');

describe('while Redis is away', () => {
  it('actions are accepted promptly, and run once it is back', async () => {
    await stack.redis.kill();
    const times: number[] = [];
    const ids: string[] = [];
    for (let index = 0; index < 5; index += 1) {
      const asked = performance.now();
      const answer = await client.post(mockAction('BlockIp', { IP: '1.2.3.4' }));
      times.push(performance.now() - asked);
      expect(answer.status).toBe(201);
      ids.push(answer.body.id);
    }
    // The hint is no part of the answer: nobody waits for Redis, not even for its connection to be refused.
    expect(Math.max(...times)).toBeLessThan(1000);
    await eventually(async () => (await readiness()).body !== null);
    expect(
      await eventually(async () => {
        const { status, body } = await readiness();
        return (body as { status: string }).status === 'degraded' ? { status, body } : false;
      }),
    ).toMatchObject({ status: 200, body: { status: 'degraded', missing: ['redis'] } });
    expect((await client.native(ids[0] ?? '')).phase).toBe('queued');
    await stack.redis.restart();
    for (const id of ids) expect((await client.ended(id)).status).toBe('Completed');
    await eventually(async () => ((await readiness()).body as { status: string }).status === 'ready');
  });

  it('a cancel is answered truthfully too', async () => {
    const id = await client.act('LongRunning', { durationMs: 600_000 });
    await client.inPhase(id, 'waitingOnVendor');
    await stack.redis.kill();
    const fresh = await client.act('BlockIp', { IP: '1.2.3.4' });
    expect((await client.cancel(fresh)).status).toBe(200);
    expect(await client.get(fresh)).toMatchObject({ status: 'Failed', errorInfo: { code: 499 } });
    expect((await client.cancel(id)).status).toBe(200);
    expect((await client.get(id)).status).toBe('Running');
    await stack.redis.restart();
    expect(await client.ended(id)).toMatchObject({ status: 'Failed', phase: 'cancelledAtProvider' });
  });
});

describe('while Redis is frozen', () => {
  it('actions are accepted promptly, and run once it goes on', async () => {
    stack.redis.signal('SIGSTOP');
    try {
      const asked = performance.now();
      const answer = await client.post(mockAction('BlockIp', { IP: '1.2.3.4' }));
      expect(answer.status).toBe(201);
      expect(performance.now() - asked).toBeLessThan(1000);
      stack.redis.signal('SIGCONT');
      expect((await client.ended(answer.body.id)).status).toBe('Completed');
    } finally {
      stack.redis.signal('SIGCONT');
    }
  });
});

describe('when Redis forgets everything', () => {
  it('every acknowledged action still ends, none runs twice', async () => {
    const ids: string[] = [];
    for (let index = 0; index < 10; index += 1)
      ids.push(await client.act('LongRunning', { durationMs: 2000 }));
    const redis = new Redis(stack.redis.url);
    await redis.flushall();
    for (let index = 0; index < 10; index += 1) ids.push(await client.act('BlockIp', { IP: '1.2.3.4' }));
    await redis.flushall();
    redis.disconnect();
    for (const id of ids) {
      const action = await client.ended(id, 40_000);
      expect(action.status).toBe('Completed');
      expect(action.attempts).toHaveLength(1);
    }
  });

  it('holds no leftovers once all is done', async () => {
    const redis = new Redis(stack.redis.url);
    const jobKeys = await eventually(async () => {
      const keys = (await redis.keys('*')).filter((key) => /:mock:[0-9a-f]{8}-/.test(key));
      return keys.length === 0 ? keys : false;
    });
    redis.disconnect();
    expect(jobKeys).toEqual([]);
  });
});
