import { createHash, randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { stringify } from 'safe-stable-stringify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  OperationalError,
  UserError,
  type ActionQueue,
  type Caller,
  type Hint,
  type SecretSeal,
  type SecurityAction,
} from '#domain';
import { ProviderRegistry, RevertAction, RunAction, SubmitAction, type Submission } from '#engine';
import { connectDatabase, type Database } from '#persistence';
import { Type, defineProvider, type StepOutcome } from '#provider-sdk';
import { EnvelopeSeal } from '#secrets';
import { createLogger } from '#telemetry';
import { CALLER, TENANT_B, freshDatabaseUri, newAction } from '../support/database.js';
import { FINGERPRINT_KEY, SEAL, localKey } from '../support/secrets.js';

/** What becomes of secret parameters between the request and the plugin, and where what is stored of them was touched. */

const PIN = 'pin "4711" ü';
const OTHER: Caller = { ...CALLER, tenantId: TENANT_B };

let database: Database;
let connection: mongoose.Connection;
beforeAll(async () => {
  const uri = freshDatabaseUri();
  database = await connectDatabase(uri, { appName: 'riposte-test' });
  connection = await mongoose.createConnection(uri).asPromise();
});
afterAll(async () => {
  await connection.close();
  await database.close();
});

interface Stored {
  readonly _id: unknown;
  readonly parameters: readonly { readonly name: string; readonly value: string | null }[];
  readonly sealed?: string;
}
const collection = () => connection.getClient().db(connection.name).collection('actions');
const idOf = (id: string) => new mongoose.mongo.UUID(id);
const onRecord = async (id: string): Promise<Stored> =>
  (await collection().findOne({ _id: idOf(id) } as object)) as unknown as Stored;
const change = (id: string, changes: object) =>
  collection().updateOne({ _id: idOf(id) } as object, { $set: changes });

/** An installation: its API, and a worker whose plugin tells what it was given. */
function site(options: { readonly atWorker?: SecretSeal; readonly answers?: readonly StepOutcome[] } = {}) {
  const given: unknown[] = [];
  const reverted: unknown[] = [];
  const effects: unknown[] = [];
  const logged: string[] = [];
  const answers = [...(options.answers ?? [])];
  const provider = defineProvider({
    manifest: {
      vendor: 'Safe',
      provider: 'Safe',
      version: '1.0.0',
      settings: Type.Object({}),
      actions: {
        Lock: {
          title: 'Lock',
          parameters: Type.Object({
            Door: Type.String(),
            Pin: Type.Optional(Type.String({ writeOnly: true, 'x-aliases': ['code'] })),
            Rules: Type.Optional(Type.Object({}, { writeOnly: true, additionalProperties: true })),
          }),
          idempotency: 'key',
          cancellable: false,
          revertible: true,
        },
      },
    },
    execute: (_context, { parameters }) => {
      given.push(parameters);
      return Promise.resolve(answers.shift() ?? { kind: 'completed' });
    },
    poll: (_context, _operation, { parameters }) => {
      given.push(parameters);
      return Promise.resolve(answers.shift() ?? { kind: 'completed' });
    },
    revert: (_context, { parameters, effect }) => {
      effects.push(effect);
      reverted.push(parameters);
      return Promise.resolve({ kind: 'completed' });
    },
    cancel: () => Promise.resolve('notSupported'),
  });
  const instance = `safe-${randomUUID().slice(0, 8)}`;
  const registry = new ProviderRegistry(
    [{ id: instance, plugin: 'safe', tenants: ['*'], settings: {}, secrets: {}, concurrency: 4 }],
    { safe: provider },
  );
  const hints: Hint[] = [];
  const queue: ActionQueue = {
    hint: (hint) => {
      hints.push(hint);
      return Promise.resolve(true);
    },
    hintMany: () => Promise.resolve(true),
    incarnation: () => Promise.resolve('one'),
    announceCancel: () => Promise.resolve(true),
  };
  const write = (facts: object, event?: string): void => void logged.push(`${stringify(facts)} ${event}`);
  const log = { ...createLogger('riposte-test', 'silent'), info: write, warn: write, error: write } as never;
  const store = database.actions;
  const admission = { admit: () => Promise.resolve() };
  const submit = new SubmitAction({
    store,
    keys: database.idempotencyKeys,
    queue,
    registry,
    admission,
    seal: SEAL,
    fingerprintKey: FINGERPRINT_KEY,
    log,
  });
  const revert = new RevertAction({ store, queue, registry, admission, log });
  const runner = new RunAction({
    store,
    queue,
    registry,
    seal: options.atWorker ?? SEAL,
    log,
    workerId: 'test',
  });
  const look = async (id: string, tenantId = CALLER.tenantId): Promise<SecurityAction> => {
    await runner.look(
      { actionId: id, actionName: 'Lock', instance, why: 'start', isRelease: false, polls: false },
      new AbortController().signal,
    );
    return (await store.find(tenantId, id)) as SecurityAction;
  };
  return { submit, revert, look, given, reverted, effects, logged, instance, hints };
}

