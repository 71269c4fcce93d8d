import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import {
  ConfigurationError,
  OperationalError,
  type ActionQueue,
  type SecretKeys,
  type SecretRecords,
} from '#domain';
import { ProviderRegistry, RotateSecrets, RunAction, SubmitAction } from '#engine';
import { connectDatabase, type Database } from '#persistence';
import { Type, defineProvider } from '#provider-sdk';
import { EnvelopeSeal } from '#secrets';
import { createLogger } from '#telemetry';
import { CALLER, freshDatabaseUri, newAction } from '../support/database.js';
import { subscriptionsOf, webhooksOf } from '../support/notifier.js';
import { FINGERPRINT_KEY, localKey } from '../support/secrets.js';
import { MailApi } from '../simulators/mail-api/mail-api.js';
import { NotificationReceiver } from '../simulators/notification-receiver/receiver.js';

/** Exchanging the key of an installation, on a database of its own each. */

const [first, second] = [localKey(), localKey()];
const before = new EnvelopeSeal({ current: first, others: [] });
const both = new EnvelopeSeal({ current: second, others: [first] });
const after = new EnvelopeSeal({ current: second, others: [] });
const log = createLogger('riposte-test', 'silent');
const vendorInformation = { vendor: 'Safe', provider: 'Safe', providerVersion: null, subProvider: null };

const given: unknown[] = [];
const provider = defineProvider({
  manifest: {
    vendor: 'Safe',
    provider: 'Safe',
    version: '1.0.0',
    settings: Type.Object({}),
    actions: {
      Lock: {
        title: 'Lock',
        parameters: Type.Object({ Door: Type.String(), Pin: Type.String({ writeOnly: true }) }),
        idempotency: 'key',
        cancellable: false,
      },
    },
  },
  execute: (_context, { parameters }) => {
    given.push(parameters);
    return Promise.resolve({ kind: 'completed' });
  },
  cancel: () => Promise.resolve('notSupported'),
});
const instance = { id: 'safe', plugin: 'safe', tenants: ['*'], settings: {}, secrets: {}, concurrency: 4 };
const registry = new ProviderRegistry([instance], { safe: provider });
const queue: ActionQueue = {
  hint: () => Promise.resolve(true),
  hintMany: () => Promise.resolve(true),
  incarnation: () => Promise.resolve('one'),
  announceCancel: () => Promise.resolve(true),
};

let database: Database;
let connection: mongoose.Connection;
beforeAll(() => {
  expect(first.id).not.toBe(second.id);
});
beforeEach(async () => {
  given.length = 0;
  const uri = freshDatabaseUri();
  database = await connectDatabase(uri, { appName: 'riposte-test' });
  connection = await mongoose.createConnection(uri).asPromise();
  onTestFinished(async () => {
    await connection.close();
    await database.close();
  });
});

const db = () => connection.getClient().db(connection.name);
const dump = async (): Promise<string> =>
  JSON.stringify([
    await db().collection('actions').find().toArray(),
    await db().collection('keys').find().toArray(),
  ]);
const rotation = (keys: SecretKeys, records: SecretRecords = database.secretRecords) =>
  new RotateSecrets({ records, keys, registry });

function submitter(seal: SecretKeys): SubmitAction {
  const { actions: store, idempotencyKeys: keys } = database;
  const admission = { admit: () => Promise.resolve() };
  return new SubmitAction({
    store,
    keys,
    queue,
    registry,
    admission,
    seal,
    fingerprintKey: FINGERPRINT_KEY,
    log,
  });
}

async function submitted(seal: SecretKeys, pin: string): Promise<string> {
  const { action } = await submitter(seal).submit(CALLER, {
    name: 'Lock',
    actionReason: null,
    clientContext: null,
    parameters: [
      { name: 'Door', value: 'a' },
      { name: 'pin', value: pin },
    ],
    vendorInformation,
    startBefore: null,
    effectUntil: null,
  });
  return action.id;
}

