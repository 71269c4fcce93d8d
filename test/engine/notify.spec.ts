import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { connectDatabase, type Database } from '#persistence';
import type { VendorHttpOptions } from '#provider-sdk';
import { EnvelopeSeal } from '#secrets';
import { createLogger } from '#telemetry';
import { APP, TENANT_A, emptied, freshDatabaseUri } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import {
  LOOPBACK,
  completedAction,
  notifierOf,
  startedAction,
  subscriptionsOf,
} from '../support/notifier.js';
import { profiled } from '../support/profile.js';
import { localKey } from '../support/secrets.js';
import { NotificationReceiver } from '../simulators/notification-receiver/receiver.js';

/** When and where subscribers are told, each test on a database that has nothing in it yet. */

const SUBSCRIBER = { tenantId: TENANT_A, appId: APP };

let database: Database;
let connection: mongoose.Connection;
let receiver: NotificationReceiver;
beforeAll(async () => {
  const uri = freshDatabaseUri();
  database = await connectDatabase(uri, { appName: 'riposte-test' });
  connection = await mongoose.createConnection(uri).asPromise();
});
afterAll(async () => {
  await connection.close();
  await database.close();
});
beforeEach(async () => {
  receiver = await NotificationReceiver.start();
});
afterEach(async () => {
  await receiver.stop();
  await emptied(db());
});

const inMs = (ms: number): Date => new Date(Date.now() + ms);

async function subscribe(given: object = {}, manage = subscriptionsOf(database)) {
  const { recipient } = await manage.create(SUBSCRIBER, {
    id: randomUUID(),
    actionId: null,
    changeTypes: ['created', 'updated'],
    notificationUrl: receiver.url,
    lifecycleNotificationUrl: null,
    clientState: null,
    expiresAt: inMs(3_600_000),
    ...given,
  });
  return recipient;
}

/** The store, with one of its calls carried out otherwise. */
function storeWith(call: 'take' | 'bury', otherwise: (asEver: () => Promise<unknown>) => Promise<unknown>) {
  return new Proxy(database.subscriptions, {
    get: (real, name) => {
      const value: unknown = Reflect.get(real, name);
      if (typeof value !== 'function') return value;
      const asEver = value.bind(real) as (...given: unknown[]) => Promise<unknown>;
      return name === call ? (...given: unknown[]) => otherwise(() => asEver(...given)) : asEver;
    },
  });
}

const db = () => connection.getClient().db(connection.name);
const subscriptions = () => db().collection<{ _id: string }>('subscriptions');
const HOUR_MS = 3_600_000;

/** All that there is happened so long before. */
async function longAgo(ms: number): Promise<void> {
  const before = (field: string) => ({ $subtract: [field, ms] });
  const state = { $mergeObjects: ['$$this', { updatedAt: before('$$this.updatedAt') }] };
  await db()
    .collection('actions')
    .updateMany({}, [
      {
        $set: {
          lastActionAt: before('$lastActionAt'),
          states: { $map: { input: '$states', in: state } },
        },
      },
    ]);
  const times = ['createdAt', 'renewedAt', 'seenAt'].map((name) => [name, before(`$${name}`)] as const);
  await subscriptions().updateMany({}, [{ $set: Object.fromEntries(times) }]);
}

/** As MongoDB does in time. */
async function purgeDelivered(): Promise<void> {
  await db().collection('notifications').deleteMany({ state: 'delivered' });
}

/** What a worker does that has just started, and looks far back. */
async function passOfNewWorker(): Promise<void> {
  const notifier = notifierOf(database);
  await notifier.pass();
  await notifier.pass();
  await notifier.stop();
}

describe('what has been told', () => {
  it('is not told again where nothing changes until its record is gone', async () => {
    await subscribe();
    const id = await completedAction(database);
    await longAgo(3 * HOUR_MS);
    await passOfNewWorker();
    expect(receiver.changesOf(id)).toEqual(['created', 'updated', 'updated']);
    await purgeDelivered();
    await passOfNewWorker();
    expect(receiver.taken).toHaveLength(3);
  });

  it('is not told again with the end of an action that took longer than its record stays', async () => {
    await subscribe();
    const { id, lease } = await startedAction(database);
    await longAgo(3 * HOUR_MS);
    await passOfNewWorker();
    expect(receiver.changesOf(id)).toEqual(['created', 'updated']);
    await purgeDelivered();
    await database.actions.complete(lease, null);
    await passOfNewWorker();
    expect(receiver.changesOf(id)).toEqual(['created', 'updated', 'updated']);
  });
});

