import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  OperationalError,
  OutcomeUnknownError,
  UserError,
  type ActionQueue,
  type ActionStore,
  type Caller,
} from '#domain';
import { BlastRadius, ProviderRegistry, RevertAction, SubmitAction, type Submission } from '#engine';
import { connectDatabase, type Database } from '#persistence';
import { plugins } from '#plugins';
import { createLogger } from '#telemetry';
import { TENANT_A, claimOf, freshDatabaseUri } from '../support/database.js';
import { FINGERPRINT_KEY, SEAL } from '../support/secrets.js';

/** How much one application can shut off: by several API processes, by their engines, on one database. */

const PER_HOUR = 5;
const instanceOf = (id: string, subProvider?: string) => ({
  id,
  plugin: 'mock',
  tenants: ['*'],
  settings: {},
  secrets: {},
  concurrency: 16,
  subProvider,
});
const registry = new ProviderRegistry([instanceOf('mock'), instanceOf('large', 'large')], plugins);
const queue: ActionQueue = {
  hint: () => Promise.resolve(true),
  hintMany: () => Promise.resolve(true),
  incarnation: () => Promise.resolve('one'),
  announceCancel: () => Promise.resolve(true),
};
const log = createLogger('riposte-test', 'silent');
const admission = { admit: () => Promise.resolve() };

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

function submitter(
  index = 0,
  { perHour = PER_HOUR, create }: { perHour?: number; create?: ActionStore['create'] } = {},
): SubmitAction {
  const database = databases[index % 2] as Database;
  const { actions, blastCounts, idempotencyKeys: keys } = database;
  const store = {
    find: (tenantId: string, id: string) => actions.find(tenantId, id),
    create: create ?? ((action) => actions.create(action)),
  } as ActionStore;
  const blastRadius = new BlastRadius({
    counts: blastCounts,
    limits: { isolation: perHour },
    ofInstances: new Map([['large', { isolation: 2 * PER_HOUR }]]),
    log,
  });
  return new SubmitAction({
    store,
    keys,
    queue,
    registry,
    admission,
    blastRadius,
    seal: SEAL,
    fingerprintKey: FINGERPRINT_KEY,
    log,
  });
}

const somebody = (): Caller => ({ tenantId: TENANT_A, appId: randomUUID(), user: null });

function isolate(overrides: Partial<Submission> = {}): Submission {
  return {
    name: 'IsolateMachine',
    actionReason: null,
    clientContext: null,
    parameters: [{ name: 'MachineId', value: `host-${randomUUID()}` }],
    vendorInformation: { vendor: 'Mock', provider: 'Mock', providerVersion: null, subProvider: null },
    startBefore: null,
    effectUntil: null,
    ...overrides,
  };
}

async function outcomes(
  calls: readonly Promise<unknown>[],
): Promise<{ accepted: number; refused: UserError[] }> {
  const settled = await Promise.allSettled(calls);
  const refused = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason as UserError] : []));
  for (const error of refused) expect(error).toBeInstanceOf(UserError);
  return { accepted: settled.length - refused.length, refused };
}

async function fill(caller: Caller): Promise<void> {
  await Promise.all(Array.from({ length: PER_HOUR }, (_none, at) => submitter(at).submit(caller, isolate())));
}

/** As if what was counted had been asked for so long ago. */
async function age(ms: number): Promise<void> {
  await connection.collection('blastCounts').updateMany({}, [
    {
      $set: {
        taken: {
          $map: {
            input: '$taken',
            in: { $mergeObjects: ['$$this', { at: { $subtract: ['$$this.at', ms] } }] },
          },
        },
      },
    },
  ]);
}

