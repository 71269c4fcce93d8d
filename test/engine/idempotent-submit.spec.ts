import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  OperationalError,
  OutcomeUnknownError,
  type ActionStore,
  type Admission,
  type ActionQueue,
  type Caller,
  type IdempotencyKeys,
} from '#domain';
import { ProviderRegistry, SubmitAction, type Submission } from '#engine';
import { connectDatabase, type Database } from '#persistence';
import { plugins } from '#plugins';
import { createLogger } from '#telemetry';
import { claimOf, CALLER, freshDatabaseUri } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { FINGERPRINT_KEY, SEAL } from '../support/secrets.js';

/** Several API processes, by their engines, on one database; each may stop between any two of its writes. */

const mock = { id: 'mock', plugin: 'mock', tenants: ['*'], settings: {}, secrets: {}, concurrency: 16 };
const registry = new ProviderRegistry([mock], plugins);
const nobody = new ProviderRegistry([], plugins);
const queue: ActionQueue = {
  hint: () => Promise.resolve(true),
  hintMany: () => Promise.resolve(true),
  incarnation: () => Promise.resolve('one'),
  announceCancel: () => Promise.resolve(true),
};
const log = createLogger('riposte-test', 'silent');
const admits: Admission = { admit: () => Promise.resolve() };
const full: Admission = {
  admit: () => Promise.reject(new OperationalError('tooManyRequests', 'full', 1)),
};

let databases: readonly Database[];
let connection: mongoose.Connection;

beforeAll(async () => {
  const uri = freshDatabaseUri();
  databases = await Promise.all([1, 2].map((n) => connectDatabase(uri, { appName: `riposte-test-${n}` })));
  connection = await mongoose.createConnection(uri).asPromise();
});
afterAll(async () => {
  await connection.close();
  await Promise.all(databases.map((database) => database.close()));
});

const database = (index: number): Database => databases[index % databases.length] as Database;
const collection = (name: string): mongoose.mongo.Collection =>
  connection.getClient().db(connection.name).collection(name);

/** Where a process stops, as a caller sees it: the write is not made, or is made and not confirmed. */
const STOPS = [
  'nowhere',
  'beforeReserve',
  'reserveUnconfirmed',
  'beforeCreate',
  'createUnconfirmed',
  'afterCreate',
] as const;
type Stop = (typeof STOPS)[number];

class Stopped extends Error {}

/** An API's engine that stops there. */
function submitter(
  index: number,
  stop: Stop = 'nowhere',
  providers = registry,
  admission = admits,
): SubmitAction {
  const { actions, idempotencyKeys } = database(index);
  const keys: IdempotencyKeys = {
    find: (caller, key) => idempotencyKeys.find(caller, key),
    async reserve(caller, key, wanted) {
      if (stop === 'beforeReserve') throw new Stopped();
      const stands = await idempotencyKeys.reserve(caller, key, wanted);
      if (stop === 'reserveUnconfirmed') throw new OutcomeUnknownError(wanted.actionId);
      return stands;
    },
  };
  const store = {
    find: (tenantId: string, id: string) => actions.find(tenantId, id),
    async create(action: Parameters<ActionStore['create']>[0]) {
      if (stop === 'beforeCreate') throw new OperationalError('serviceNotAvailable', 'away', 1);
      const created = await actions.create(action);
      if (stop === 'createUnconfirmed') throw new OutcomeUnknownError(action.id);
      if (stop === 'afterCreate') throw new Stopped();
      return created;
    },
  } as ActionStore;
  return new SubmitAction({
    store,
    keys,
    queue,
    registry: providers,
    admission,
    seal: SEAL,
    fingerprintKey: FINGERPRINT_KEY,
    log,
  });
}

function submission(overrides: Partial<Submission> = {}): Submission {
  return {
    name: 'BlockIp',
    actionReason: 'Test',
    clientContext: null,
    parameters: [{ name: 'IP', value: '1.2.3.4' }],
    vendorInformation: { vendor: 'Mock', provider: 'Mock', providerVersion: null, subProvider: null },
    startBefore: null,
    effectUntil: null,
    ...overrides,
  };
}

