import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RedisServer, findRedisServer } from '#embedded-servers';
import { startMockVendor, type RunningVendor } from '../simulators/mock-vendor/start.js';
import { eventually } from '../support/eventually.js';
import { Load } from '../support/load.js';
import { Stack } from '../support/stack.js';

/** Redis loses its memory, its time or its room while callers go on asking; a vendor's ledger is the referee. */

let stack: Stack;
let vendor: RunningVendor;
let load: Load;
let admin: Redis;
/** The server that stands at the address the processes know. */
let serving: RedisServer;

beforeAll(async () => {
  vendor = await startMockVendor('none');
  stack = await Stack.start({
    config: `
providers:
  - { id: none, plugin: mock, network: { allow: ['127.0.0.0/8'] }, settings: { mode: none, baseUrl: '${vendor.baseUrl}' } }
`,
  });
  serving = stack.redis;
});
afterAll(async () => {
  await stack.stop();
  await serving.stop();
  await vendor.stop();
});
beforeEach(async () => {
  admin = connect(stack.redis.url);
  load = new Load(await stack.client());
});
afterEach(async () => {
  admin.disconnect();
  await load.stop();
});

function connect(url: string): Redis {
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  return redis;
}

interface Readiness {
  readonly status: string;
  readonly missing: readonly string[];
}

async function readiness(): Promise<Readiness> {
  return (await (await fetch(`${stack.baseUrl}/health/ready`)).json()) as Readiness;
}

/** Readiness once it is degraded, with what is missing. */
async function degraded(): Promise<Readiness> {
  const found = await eventually(async () => {
    const now = await readiness();
    return now.status === 'degraded' ? now : null;
  });
  await load.accepted(10);
  return found;
}

/** Waits until all is well again, then sees that every create was accepted, and each action done once. */
async function recovers(): Promise<void> {
  await eventually(async () => (await readiness()).status === 'ready', 30_000);
  await load.accepted(10);
  await load.stop();
  expect(load.answers.filter(({ status }) => status !== 201)).toEqual([]);
  expect(await load.misdone([vendor])).toEqual([]);
}

describe('a Redis that answers nothing for a while', () => {
  it('delays what was accepted, and nothing else', async () => {
    await load.accepted(5);
    await admin.call('CLIENT', 'PAUSE', '6000', 'ALL');
    expect((await degraded()).missing).toEqual(['redis']);
    await recovers();
  });
});

describe('a Redis that comes back empty', () => {
  it('has lost no action', async () => {
    await load.accepted(10);
    await serving.kill();
    await load.accepted(10);
    const dir = path.join(stack.dataDir, 'redis');
    for (const file of await readdir(dir)) await rm(path.join(dir, file), { recursive: true });
    await serving.restart();
    await recovers();
  });
});

describe('a Redis that refuses writes', () => {
  it('is named in readiness with the reason, while actions are accepted', async () => {
    await load.accepted(5);
    await admin.config('SET', 'maxmemory', '1mb');
    expect((await degraded()).missing).toEqual(['redis: refuses writes (OOM)']);
    await admin.config('SET', 'maxmemory', '0');
    await recovers();
  });

  it('because it has become a replica, too', async () => {
    await load.accepted(5);
    // Of nobody: it keeps its data and waits.
    await admin.replicaof('127.0.0.1', '1');
    expect((await degraded()).missing).toEqual(['redis: refuses writes (READONLY)']);
    await admin.replicaof('NO', 'ONE');
    await recovers();
  });
});

describe('a fail-over to a replica that has missed the last writes', () => {
  it('has lost no action', async () => {
    await load.accepted(10);
    const options = {
      binary: await findRedisServer(() => undefined),
      dir: path.join(stack.dataDir, 'replica'),
      report: () => undefined,
    };
    const replica = await RedisServer.start(options);
    const follower = connect(replica.url);
    await follower.replicaof('127.0.0.1', String(serving.port));
    await eventually(async () => (await follower.info('replication')).includes('master_link_status:up'));
    // While it writes what it has copied to its first append-only file, it does not stop when it is told to.
    await eventually(async () =>
      /aof_rewrite_in_progress:0\s+aof_rewrite_scheduled:0/.test(await follower.info('persistence')),
    );
    await follower.replicaof('NO', 'ONE');
    follower.disconnect();
    await load.accepted(20);
    await serving.kill();
    await replica.stop();
    // The processes reach it under the address of the one that is gone.
    serving = await RedisServer.start({ ...options, port: stack.redis.port });
    await recovers();
  });
});