describe('the blast radius of an application', () => {
  it('lets exactly as many through as configured, by however many at the same time over two processes', async () => {
    const caller = somebody();
    const { accepted, refused } = await outcomes(
      Array.from({ length: 4 * PER_HOUR }, (_none, at) => submitter(at).submit(caller, isolate())),
    );
    expect(accepted).toBe(PER_HOUR);
    expect(await connection.collection('actions').countDocuments({ appId: caller.appId })).toBe(PER_HOUR);
    for (const { code, message } of refused) {
      expect(code).toBe('accessDenied');
      expect(message).toMatch(
        /as many actions of the class "isolation" as it may in an hour: 5 \(limits\.blastRadius\.isolation\.perHour\)\. The next is possible at (\S+)\. Nothing was done\./,
      );
      const free = Date.parse(/possible at (\S+)\./.exec(message)?.[1] ?? '');
      expect(free - Date.now()).toBeGreaterThan(3_500_000);
      expect(free - Date.now()).toBeLessThan(3_700_000);
    }
  });

  it('is its own: of the tenant, of the application, and of the class', async () => {
    const caller = somebody();
    await fill(caller);
    await expect(submitter().submit(caller, isolate())).rejects.toThrow('limits.blastRadius');
    await submitter().submit(somebody(), isolate());
    await submitter().submit({ ...caller, tenantId: randomUUID() }, isolate());
    await submitter().submit(caller, isolate({ name: 'UnisolateMachine' }));
    await expect(
      submitter().submit(
        { ...caller, appId: caller.appId.toUpperCase() },
        isolate({ name: 'isolateDevice' }),
      ),
    ).rejects.toThrow('limits.blastRadius');
  });

  it('has room again as what was asked for leaves the hour', async () => {
    const caller = somebody();
    await fill(caller);
    await age(3_590_000);
    await expect(submitter().submit(caller, isolate())).rejects.toThrow('limits.blastRadius');
    await age(20_000);
    await submitter().submit(caller, isolate());
  });

  it('does not count what was refused, what was invalid, and what could not be recorded', async () => {
    const caller = somebody();
    const away: ActionStore['create'] = () =>
      Promise.reject(new OperationalError('serviceNotAvailable', 'away', 1));
    for (let turn = 0; turn < PER_HOUR + 1; turn += 1) {
      await expect(submitter().submit(caller, isolate({ parameters: [] }))).rejects.toThrow('MachineId');
      await expect(submitter(0, { create: away }).submit(caller, isolate())).rejects.toThrow('away');
      await expect(submitter(0, { create: away }).submit(caller, isolate(), `k${turn}`)).rejects.toThrow(
        'away',
      );
    }
    await fill(caller);
    for (let turn = 0; turn < PER_HOUR; turn += 1)
      await expect(submitter().submit(caller, isolate())).rejects.toThrow('limits.blastRadius');
    await age(3_600_001);
    await submitter().submit(caller, isolate());
  });

  it('counts what may have been recorded', async () => {
    const caller = somebody();
    const unconfirmed: ActionStore['create'] = ({ id }) => Promise.reject(new OutcomeUnknownError(id));
    for (let turn = 0; turn < PER_HOUR; turn += 1)
      await expect(submitter(0, { create: unconfirmed }).submit(caller, isolate())).rejects.toThrow(
        'confirm',
      );
    await expect(submitter().submit(caller, isolate())).rejects.toThrow('limits.blastRadius');
  });

  it('counts a request with a key once, and answers its repeat when there is no room any more', async () => {
    const caller = somebody();
    const wanted = isolate();
    const { action } = await submitter().submit(caller, wanted, 'key');
    for (let turn = 0; turn < PER_HOUR; turn += 1) await submitter(turn).submit(caller, wanted, 'key');
    for (let turn = 1; turn < PER_HOUR; turn += 1) await submitter(turn).submit(caller, isolate());
    expect((await submitter(1).submit(caller, wanted, 'key')).action.id).toBe(action.id);
    await expect(submitter().submit(caller, isolate(), 'other')).rejects.toThrow('limits.blastRadius');
    // What is refused uses up no key.
    await age(3_600_001);
    expect((await submitter().submit(caller, isolate(), 'other')).repeated).toBe(false);
  });

  it('counts requests with one key at the same time once', async () => {
    const caller = somebody();
    const wanted = isolate();
    await Promise.all(
      Array.from({ length: 12 }, (_none, at) => submitter(at, { perHour: 20 }).submit(caller, wanted, 'key')),
    );
    const { accepted } = await outcomes(
      Array.from({ length: 2 * PER_HOUR }, (_none, at) => submitter(at).submit(caller, isolate())),
    );
    expect(accepted).toBe(PER_HOUR - 1);
  });

  it('is off with 0, and an instance may have one of its own', async () => {
    const caller = somebody();
    for (let turn = 0; turn < 2 * PER_HOUR; turn += 1)
      await submitter(0, { perHour: 0 }).submit(caller, isolate());
    const large = { vendor: 'Mock', provider: 'Mock', providerVersion: null, subProvider: 'large' };
    const { accepted, refused } = await outcomes(
      Array.from({ length: 3 * PER_HOUR }, (_none, at) =>
        submitter(at).submit(caller, isolate({ vendorInformation: large })),
      ),
    );
    expect(accepted).toBe(2 * PER_HOUR);
    expect(refused[0]?.message).toContain(
      '10 (limits.blastRadius.isolation.perHour of the provider instance "large")',
    );
    await fill(caller);
  });

  it('does not keep anything from being let go again', async () => {
    const caller = somebody();
    const { action } = await submitter().submit(caller, isolate());
    for (let turn = 1; turn < PER_HOUR; turn += 1) await submitter().submit(caller, isolate());
    const { actions: store } = databases[0] as Database;
    const claim = await claimOf(store.claim(action.id, 'test/1', 60_000, '1.0.0'));
    if (claim === null) throw new Error('not claimed');
    await store.complete(claim.lease, null);
    const revert = new RevertAction({ store, queue, registry, admission, log });
    expect(await revert.revert(caller, action.id)).toMatchObject({ repeated: false });
  });
});