/** An engine that answers within 50 ms, on a database that answers this call when it is told to. */
function slow(call: 'find' | 'reserve' | 'create') {
  const { actions, idempotencyKeys } = database(0);
  let answer = (): void => undefined;
  const told = new Promise<void>((resolve) => (answer = resolve));
  const when = <T>(name: typeof call, run: () => Promise<T>): Promise<T> =>
    name === call ? told.then(run) : run();
  const keys: IdempotencyKeys = {
    // Where another call is slow, this one is not: nobody has used the key yet.
    find: (caller, key) =>
      call === 'find' ? told.then(() => idempotencyKeys.find(caller, key)) : Promise.resolve(null),
    reserve: (caller, key, wanted) => when('reserve', () => idempotencyKeys.reserve(caller, key, wanted)),
  };
  const store = {
    find: (tenantId: string, id: string) => actions.find(tenantId, id),
    create: (action: Parameters<ActionStore['create']>[0]) => when('create', () => actions.create(action)),
  } as ActionStore;
  return {
    engine: new SubmitAction({
      store,
      keys,
      queue,
      registry,
      admission: admits,
      seal: SEAL,
      fingerprintKey: FINGERPRINT_KEY,
      log,
      answerWithinMs: 50,
    }),
    answer,
  };
}

/** A caller of its own, so that what it made can be counted. */
const someone = (): Caller => ({ ...CALLER, appId: randomUUID() });
const countOf = ({ appId }: Caller): Promise<number> => collection('actions').countDocuments({ appId });

/** Has the vendor's part done, as a worker would. */
async function complete(id: string): Promise<void> {
  const { actions } = database(0);
  const claim = await claimOf(actions.claim(id, `worker/${randomUUID()}`, 30_000, '1.0.0'));
  if (claim === null) throw new Error('not claimed');
  expect(await actions.complete(claim.lease, { ok: true })).toBe(true);
}

