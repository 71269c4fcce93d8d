import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { connectDatabase, type Database } from '#persistence';
import { BullActionQueue } from '#queue';
import { startMockVendor, type RunningVendor } from '../simulators/mock-vendor/start.js';
import { CALLER, TENANT_A, freshDatabaseUri, historyOf, newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { DIST_DIR } from '../support/project-dir.js';

/** The negative control works, as far as nothing goes wrong; and lies in the ways that a campaign has to catch. */

const instance = `naive-${randomUUID().slice(0, 8)}`;
let dir: string;
let vendor: RunningVendor;
let database: Database;
let queue: BullActionQueue;
let worker: ChildProcess;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-naive-'));
  vendor = await startMockVendor('none');
  const mongodbUri = freshDatabaseUri();
  database = await connectDatabase(mongodbUri, { appName: 'riposte-test' });
  queue = new BullActionQueue(inject('redisUrl'), [instance], () => undefined);
  const config = path.join(dir, 'riposte.config.yaml');
  await writeFile(
    config,
    `providers: [{ id: ${instance}, plugin: mock, settings: { mode: none, baseUrl: '${vendor.baseUrl}' } }]`,
  );
  worker = fork(path.join(DIST_DIR, 'test/faults/naive-worker.js'), {
    env: { ...process.env, MONGODB_URI: mongodbUri, REDIS_URL: inject('redisUrl'), RIPOSTE_CONFIG: config },
    // Without the test runner's own conditions, which mean the sources.
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const [said] = (await Promise.race([once(worker, 'message'), once(worker, 'exit')])) as [unknown];
  expect(said).toEqual({ type: 'ready' });
});
afterAll(async () => {
  worker.kill('SIGKILL');
  await queue.close();
  await database.close();
  await vendor.stop();
  await rm(dir, { recursive: true, force: true });
});

async function submitted(actionName: string, name: string, value: string): Promise<string> {
  const { id } = newAction();
  await database.actions.create(newAction({ id, instance, actionName, parameters: [{ name, value }] }));
  expect(
    await queue.hint({ actionId: id, tenantId: TENANT_A, lane: 'routine', instance, actionName, epoch: 0 }),
  ).toBe(true);
  return id;
}

const executions = (id: string): number =>
  vendor.ledger().filter(({ event, key }) => event === 'executed' && key === id).length;
const found = (id: string) => database.actions.find(TENANT_A, id);

describe('the naive worker', () => {
  it('says that it is alive', async () => {
    expect(await database.workers.countAlive(60_000)).toBe(1);
  });

  it('carries out what it is given, in documents of the right shape', async () => {
    const id = await submitted('LongRunning', 'durationMs', '200');
    await eventually(async () => (await found(id))?.status === 'Completed');
    const action = await found(id);
    expect(action).toMatchObject({ phase: 'done', nextAt: null, owner: null, errorInfo: null });
    expect(action?.completedAt).toBeInstanceOf(Date);
    expect(historyOf(action ?? missing(id))).toEqual(['NotStarted', 'Running', 'Completed']);
    expect(executions(id)).toBe(1);
  });

  it('tries three times what the vendor fails at, whether or not it was done', async () => {
    await vendor.behave({ executeAndReset: 1 });
    const id = await submitted('BlockIp', 'IP', '1.2.3.4');
    await eventually(async () => (await found(id))?.status === 'Failed', 30_000);
    await vendor.behave({});
    expect(executions(id)).toBe(3);
  });

  it('goes on with what its caller was told is cancelled', async () => {
    const id = await submitted('LongRunning', 'durationMs', '600000');
    await eventually(() => executions(id) === 1);
    expect(await database.actions.requestCancel(CALLER, id)).toMatchObject({ kind: 'cancelled' });
    await eventually(async () => (await found(id))?.phase === 'cancelledAtProvider');
    expect(historyOf((await found(id)) ?? missing(id))).toEqual([
      'NotStarted',
      'Running',
      'Failed',
      'Failed',
    ]);
  });

  it('ends when it is asked to', async () => {
    const ended = once(worker, 'exit');
    worker.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });
});

function missing(id: string): never {
  throw new Error(`no action ${id}`);
}
