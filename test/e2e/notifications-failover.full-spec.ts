import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MongoReplicaSet, findMongod } from '#embedded-servers';
import { mockAction, type Client } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';
import { NotificationReceiver } from '../simulators/notification-receiver/receiver.js';

/** A replica set of three that loses its primary while changes are to be told; and what it clears up by itself. */

const ACTIONS_A_ROUND = 20;
const DAY_MS = 86_400_000;

type Member = MongoReplicaSet['members'][number];

let dir: string;
let set: MongoReplicaSet;
let stack: Stack;
let receiver: NotificationReceiver;
let client: Client;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-notify-failover-'));
  set = await MongoReplicaSet.start({
    binary: await findMongod(() => undefined),
    dir,
    cacheSizeGB: 0.25,
    report: () => undefined,
  });
  receiver = await NotificationReceiver.start();
  stack = await Stack.start({
    mongodbUri: set.uri.replace('/?', '/riposte?'),
    workers: 2,
    config: `
providers: [{ id: mock, plugin: mock }]
notifications: { network: { allow: ['127.0.0.0/8'] } }
`,
  });
  client = await stack.client();
});
afterAll(async () => {
  await stack.stop();
  await receiver.stop();
  await set.stop();
  await rm(dir, { recursive: true, force: true });
});

async function subscribe(lastsMs: number): Promise<string> {
  const { status, body } = await client.post<{ id: string }>(
    {
      changeType: 'created,updated',
      notificationUrl: receiver.url,
      resource: 'security/securityActions',
      expirationDateTime: new Date(Date.now() + lastsMs).toISOString(),
    },
    '/beta/subscriptions',
  );
  expect(status).toBe(201);
  return body.id;
}

/** What an action's subscriber was told, each once: one may come twice where the record of its answer was lost. */
function toldOf(id: string): readonly (string | undefined)[] {
  const own = receiver.taken.filter((one) => one.resourceData?.id === id);
  return own
    .filter((one, at) => own.findIndex((other) => other.id === one.id) === at)
    .map((one) => one.changeType);
}

describe('a subscriber', () => {
  it('is told every change of every action, in order, although the primary is killed and told to step down', async () => {
    const subscription = await subscribe(3_600_000);
    const ids: string[] = [];
    const faults: readonly ((primary: Member) => Promise<unknown>)[] = [
      (primary) => primary.kill(),
      (primary) => primary.command({ replSetStepDown: 10, force: true }).catch(() => undefined),
      (primary) => primary.kill(),
    ];
    for (const fault of faults) {
      const primary = await eventually(() => set.primary(), 60_000);
      // Not all are accepted while there is no primary: those that are count.
      const submitting = Array.from({ length: ACTIONS_A_ROUND }, async (_, index) => {
        await sleep(index * 100);
        const answer = await client.post(mockAction('BlockIp', { IP: '192.0.2.1' }));
        if (answer.status === 201) ids.push(answer.body.id);
      });
      await sleep(700);
      await fault(primary);
      await Promise.all(submitting);
      if (!primary.running) await primary.restart();
    }
    expect(ids.length).toBeGreaterThan(ACTIONS_A_ROUND);
    await eventually(() => ids.every((id) => toldOf(id).length === 3), 180_000);
    expect(ids.map(toldOf)).toEqual(ids.map(() => ['created', 'updated', 'updated']));
    expect((await client.request('DELETE', `/beta/subscriptions/${subscription}`)).status).toBe(204);
  }, 400_000);
});

describe('a subscription that has ended', () => {
  it('goes for good after 40 days, and not before', async () => {
    const ids = [await subscribe(1500), await subscribe(1500), await subscribe(1500)];
    const direct = await new mongoose.mongo.MongoClient(stack.mongodbUri).connect();
    const stored = direct.db().collection<{ _id: string }>('subscriptions');
    await eventually(async () => (await stored.countDocuments({ endedAt: { $exists: true } })) === 3);
    const endedBefore = (days: number): object => ({
      $set: { endedAt: new Date(Date.now() - days * DAY_MS) },
    });
    const [old = '', kept = ''] = ids;
    await stored.updateOne({ _id: kept }, endedBefore(39));
    await stored.updateOne({ _id: old }, endedBefore(41));
    // MongoDB looks once a minute.
    await eventually(async () => (await stored.countDocuments({ _id: old })) === 0, 130_000, 500);
    expect(await stored.countDocuments({ _id: { $in: ids } })).toBe(2);
    await direct.close();
  }, 200_000);
});