describe('requests with one idempotency key', () => {
  it('come to at most one action, of one body, however they overlap and wherever they stop', async () => {
    const request = fc.record({
      process: fc.nat(1),
      stop: fc.constantFrom(...STOPS),
      body: fc.constantFrom('one', 'two'),
      together: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 2, maxLength: 7 }), async (requests) => {
        const caller = someone();
        const ids = new Set<string>();
        const bodies = new Set<string>();
        const send = async (process: number, stop: Stop, body: string): Promise<string> => {
          try {
            const wanted = submission({ actionReason: body });
            const { action } = await submitter(process, stop).submit(caller, wanted, 'key');
            ids.add(action.id);
            bodies.add(`${body} answered with ${action.actionReason}`);
            return 'accepted';
          } catch (error) {
            const { code } = error as { code?: string };
            if (code === 'idempotencyKeyReused') return 'refused';
            expect(stop).not.toBe('nowhere');
            return 'stopped';
          }
        };
        let underWay: Promise<unknown>[] = [];
        for (const { process, stop, body, together } of requests) {
          underWay.push(send(process, stop, body));
          if (together) continue;
          await Promise.all(underWay);
          underWay = [];
        }
        await Promise.all(underWay);
        const afterwards = [await send(0, 'nowhere', 'one'), await send(1, 'nowhere', 'two')];
        expect(afterwards.toSorted()).toEqual(['accepted', 'refused']);
        expect(ids.size).toBe(1);
        expect([['one answered with one'], ['two answered with two']]).toContainEqual([...bodies]);
        expect(await countOf(caller)).toBe(1);
      }),
      { numRuns: 40 },
    );
  });

  it('that stopped between the two writes are completed by the next, under the id that was told', async () => {
    const caller = someone();
    await expect(submitter(0, 'beforeCreate').submit(caller, submission(), 'key')).rejects.toThrow('away');
    const reserved = await database(0).idempotencyKeys.find(caller, 'key');
    expect(await countOf(caller)).toBe(0);
    const { action, repeated } = await submitter(1).submit(caller, submission(), 'key');
    expect({ id: action.id, repeated }).toEqual({ id: reserved?.actionId, repeated: true });
    expect(await countOf(caller)).toBe(1);
  });

  it.each(['reserveUnconfirmed', 'createUnconfirmed'] as const)(
    'that nobody confirmed (%s) are told to be sent again with the key, and then name the same action',
    async (stop) => {
      const caller = someone();
      const error: unknown = await submitter(0, stop)
        .submit(caller, submission(), 'key')
        .catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: 'outcomeUnknown',
        message: expect.stringMatching(/same Idempotency-Key again/) as string,
      });
      const { action } = await submitter(1).submit(caller, submission(), 'key');
      expect(action.id).toBe((error as OutcomeUnknownError).actionId);
      expect(await countOf(caller)).toBe(1);
    },
  );

  it('are told apart by what they say, and not by how it is spelled', async () => {
    const caller = someone();
    const first = await submitter(0).submit(caller, submission(), 'key');
    const { name, ...rest } = submission();
    const again = await submitter(0).submit(caller, { ...rest, name }, 'key');
    expect(again.action).toEqual(first.action);
    const others: Partial<Submission>[] = [
      { name: 'BlockUrl' },
      { name: 'blockip' },
      { actionReason: null },
      { clientContext: 'x' },
      { parameters: [{ name: 'IP', value: '1.2.3.5' }] },
      { parameters: [] },
      { vendorInformation: { ...submission().vendorInformation, subProvider: 'x' } },
      { startBefore: new Date(Date.now() + 60_000) },
    ];
    for (const other of others) {
      await expect(submitter(0).submit(caller, submission(other), 'key')).rejects.toMatchObject({
        code: 'idempotencyKeyReused',
      });
    }
    expect(await countOf(caller)).toBe(1);
  });

  it('use up no key when they fail the checks', async () => {
    const caller = someone();
    const wrong = submission({ parameters: [{ name: 'IP', value: 'nowhere' }] });
    await expect(submitter(0).submit(caller, wrong, 'key')).rejects.toMatchObject({ code: 'invalidRequest' });
    expect(await database(0).idempotencyKeys.find(caller, 'key')).toBeNull();
    expect((await submitter(0).submit(caller, submission(), 'key')).repeated).toBe(false);
  });
});

describe('a request with a key that takes too long', () => {
  it('is told that nothing was written when nothing was, and writes nothing later', async () => {
    const caller = someone();
    const { engine, answer } = slow('find');
    await expect(engine.submit(caller, submission(), 'key')).rejects.toMatchObject({
      code: 'serviceNotAvailable',
    });
    const { idempotencyKeys } = database(0);
    answer();
    // What the late one would have written by now, another has.
    await idempotencyKeys.reserve(caller, 'another', { actionId: randomUUID(), fingerprint: '' });
    await idempotencyKeys.reserve(caller, 'and another', { actionId: randomUUID(), fingerprint: '' });
    expect(await idempotencyKeys.find(caller, 'key')).toBeNull();
    expect(await countOf(caller)).toBe(0);
  });

  it.each(['reserve', 'create'] as const)(
    'is told as unknown when it waits for a write (%s), and its repeat names the same action',
    async (write) => {
      const caller = someone();
      const { engine, answer } = slow(write);
      const error: unknown = await engine
        .submit(caller, submission(), 'key')
        .catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(OutcomeUnknownError);
      answer();
      const { actionId } = error as OutcomeUnknownError;
      await eventually(() => database(0).idempotencyKeys.find(caller, 'key'));
      expect((await submitter(1).submit(caller, submission(), 'key')).action.id).toBe(actionId);
      expect(await countOf(caller)).toBe(1);
    },
  );
});