/** As an earlier version recorded it. */
async function recordedInClear(pin: string, overrides: object = {}): Promise<string> {
  const parameters = [
    { name: 'Door', value: 'a' },
    { name: 'PIN', value: pin },
  ];
  const fields = {
    instance: 'safe',
    actionName: 'Lock',
    idempotency: 'key',
    vendorInformation,
    parameters,
  } as const;
  return (await database.actions.create(newAction({ ...fields, ...overrides }))).id;
}

async function run(seal: SecretKeys, actionId: string) {
  const runner = new RunAction({ store: database.actions, queue, registry, seal, log, workerId: 'test' });
  await runner.look(
    { actionId, actionName: 'Lock', instance: 'safe', why: 'start', isRelease: false, polls: false },
    new AbortController().signal,
  );
  return database.actions.find(CALLER.tenantId, actionId);
}

describe('rotating', () => {
  it('brings all under the current key and seals what was in clear, so that the old key may go', async () => {
    const shared = await database.sharedKey('fingerprint', before);
    await db()
      .collection<{ _id: string }>('keys')
      .insertOne({ _id: 'skip-token', key: 'AAAA' } as never);
    const ids = [
      await submitted(before, 'canary-1'),
      await recordedInClear('canary-2'),
      await submitted(both, 'canary-3'),
    ];
    const others = await recordedInClear('plain', { instance: 'gone' });
    const was = await Promise.all(ids.map((id) => database.actions.find(CALLER.tenantId, id)));

    expect(await rotation(both).rotate(false)).toEqual({
      rewrapped: 2,
      sealed: 2,
      renewed: 0,
      failed: new Map(),
      after: { actions: 4, keys: new Map([[second.id, 5]]), inClear: 0, notConfigured: 1 },
    });
    expect(await dump()).not.toMatch(/canary|AAAA/);
    expect(await database.sharedKey('fingerprint', after)).toEqual(shared);
    expect(await database.sharedKey('skip-token', after)).toEqual(Buffer.from('AAAA', 'base64'));
    for (const [index, id] of ids.entries()) {
      // Nobody sees of it more than that secrets are not there.
      const {
        parameters,
        sealed: _sealed,
        ...rest
      } = (await database.actions.find(CALLER.tenantId, id)) as never as {
        parameters: readonly { value: string | null }[];
        sealed: string;
      };
      expect(was[index]).toMatchObject(rest);
      expect(parameters.map(({ value }) => value)).toEqual(['a', null]);
      expect((await run(after, id))?.status).toBe('Completed');
    }
    expect(given).toEqual([1, 2, 3].map((number) => ({ Door: 'a', Pin: `canary-${number}` })));
    // Whether a parameter of it is secret, nobody knows any more.
    expect((await database.actions.find(CALLER.tenantId, others))?.sealed).toBeNull();
  });

  it('brings subscriptions and webhooks under it, the ended ones as well, which go on as before', async () => {
    const receiver = await NotificationReceiver.start();
    onTestFinished(() => receiver.stop());
    const { tenantId, appId } = CALLER;
    const subscriber = { tenantId, appId };
    const wish = {
      actionId: null,
      changeTypes: ['created'],
      notificationUrl: receiver.url,
      lifecycleNotificationUrl: null,
      clientState: 'canary',
      expiresAt: new Date(Date.now() + 60_000),
    } as const;
    const { recipient } = await subscriptionsOf(database, { seal: before }).create(subscriber, {
      ...wish,
      id: randomUUID(),
    });
    const ended = await subscriptionsOf(database, { seal: before }).create(subscriber, {
      ...wish,
      id: randomUUID(),
    });
    await db()
      .collection<{ _id: string }>('subscriptions')
      .updateOne({ _id: ended.recipient.id }, { $set: { endedAt: new Date(), expiresAt: new Date(0) } });
    const mail = await MailApi.start();
    onTestFinished(() => mail.stop());
    const { url, authorization } = mail;
    const webhook = await webhooksOf(database, before).create(subscriber, {
      id: randomUUID(),
      name: 'SOC',
      form: { template: 'email', from: 'a@example.org', to: ['b@example.org'] },
      filter: { states: ['Failed'], phases: null, providers: null },
      url,
      authorization,
    });
    expect((await rotation(both).report()).keys).toEqual(new Map([[first.id, 3]]));
    expect(await rotation(both).rotate(false)).toMatchObject({
      rewrapped: 3,
      failed: new Map(),
      after: { keys: new Map([[second.id, 3]]) },
    });
    expect(await rotation(both).rotate(false)).toMatchObject({ rewrapped: 0 });
    const manage = subscriptionsOf(database, { seal: after });
    expect(await manage.get(subscriber, recipient.id)).toMatchObject({
      secrets: { clientState: 'canary' },
      problem: null,
    });
    expect(await webhooksOf(database, after).get(tenantId, webhook.recipient.id)).toMatchObject({
      secrets: { url, authorization },
      problem: null,
    });
  });

  it('again changes nothing', async () => {
    await database.sharedKey('fingerprint', before);
    await submitted(before, 'canary');
    await rotation(both).rotate(false);
    const was = await dump();
    expect(await rotation(both).rotate(false)).toMatchObject({ rewrapped: 0, sealed: 0 });
    expect(await dump()).toBe(was);
  });

  it('goes on where it was interrupted, and until then no process does without the old key', async () => {
    await database.sharedKey('fingerprint', before);
    for (let index = 0; index < 5; index += 1) await submitted(before, `canary-${index}`);
    let replaced = 0;
    const underWay: Promise<unknown>[] = [];
    const stored = database.secretRecords;
    const records: SecretRecords = {
      page: (...args) => stored.page(...args),
      replace: (...args) => {
        replaced += 1;
        if (replaced > 2) throw new OperationalError('serviceNotAvailable', 'away', 5);
        const replacing = stored.replace(...args);
        underWay.push(replacing);
        return replacing;
      },
      recipients: (...args) => stored.recipients(...args),
      replaceRecipient: (...args) => stored.replaceRecipient(...args),
      sharedKeys: () => stored.sharedKeys(),
      replaceSharedKey: (...args) => stored.replaceSharedKey(...args),
      newSharedKey: () => stored.newSharedKey(),
    };
    await expect(rotation(both, records).rotate(false)).rejects.toBeInstanceOf(OperationalError);
    await Promise.all(underWay);
    await expect(database.sharedKey('fingerprint', after)).rejects.toBeInstanceOf(ConfigurationError);
    expect(await rotation(both).rotate(false)).toMatchObject({ rewrapped: 4 });
    await database.sharedKey('fingerprint', after);
  });

  it('runs beside actions that are submitted and carried out, by processes with either key', async () => {
    const ids = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        index % 3 === 0
          ? recordedInClear(`canary-${index}`)
          : submitted(index % 3 === 1 ? before : both, `canary-${index}`),
      ),
    );
    await Promise.all([
      rotation(both).rotate(false),
      rotation(both).rotate(false),
      ...ids.map((id) => run(both, id)),
      ...Array.from({ length: 10 }, (_, index) =>
        submitted(before, `late-${index}`).then((id) => run(both, id)),
      ),
    ]);
    expect(given).toHaveLength(40);
    const pins = new Set(given.map((parameters) => (parameters as { Pin: string }).Pin));
    expect(pins.size).toBe(40);
    for (const id of ids)
      expect((await database.actions.find(CALLER.tenantId, id))?.status).toBe('Completed');
    const { after: left } = await rotation(both).rotate(false);
    expect(left).toMatchObject({ keys: new Map([[second.id, 40]]), inClear: 0 });
    expect(await dump()).not.toMatch(/canary|late/);
  });

  it('says what nobody can open, and leaves it as it is', async () => {
    await database.sharedKey('fingerprint', both);
    const [damaged, lost] = [await submitted(before, 'one'), await submitted(before, 'two')];
    const third = new EnvelopeSeal({ current: localKey(), others: [] });
    const sealed = await third.seal('[]', { kind: 'action', tenantId: CALLER.tenantId, id: lost });
    for (const [id, to] of [
      [damaged, `s1.${first.id}.AAAA.AAAA`],
      [lost, sealed],
    ] as const)
      await db()
        .collection('actions')
        .updateOne({ _id: new mongoose.mongo.UUID(id) } as object, { $set: { sealed: to } });
    const was = await dump();
    const { failed, after: left } = await rotation(both).rotate(false);
    expect(failed).toEqual(
      new Map([
        ['what is sealed was changed, or belongs to another record', 1],
        [`it is sealed with the key ${third.current}, which is not among the keys here`, 1],
      ]),
    );
    expect(left.keys).toEqual(
      new Map([
        [first.id, 1],
        [second.id, 1],
        [third.current, 1],
      ]),
    );
    expect(await dump()).toBe(was);
  });
});

