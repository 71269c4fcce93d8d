import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { MongoReplicaSet, findMongod } from '#embedded-servers';
import { startMockVendor, type RunningVendor } from '../simulators/mock-vendor/start.js';
import type { Client } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Load } from '../support/load.js';
import { Stack } from '../support/stack.js';

/** A replica set of three that loses its primary, and its majority, while callers go on asking. */

/** Milliseconds within which a caller has an answer: 18 s, and what a loaded machine adds. */
const LONGEST_ANSWER_MS = 30_000;

let dir: string;
let set: MongoReplicaSet;
let vendors: readonly RunningVendor[];
let stack: Stack;
let client: Client;
let load: Load;
let killed: Member | undefined;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-failover-'));
  set = await MongoReplicaSet.start({
    binary: await findMongod(() => undefined),
    dir,
    cacheSizeGB: 0.25,
    report: () => undefined,
  });
  const [lookup, none] = [await startMockVendor('lookup'), await startMockVendor('none')];
  vendors = [lookup, none];
  stack = await Stack.start({
    mongodbUri: set.uri.replace('/?', '/riposte?'),
    workers: 2,
    config: `
providers:
  - { id: lookup, plugin: mock, subProvider: lookup, attemptTimeoutMs: 3000, network: { allow: ['127.0.0.0/8'] }, settings: { mode: lookup, baseUrl: '${lookup.baseUrl}' } }
  - { id: none, plugin: mock, subProvider: none, attemptTimeoutMs: 3000, network: { allow: ['127.0.0.0/8'] }, settings: { mode: none, baseUrl: '${none.baseUrl}' } }
`,
  });
  client = await stack.client();
});
afterAll(async () => {
  await stack.stop();
  await Promise.all(vendors.map((vendor) => vendor.stop()));
  await set.stop();
  await rm(dir, { recursive: true, force: true });
});
afterEach(async () => {
  await load.stop();
  for (const member of set.members) member.signal('SIGCONT');
  await killed?.restart();
  killed = undefined;
});

const isReady = async (): Promise<boolean> =>
  (await client.request<{ status: string }>('GET', '/health/ready')).body.status === 'ready';

/**
 * How many answers say "perhaps" depends on how long the others take to elect one and to follow it, on a loaded
 * machine sometimes longer than a request waits; that they are true does not.
 *
 * Lets callers go on until actions are accepted and readiness is back, then looks at what became of all. */
async function recovers(): Promise<void> {
  await load.accepted(10);
  await eventually(isReady, 30_000);
  await load.stop();
  expect(load.untrue()).toEqual([]);
  expect(Math.max(...load.answers.map(({ ms }) => ms))).toBeLessThan(LONGEST_ANSWER_MS);
  expect(await load.misdone(vendors)).toEqual([]);
}

describe('a replica set that loses its primary under load', () => {
  it.each([
    ['killed', (primary: Member) => primary.kill()],
    ['frozen', async (primary: Member) => primary.signal('SIGSTOP')],
    ['told to step down', (primary: Member) => primary.command({ replSetStepDown: 10, force: true })],
  ] as const)('(%s), every acknowledged action ends, none runs twice', async (how, hurt) => {
    const primary = await set.primary();
    load = new Load(client, ['lookup', 'none']);
    await load.accepted(20);
    await hurt(primary);
    if (how === 'killed') killed = primary;
    await eventually(async () => (await set.primary()) !== primary, 30_000);
    await recovers();
  });
});

describe('a replica set that loses its majority', () => {
  it('accepts nothing, says so truthfully and in time, and goes on when it is back', async () => {
    load = new Load(client, ['lookup', 'none']);
    await load.accepted(20);
    const known = load.ids[0] ?? '';
    const primary = await set.primary();
    const others = set.members.filter((member) => member !== primary);
    for (const member of [primary, ...others].slice(0, 2)) member.signal('SIGSTOP');
    await eventually(async () => (await client.request('GET', '/health/ready')).status === 503, 20_000);
    const asked = performance.now();
    const [read, create, cancel] = await Promise.all([
      client.request('GET', `/beta/security/securityActions/${known}`),
      load.create(),
      client.cancel(known),
    ]);
    expect(performance.now() - asked).toBeLessThan(LONGEST_ANSWER_MS);
    expect(read).toMatchObject({ status: 503, body: { error: { code: 'serviceNotAvailable' } } });
    expect(read.headers.get('retry-after')).toMatch(/^\d+$/);
    expect([500, 503]).toContain(create.status);
    expect([500, 503]).toContain(cancel.status);
    for (const member of set.members) member.signal('SIGCONT');
    await recovers();
  });
});

type Member = MongoReplicaSet['members'][number];