describe('repeating a create', () => {
  it('is answered as the first time, although the action has ended since', async () => {
    const caller = someone();
    const first = await submitter(0).submit(caller, submission(), 'key');
    await complete(first.action.id);
    const again = await submitter(1).submit(caller, submission(), 'key');
    const { nextAt: _first, ...told } = first.action;
    const { nextAt: _again, ...repeated } = again.action;
    expect(repeated).toEqual(told);
    expect({ first: first.repeated, again: again.repeated }).toEqual({ first: false, again: true });
    expect((await database(0).actions.find(caller.tenantId, first.action.id))?.status).toBe('Completed');
  });

  it('is accepted although its provider is gone, which a new request is not', async () => {
    const caller = someone();
    const { action } = await submitter(0).submit(caller, submission(), 'key');
    const later = submitter(1, 'nowhere', nobody);
    expect((await later.submit(caller, submission(), 'key')).action.id).toBe(action.id);
    await expect(later.submit(caller, submission(), 'other')).rejects.toThrow('known: none');
  });

  it('is accepted although too many wait, which a new request is not; that uses up no key', async () => {
    const caller = someone();
    const { action } = await submitter(0).submit(caller, submission(), 'key');
    const busy = submitter(1, 'nowhere', registry, full);
    expect((await busy.submit(caller, submission(), 'key')).action.id).toBe(action.id);
    await expect(busy.submit(caller, submission(), 'other')).rejects.toMatchObject({
      code: 'tooManyRequests',
    });
    const other = submission({ actionReason: 'Another body, which a key that was used up would refuse' });
    expect((await submitter(0).submit(caller, other, 'other')).repeated).toBe(false);
  });

  it('is accepted although its startBefore has passed, which a new request is not', async () => {
    const caller = someone();
    const startBefore = new Date(Date.now() + 400);
    const wanted = submission({ startBefore });
    const { action } = await submitter(0).submit(caller, wanted, 'key');
    await eventually(() => Date.now() > startBefore.getTime());
    expect((await submitter(1).submit(caller, wanted, 'key')).action.id).toBe(action.id);
    await expect(submitter(1).submit(caller, wanted, 'other')).rejects.toThrow('in the future');
  });

  it('runs nothing again under a retention shorter than the key', async () => {
    const caller = someone();
    const { action } = await submitter(0).submit(caller, submission(), 'key');
    const unkeyed = await submitter(0).submit(caller, submission());
    await Promise.all([complete(action.id), complete(unkeyed.action.id)]);
    const { retention } = database(0);
    const { tenantId } = caller;
    const ids = [action.id, unkeyed.action.id];
    const removable = async (): Promise<readonly string[]> =>
      (await retention.expired(tenantId, 0, 1000, null)).ids.filter((id) => ids.includes(id));
    await eventually(async () => (await removable()).length > 0);
    expect(await removable()).toEqual([unkeyed.action.id]);
    expect(await retention.remove(tenantId, 0, ids)).toBe(1);
    expect((await submitter(1).submit(caller, submission(), 'key')).action.id).toBe(action.id);
    expect((await database(0).actions.find(tenantId, action.id))?.status).toBe('Completed');
    // It stays longer than the key does.
    const stored = await collection('actions').findOne({ appId: caller.appId });
    const keyEndsAt = new Date(action.createdAt.getTime() + 24 * 3_600_000);
    expect(stored).toMatchObject({ keptUntil: expect.any(Date) as Date });
    expect(Number(stored?.['keptUntil'])).toBeGreaterThan(Number(keyEndsAt));
    await collection('actions').updateOne(
      { appId: caller.appId },
      { $set: { keptUntil: new Date(Date.now() - 60_000) } },
    );
    expect(await removable()).toEqual([action.id]);
  });

  it('without a key is another action', async () => {
    const caller = someone();
    await submitter(0).submit(caller, submission());
    await submitter(0).submit(caller, submission());
    expect(await countOf(caller)).toBe(2);
  });
});