describe('changes of one moment', () => {
  it('are all found where there are more than are read at once, along the index', async () => {
    await subscribe({ changeTypes: ['created'] });
    await completedAction(database);
    const actions = db().collection<{ _id: mongoose.mongo.UUID }>('actions');
    const { _id, ...action } = (await actions.findOne()) ?? {};
    const others = Array.from({ length: 1000 }, () => ({ ...action, _id: new mongoose.mongo.UUID() }));
    await actions.insertMany(others);
    const [standing] = await database.subscriptions.standing();
    if (standing === undefined) throw new Error('none stands');
    const reads = await profiled(db(), async () => {
      expect(await database.subscriptions.collect(standing, false)).toBe(1001);
    });
    expect(reads).toHaveLength(3);
    for (const { stages, keysExamined } of reads) {
      expect(stages.map(({ stage }) => stage)).not.toContain('SORT');
      expect(keysExamined).toBeLessThan(1100);
    }
  });
});

describe('a subscriber whose time comes to an end', () => {
  const told = (): readonly (string | undefined)[] =>
    receiver.taken.map(({ lifecycleEvent }) => lifecycleEvent);

  it('is asked once to renew it, again after a renewal, and told when it is over', async () => {
    const { id: _id } = await subscribe({ lifecycleNotificationUrl: receiver.url, expiresAt: inMs(60_000) });
    const notifier = notifierOf(database);
    await notifier.pass();
    expect(told()).toEqual([]);
    // Of eleven minutes there is one left.
    const began = { createdAt: inMs(-600_000), renewedAt: inMs(-600_000) };
    await subscriptions().updateOne({ _id }, { $set: began });
    await notifier.pass();
    await notifier.pass();
    expect(told()).toEqual(['reauthorizationRequired']);
    const record = await db().collection('notifications').findOne({ event: 'reauthorizationRequired' });
    // Longer than the last day of a subscription, in which it is told of its end.
    expect(record?.['purgeAt']).toSatisfy((at: Date) => at > inMs(24 * HOUR_MS));
    await subscriptionsOf(database).renew(SUBSCRIBER, _id, inMs(120_000));
    await notifier.pass();
    expect(told()).toHaveLength(1);
    await subscriptions().updateOne({ _id }, { $set: began });
    await notifier.pass();
    expect(told()).toEqual(['reauthorizationRequired', 'reauthorizationRequired']);
    await subscriptions().updateOne({ _id }, { $set: { expiresAt: inMs(-1000) } });
    await notifier.pass();
    await notifier.pass();
    expect(told().slice(2)).toEqual(['subscriptionRemoved']);
  });
});

describe('a receiver that says when to come back', () => {
  it('is left alone until then, also with what changes meanwhile', async () => {
    await subscribe();
    receiver.beBusy(2);
    const notifier = notifierOf(database);
    const first = await completedAction(database);
    await notifier.pass();
    const second = await completedAction(database);
    await eventually(async () => {
      await notifier.pass();
      return [first, second].every((id) => receiver.changesOf(id).length === 3);
    });
    expect(receiver.early).toBe(0);
    for (const id of [first, second])
      expect(receiver.changesOf(id)).toEqual(['created', 'updated', 'updated']);
  });
});

describe('a backlog that is older than it may be tried', () => {
  it('is given up no faster than its receiver wants to be asked', async () => {
    await subscribe();
    const id = await completedAction(database);
    receiver.beBusy(2);
    const notifier = notifierOf(database, { giveUpAfterMs: 0 });
    await notifier.pass();
    await eventually(async () => {
      await notifier.pass();
      return receiver.taken.length === 2;
    });
    expect(receiver.changesOf(id)).toEqual(['updated', 'updated']);
    expect(await database.subscriptions.deadLetters(TENANT_A)).toMatchObject([{ event: 'created' }]);
    expect(receiver.early).toBe(0);
  });
});

describe('a receiver that takes its time', () => {
  it('keeps no other subscriber waiting', async () => {
    const slow = await NotificationReceiver.start();
    slow.held = [];
    await subscribe({ notificationUrl: slow.url });
    const notifier = notifierOf(database);
    notifier.start();
    try {
      // More than a worker delivers at the same time.
      for (let count = 0; count < 25; count += 1) await completedAction(database);
      await eventually(() => (slow.held?.length ?? 0) > 0);
      await subscribe();
      const id = await completedAction(database);
      await eventually(() => receiver.changesOf(id).length === 3);
      // Within the 10 seconds that the slow one has.
      expect(slow.hungUp).toBe(0);
    } finally {
      // Cuts what it holds, so that nobody waits for it.
      await slow.stop();
      await notifier.stop();
    }
  });
});