function lock(parameters: Readonly<Record<string, string>> = { Door: 'a', code: PIN }): Submission {
  return {
    name: 'lock',
    actionReason: null,
    clientContext: null,
    parameters: Object.entries(parameters).map(([name, value]) => ({ name, value })),
    vendorInformation: { vendor: 'Safe', provider: 'Safe', providerVersion: null, subProvider: null },
    startBefore: null,
    effectUntil: null,
  };
}

describe('a secret parameter', () => {
  it('is on record sealed, shown as null, and told to the plugin as it was sent', async () => {
    const { submit, look, given, logged } = site();
    const rules = '{"open":"sesame"}';
    const { action } = await submit.submit(CALLER, lock({ code: PIN, Door: 'a', rules }));
    expect(action.parameters).toEqual([
      { name: 'code', value: null },
      { name: 'Door', value: 'a' },
      { name: 'rules', value: null },
    ]);
    const stored = await onRecord(action.id);
    expect(stored.parameters).toEqual(action.parameters);
    expect(stored.sealed).toMatch(/^s1\./);
    expect(stringify(stored)).not.toMatch(/4711|sesame/);
    expect((await look(action.id)).status).toBe('Completed');
    expect(given).toEqual([{ Pin: PIN, Door: 'a', Rules: { open: 'sesame' } }]);
    expect(logged.length).toBeGreaterThan(0);
    expect(logged.join()).not.toMatch(/4711|sesame/);
  });

  it('is not stored of what a plugin repeats, also where it is a text within JSON', async () => {
    const answers = [
      {
        kind: 'completed',
        result: { told: ['sesame', PIN] },
        effect: { changed: true, previous: 'open with sesame' },
      },
    ] as const;
    const { submit, revert, look, effects } = site({ answers });
    const { action } = await submit.submit(
      CALLER,
      lock({ Door: 'a', Pin: PIN, Rules: '{"open":["sesame"]}' }),
    );
    expect(await look(action.id)).toMatchObject({
      status: 'Completed',
      result: { told: ['[redacted Rules.2]', '[redacted Pin]'] },
    });
    expect(stringify(await onRecord(action.id))).not.toMatch(/4711|sesame/);
    await look((await revert.revert(CALLER, action.id)).action.id);
    expect(effects).toEqual([{ changed: true, previous: 'open with sesame' }]);
  });

  it('costs an action without one nothing: nothing is sealed, and nothing more is stored', async () => {
    const { submit, look, given } = site();
    const { action } = await submit.submit(CALLER, lock({ Door: 'a' }));
    expect(await onRecord(action.id)).not.toHaveProperty('sealed');
    await look(action.id);
    expect(given).toEqual([{ Door: 'a' }]);
  });

  it('is refused where the shown parameters are sent again as they are', async () => {
    const { submit } = site();
    const { action } = await submit.submit(CALLER, lock());
    await expect(submit.submit(CALLER, { ...lock(), parameters: action.parameters })).rejects.toThrow(
      /parameter "code" has no value/,
    );
  });

  it('stays with the action that is undone, for the one that undoes it', async () => {
    const { submit, revert, look, reverted } = site();
    const { action } = await submit.submit(CALLER, lock());
    await look(action.id);
    const undoing = await revert.revert(CALLER, action.id);
    const stored = await onRecord(undoing.action.id);
    expect(stored.parameters).toEqual([
      { name: 'Door', value: 'a' },
      { name: 'code', value: null },
    ]);
    expect(stored).not.toHaveProperty('sealed');
    expect((await look(undoing.action.id)).status).toBe('Completed');
    expect(reverted).toEqual([{ Door: 'a', Pin: PIN }]);
  });

  it('that an earlier version stored in clear is still told to the plugin, and not stored again by a revert', async () => {
    const { look, revert, given, reverted, instance } = site();
    const { id } = await database.actions.create(
      newAction({
        instance,
        actionName: 'Lock',
        idempotency: 'key',
        vendorInformation: { vendor: 'Safe', provider: 'Safe', providerVersion: null, subProvider: null },
        parameters: lock().parameters,
      }),
    );
    expect((await look(id)).status).toBe('Completed');
    const undoing = await revert.revert(CALLER, id);
    expect(stringify(await onRecord(undoing.action.id))).not.toContain('4711');
    await look(undoing.action.id);
    expect([...given, ...reverted]).toEqual([
      { Door: 'a', Pin: PIN },
      { Door: 'a', Pin: PIN },
    ]);
  });
});

