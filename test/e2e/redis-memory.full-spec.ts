import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';

const ROUND = 300;
/** BullMQ trims a stream by whole nodes of Redis, of 100 entries by default. */
const MOST_EVENTS = 200 + 100;

let stack: Stack;
let client: Client;
let redis: Redis;

beforeAll(async () => {
  stack = await Stack.start();
  client = await stack.client();
  redis = new Redis(stack.redis.url);
});
afterAll(async () => {
  redis.disconnect();
  await stack.stop();
});

const isJob = (key: string): boolean => /:[0-9a-f]{8}-[0-9a-f]{4}-/.test(key);

/** Runs actions to their end; the keys that are left in Redis. */
async function run(count: number): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let first = 0; first < count; first += 50)
    ids.push(
      ...(await Promise.all(Array.from({ length: 50 }, () => client.act('BlockIp', { IP: '1.2.3.4' })))),
    );
  for (const id of ids) await client.ended(id);
  // A job goes a moment after the action has ended.
  return eventually(async () => {
    const keys = await redis.keys('*');
    return keys.some(isJob) ? null : keys;
  });
}

describe("Redis' memory", () => {
  it('does not grow with what was done', async () => {
    const first = await run(ROUND);
    const second = await run(ROUND);
    // BullMQ may keep an empty list or a lock of its own; nothing is there per action.
    expect(second.length).toBeLessThan(first.length + 5);
    const streams = second.filter((key) => key.endsWith(':events'));
    expect(streams).not.toEqual([]);
    for (const stream of streams) expect(await redis.xlen(stream), stream).toBeLessThanOrEqual(MOST_EVENTS);
  });
});