describe('a database that fails while deliveries are under way', () => {
  it('ends the round once it is on record what became of them', async () => {
    const slow = await NotificationReceiver.start();
    const held: string[] = (slow.held = []);
    await subscribe({ notificationUrl: slow.url, changeTypes: ['created'] });
    await subscribe({ changeTypes: ['created'] });
    await completedAction(database);
    let takes = 0;
    // It has given out what there is, and is away when it is asked for more.
    const store = storeWith('take', (take) => (takes++ === 0 ? take() : Promise.reject(new Error('away'))));
    let isOver = false;
    const round = notifierOf(database, { store })
      .pass()
      .finally(() => (isOver = true));
    const ended = expect(round).rejects.toThrow('away');
    await eventually(() => held.length === 1 && takes > 1);
    expect(isOver).toBe(false);
    // Cuts what it holds.
    await slow.stop();
    await ended;
    expect(await db().collection('notifications').distinct('tries')).toEqual([0, 1]);
  });
});

describe('a subscriber whose notification is given up', () => {
  it('hears of it, also where the worker dies with its doing', async () => {
    await subscribe({ changeTypes: ['created'], lifecycleNotificationUrl: receiver.url });
    await completedAction(database);
    receiver.refusals = [500];
    const store = storeWith('bury', async (bury) => {
      await bury();
      throw new Error('died');
    });
    await notifierOf(database, { store, giveUpAfterMs: 0 }).pass();
    await notifierOf(database).pass();
    expect(receiver.taken.map(({ lifecycleEvent }) => lifecycleEvent)).toEqual(['missed']);
  });
});

describe('a receiver that answers with more than anybody reads', () => {
  it('has taken it all the same', async () => {
    await subscribe({ changeTypes: ['created'] });
    receiver.words = 'x'.repeat(100_000);
    await completedAction(database);
    await notifierOf(database).pass();
    expect(await db().collection('notifications').distinct('state')).toEqual(['delivered']);
  });
});

describe('a worker', () => {
  it('reads nobody while another one looks for changes', async () => {
    await subscribe();
    await database.lease('notifications').take('another', 60_000);
    const reads = await profiled(db(), () => notifierOf(database).pass(), 'subscriptions');
    // Whether there is anybody at all.
    expect(reads.map(({ command }) => command['projection'])).toEqual([{ _id: 1 }]);
  });

  it('reads the secrets of those alone that it has something to send to', async () => {
    const { id: _id } = await subscribe({ changeTypes: ['created'] });
    await subscribe({ actionId: randomUUID() });
    await completedAction(database);
    const reads = await profiled(db(), () => notifierOf(database).pass(), 'subscriptions');
    expect(receiver.taken).toHaveLength(1);
    const whole = reads.filter(({ command }) => command['projection'] === undefined);
    expect(whole.map(({ command }) => command['filter'])).toEqual([{ _id: { $in: [_id] } }]);
  });
});

describe('a name that stands for another address when it is called', () => {
  it('gets nothing there where that may not be called, and what was due once it may', async () => {
    const outside = await NotificationReceiver.start(receiver.port, '127.0.0.2');
    onTestFinished(() => outside.stop());
    const policy = { allow: ['127.0.0.2/32'], ports: [] };
    let address = '127.0.0.1';
    const lookUp =
      (addressOf: () => string): Required<VendorHttpOptions>['resolve'] =>
      (_name, _options, callback) =>
        callback(null, [{ address: addressOf(), family: 4 }]);
    const manage = subscriptionsOf(database, { network: { policy, resolve: lookUp(() => '127.0.0.2') } });
    const notificationUrl = `http://receiver.test:${receiver.port}/hook`;
    await subscribe({ notificationUrl, changeTypes: ['created'] }, manage);
    const id = await completedAction(database);
    const notifier = notifierOf(database, { network: { policy, resolve: lookUp(() => address) } });
    await notifier.pass();
    const waiting = await connection
      .getClient()
      .db(connection.name)
      .collection('notifications')
      .findOne({ actionId: id });
    expect(waiting).toMatchObject({
      problem: 'The receiver cannot be reached, or may not be called (notifications.network).',
    });
    expect([...receiver.came, ...outside.came]).toEqual([]);
    address = '127.0.0.2';
    await eventually(async () => {
      await notifier.pass();
      return outside.changesOf(id).length === 1;
    });
    expect(receiver.came).toEqual([]);
  });
});