describe('a process whose keys are not those of the database', () => {
  it('does not start, and names the key that it needs', async () => {
    await database.sharedKey('fingerprint', before);
    const problem = database.sharedKey('fingerprint', after);
    await expect(problem).rejects.toBeInstanceOf(ConfigurationError);
    await expect(problem).rejects.toThrow(
      new RegExp(`${first.id}, which this process does not have.*RIPOSTE_SECRETS_KEY_FILE`),
    );
  });

  it('and another one agree on one key, whoever is first', async () => {
    const keys = await Promise.all(
      Array.from({ length: 8 }, () => database.sharedKey('fingerprint', before)),
    );
    expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(1);
    expect(keys[0]).toHaveLength(32);
  });

  it('starts again where that key is lost for ever, and somebody says so', async () => {
    const shared = await database.sharedKey('fingerprint', before);
    const id = await submitted(before, 'canary');
    expect(await rotation(after).rotate(false)).toMatchObject({ renewed: 0 });
    expect(await rotation(after).rotate(true)).toMatchObject({ renewed: 1 });
    expect(await database.sharedKey('fingerprint', after)).not.toEqual(shared);
    expect(await run(after, id)).toMatchObject({
      status: 'Failed',
      errorInfo: { message: expect.stringContaining(first.id) as string },
    });
    expect(given).toEqual([]);
  });
});