describe('what is sealed of an action', () => {
  it.each<[string, (sealed: string) => string]>([
    ['one character is another one', (sealed) => `${sealed.slice(0, -1)}${sealed.endsWith('A') ? 'Q' : 'A'}`],
    ['it is cut off', (sealed) => sealed.slice(0, -10)],
    ['it is something else', () => 'pin'],
  ])('is not acted upon where %s: it ends as Failed, and says so', async (_name, changed) => {
    const { submit, look, given } = site();
    const { action } = await submit.submit(CALLER, lock());
    await change(action.id, { sealed: changed((await onRecord(action.id)).sealed ?? '') });
    expect(await look(action.id)).toMatchObject({
      status: 'Failed',
      phase: 'failed',
      errorInfo: {
        code: 500,
        message:
          'Its secret parameters cannot be opened: what is stored of them was changed, or belongs to another record. Find out who writes to the database. Nothing was done.',
      },
      crashes: 0,
      attempts: [{ number: 1, outcome: 'failed' }],
    });
    expect(given).toEqual([]);
  });

  it('opens at no other action, of this tenant or of another', async () => {
    const { submit, look, given } = site();
    const ours = await submit.submit(CALLER, lock());
    const second = await submit.submit(CALLER, lock({ Door: 'b', code: 'another' }));
    const theirs = await submit.submit(OTHER, lock({ Door: 'c', code: 'theirs' }));
    const ids = [ours, second, theirs].map(({ action }) => action.id);
    const sealed = await Promise.all(ids.map(async (id) => (await onRecord(id)).sealed));
    // Each has that of the next.
    for (const [index, id] of ids.entries()) await change(id, { sealed: sealed[(index + 1) % 3] });
    for (const [index, id] of ids.entries())
      expect(await look(id, index === 2 ? TENANT_B : undefined)).toMatchObject({
        status: 'Failed',
        errorInfo: { message: expect.stringContaining('belongs to another record') as string },
      });
    expect(given).toEqual([]);
  });

  it('with a key that the worker does not have ends it as Failed, naming the key', async () => {
    const { submit, look, given, logged } = site({
      atWorker: new EnvelopeSeal({ current: localKey(), others: [] }),
    });
    const { action } = await submit.submit(CALLER, lock());
    expect((await look(action.id)).errorInfo).toEqual({
      code: 500,
      subcode: 0,
      message: `Its secret parameters are sealed with the key ${SEAL.current}, which the worker does not have. Give the workers all keys of the API (RIPOSTE_SECRETS_KEY_FILE). Nothing was done.`,
    });
    expect(given).toEqual([]);
    expect(logged.join()).toContain('secrets could not be opened');
  });

  it('that cannot be opened once it was issued ends as outcome unknown', async () => {
    const { submit, look } = site({
      answers: [{ kind: 'pending', operation: { id: 'op' }, nextPollMs: 50 }],
    });
    const { action } = await submit.submit(CALLER, lock());
    expect((await look(action.id)).phase).toBe('waitingOnVendor');
    await change(action.id, { sealed: 'gone', nextAt: new Date() });
    expect(await look(action.id)).toMatchObject({
      status: 'Failed',
      phase: 'outcomeUnknown',
      errorInfo: { code: 520, message: expect.stringContaining('It had been issued') as string },
    });
  });

  it('waits for a key service that is away, with nothing sent and no attempt lost', async () => {
    let isAway = true;
    const { submit, look, given, hints } = site({
      atWorker: {
        seal: (text, place) => SEAL.seal(text, place),
        open: (sealed, place) =>
          isAway
            ? Promise.reject(new OperationalError('serviceNotAvailable', 'away', 5))
            : SEAL.open(sealed, place),
      },
    });
    const { action } = await submit.submit(CALLER, lock());
    for (let round = 0; round < 6; round += 1)
      expect(await look(action.id)).toMatchObject({
        status: 'Running',
        intent: null,
        owner: null,
        attempts: [],
        crashes: 0,
      });
    // Nothing of it goes in circles: only the submission hinted.
    expect(hints).toHaveLength(1);
    isAway = false;
    expect((await look(action.id)).status).toBe('Completed');
    expect(given).toHaveLength(1);
  });
});

describe('an idempotency key', () => {
  it('tells requests apart by their secrets, which cannot be found out from what is stored by trying', async () => {
    const { submit } = site();
    const key = randomUUID();
    const first = await submit.submit(CALLER, lock(), key);
    expect(await submit.submit(CALLER, lock(), key)).toMatchObject({
      repeated: true,
      action: { id: first.action.id, parameters: first.action.parameters },
    });
    await expect(submit.submit(CALLER, lock({ Door: 'a', code: '4712' }), key)).rejects.toBeInstanceOf(
      UserError,
    );
    const reservation = await database.idempotencyKeys.find(CALLER, key);
    expect(reservation?.fingerprint).not.toContain(plainFingerprint(lock()));
  });

  it('of a request that an earlier version took still leads to it', async () => {
    const { submit } = site();
    const [key, actionId] = [randomUUID(), randomUUID()];
    await database.idempotencyKeys.reserve(CALLER, key, { actionId, fingerprint: plainFingerprint(lock()) });
    expect(await submit.submit(CALLER, lock(), key)).toMatchObject({
      repeated: true,
      action: { id: actionId },
    });
    await expect(submit.submit(CALLER, lock({ Door: 'b' }), key)).rejects.toBeInstanceOf(UserError);
  });

  function plainFingerprint(submission: Submission): string {
    const said = stringify(submission, (_key, value: unknown) => (value === null ? undefined : value));
    return createHash('sha256')
      .update(said ?? '')
      .digest('hex');
  }
});