describe('a name that stands for an address of the inside', () => {
  it('is refused without a word of what it stands for, which the log has, without the path', async () => {
    const network: typeof LOOPBACK = {
      ...LOOPBACK,
      resolve: (_name, _options, callback) => callback(null, [{ address: '10.11.12.13', family: 4 }]),
    };
    const lines: string[] = [];
    const to = createLogger('riposte-test', 'info', { write: (line) => lines.push(line) });
    const notificationUrl = 'https://db.internal/hook/s3cret?code=s3cret';
    const made = subscribe(
      { notificationUrl, lifecycleNotificationUrl: notificationUrl },
      subscriptionsOf(database, { network, to }),
    );
    const told =
      'Subscription validation request failed: notificationUrl did not answer within 10 seconds, cannot be reached, or may not be called (notifications.network).';
    await expect(made).rejects.toThrow(told);
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      expect.objectContaining({
        level: 'warn',
        tenant: TENANT_A,
        appId: APP,
        property: 'notificationUrl',
        host: 'db.internal',
        problem:
          "The address is refused: its name stands for 10.11.12.13, which is not public; list it in notifications.network.allow if it is the vendor's.",
      }),
    ]);
    expect(lines.join('')).not.toContain('s3cret');
    // And not a word that tells it from a name that there is not.
    const nowhere: typeof LOOPBACK = {
      ...LOOPBACK,
      resolve: (_name, _options, callback) =>
        callback(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }), []),
    };
    await expect(
      subscribe({ notificationUrl }, subscriptionsOf(database, { network: nowhere })),
    ).rejects.toThrow(told);
  });
});

describe('a receiver that cannot be reached', () => {
  it('is told of as such in the dead letter', async () => {
    await subscribe({ changeTypes: ['created'] });
    const { port } = receiver;
    await receiver.stop();
    await completedAction(database);
    await notifierOf(database, { giveUpAfterMs: 0 }).pass();
    await receiver.open(port);
    expect(await database.subscriptions.deadLetters(TENANT_A)).toMatchObject([
      { problem: 'The receiver cannot be reached, or may not be called (notifications.network).' },
    ]);
  });
});

describe('a subscription whose key is gone', () => {
  it('is listed among the others and says so', async () => {
    const other = new EnvelopeSeal({ current: localKey(), others: [] });
    await subscribe({}, subscriptionsOf(database, { seal: other }));
    await subscribe();
    const [lost, whole] = await subscriptionsOf(database).list(SUBSCRIBER);
    expect(lost).toMatchObject({
      secrets: null,
      problem: expect.stringContaining(`sealed with the key ${other.current}`) as string,
    });
    expect(whole).toMatchObject({ secrets: { notificationUrl: receiver.url }, problem: null });
  });

  it('is renewed and removed as any other', async () => {
    const other = new EnvelopeSeal({ current: localKey(), others: [] });
    const { id } = await subscribe({}, subscriptionsOf(database, { seal: other }));
    const manage = subscriptionsOf(database);
    expect((await manage.renew(SUBSCRIBER, id, inMs(60_000))).recipient.id).toBe(id);
    await manage.remove(SUBSCRIBER, id);
    expect(await manage.list(SUBSCRIBER)).toEqual([]);
  });

  it('has its notifications become dead letters that tell why', async () => {
    const other = new EnvelopeSeal({ current: localKey(), others: [] });
    await subscribe({ changeTypes: ['created'] }, subscriptionsOf(database, { seal: other }));
    await completedAction(database);
    await notifierOf(database, { giveUpAfterMs: 0 }).pass();
    expect(await database.subscriptions.deadLetters(TENANT_A)).toMatchObject([
      { problem: expect.stringContaining('sealed with the key') as string },
    ]);
  });
});

describe('a subscription that is removed', () => {
  it('takes along what was found for it meanwhile', async () => {
    const { id } = await subscribe();
    await completedAction(database);
    const [standing] = await database.subscriptions.standing();
    await database.subscriptions.remove(SUBSCRIBER, id);
    if (standing !== undefined) await database.subscriptions.collect(standing, false);
    await notifierOf(database, { network: LOOPBACK }).pass();
    expect(receiver.came).toEqual([]);
    const left = connection.getClient().db(connection.name).collection('notifications');
    expect(await left.countDocuments({ state: 'waiting' })).toBe(0);
  });
});