describe('what is archived and exported', () => {
  it('is sealed as it is on record', async () => {
    const id = await submitted(before, 'canary');
    await run(before, id);
    const lines: string[] = [];
    for await (const { line } of database.retention.records(CALLER.tenantId, [id])) lines.push(line);
    for await (const document of database.backup.read(CALLER.tenantId, database.backup.now()))
      lines.push(JSON.stringify(document));
    expect(lines).toHaveLength(2);
    for (const line of lines) {
      expect(line).toContain(`s1.${first.id}.`);
      expect(line).not.toContain('canary');
    }
  });

  it('is the same record still after a rotation, where it is imported again', async () => {
    for (const id of [await submitted(before, 'one'), await recordedInClear('two')]) await run(before, id);
    const exported = [];
    for await (const document of database.backup.read(CALLER.tenantId, database.backup.now()))
      exported.push(document);
    await rotation(both).rotate(false);
    expect(await database.backup.restore(exported, { open: 'unknown', exportedAt: new Date() })).toEqual({
      inserted: 0,
      skipped: 2,
      conflicts: [],
    });
    const [one] = exported;
    const other = {
      ...one,
      parameters: [
        { name: 'Door', value: 'b' },
        { name: 'pin', value: null },
      ],
    } as never;
    expect(await database.backup.restore([other], { open: 'unknown', exportedAt: new Date() })).toMatchObject(
      {
        conflicts: [expect.any(String)],
      },
    );
  });
});
