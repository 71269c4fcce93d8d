import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ConsoleSessions, KnownDevices, LocalSignIn } from '#auth';
import { OperationalError, OutcomeUnknownError } from '#domain';
import { connectDatabase, type Database } from '#persistence';
import { claimOf, CALLER, TENANT_A, TENANT_B, newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startFailingMongod, type FailingMongod } from '../support/failing-mongod.js';
import { PASSWORD, makeOperator } from '../support/operators.js';

let mongod: FailingMongod;
let database: Database;
/** Gives up at once: what one try comes to. */
let hasty: Database;

beforeAll(async () => {
  mongod = await startFailingMongod();
  database = await connectDatabase(mongod.uri, { appName: 'riposte-test' });
  hasty = await connectDatabase(mongod.uri, {
    appName: 'riposte-test',
    retryBudgetMs: 0,
    serverSelectionMs: 500,
  });
});
afterEach(() => failCommands('off', {}));
afterAll(async () => {
  await Promise.all([database.close(), hasty.close()]);
  await mongod.stop();
});

const failCommands: FailingMongod['failCommands'] = (...given) => mongod.failCommands(...given);

/** Applied, and then not confirmed by a majority, for a reason that the driver does not call retryable. */
const unconfirmed = (command: string) => ({
  failCommands: [command],
  writeConcernError: { code: 100, codeName: 'UnsatisfiableWriteConcern', errmsg: 'not enough members' },
});

describe('a write that was applied but not confirmed by a majority', () => {
  it('is repeated, and a create is one action all the same', async () => {
    await failCommands({ times: 2 }, unconfirmed('insert'));
    const action = await database.actions.create(newAction());
    expect(await database.actions.find(CALLER.tenantId, action.id)).toEqual(action);
    expect(await database.search.count(CALLER.tenantId, null)).toBe(1);
  });

  it('is repeated by whoever holds the lease, too', async () => {
    const { id } = await database.actions.create(newAction());
    await failCommands({ times: 1 }, unconfirmed('update'));
    const claim = await claimOf(database.actions.claim(id, 'worker/1', 60_000, '1.0.0'));
    expect(claim).toMatchObject({ action: { id, epoch: 1 } });
    if (claim === null) return;
    await failCommands({ times: 1 }, unconfirmed('findAndModify'));
    expect(await database.actions.recordIntent(claim.lease, '1.0.0')).toMatchObject({
      intent: { epoch: 1, attempt: 1 },
    });
    await failCommands({ times: 1 }, unconfirmed('findAndModify'));
    expect(await database.actions.handOver(claim.lease)).toMatchObject({ owner: null, epoch: 1 });
    const next = await claimOf(database.actions.claim(id, 'worker/2', 60_000, '1.0.0'));
    if (next === null) throw new Error('not claimed');
    await failCommands({ times: 1 }, unconfirmed('update'));
    expect(await database.actions.complete(next.lease, null)).toBe(true);
  });

  it('is told as something that passes to who sweeps, whatever is written', async () => {
    const { id } = await database.actions.create(newAction());
    const lift = {
      id,
      tenantId: TENANT_A,
      appId: CALLER.appId,
      instance: 'mock',
      effectUntil: new Date(),
      dueAt: new Date(),
    };
    const passes = { code: 'serviceNotAvailable' };
    await failCommands('alwaysOn', unconfirmed('findAndModify'));
    await expect(hasty.actions.wakeNext('a target')).rejects.toMatchObject(passes);
    await failCommands('alwaysOn', unconfirmed('update'));
    await expect(hasty.actions.closeOverdue(id, 0)).rejects.toMatchObject(passes);
    const waiting = { reason: 'quota', until: null, blockedBy: null } as const;
    await expect(hasty.actions.throttle([id], 0, waiting)).rejects.toMatchObject(passes);
    await expect(
      hasty.lifts.postpone({ ...lift, readAt: new Date(), revertedBy: null, isOver: true, tries: 0 }, null),
    ).rejects.toMatchObject(passes);
  });

  it.each([
    ['create', 'insert', (id: string) => hasty.actions.create(newAction({ id }))],
    ['cancel', 'findAndModify', (id: string) => hasty.actions.requestCancel(CALLER, id)],
  ] as const)(
    'is told as unknown, with its id, when nothing confirms it: %s',
    async (what, command, write) => {
      const { id } = what === 'cancel' ? await database.actions.create(newAction()) : newAction();
      await failCommands('alwaysOn', unconfirmed(command));
      const error = await write(id).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(OutcomeUnknownError);
      expect(error).toMatchObject({ code: 'outcomeUnknown', actionId: id });
      await failCommands('off', {});
      // Nobody waited for the majority; what is read is what it has.
      const status = what === 'cancel' ? 'Failed' : 'NotStarted';
      await eventually(async () => (await database.actions.find(CALLER.tenantId, id))?.status === status);
    },
  );
});

describe('a write for which the server ran out of time', () => {
  const outOfTime = (command: string) => ({ failCommands: [command], errorCode: 50 });

  it('is repeated', async () => {
    const { id } = await database.actions.create(newAction());
    await failCommands({ times: 1 }, outOfTime('findAndModify'));
    expect(await claimOf(database.actions.claim(id, 'worker/1', 60_000, '1.0.0'))).toMatchObject({
      lease: { epoch: 1 },
    });
  });

  it('is told as unknown when no try was in time', async () => {
    await failCommands('alwaysOn', outOfTime('insert'));
    await expect(hasty.actions.create(newAction())).rejects.toBeInstanceOf(OutcomeUnknownError);
  });
});

describe('claims that went together, where what came of them could not be read', () => {
  it('are given to those who made them', async () => {
    const actions = await Promise.all([1, 2, 3].map(() => database.actions.create(newAction())));
    // No reason that passes: each is looked at by itself.
    await failCommands({ times: 1 }, { failCommands: ['find'], errorCode: 175 });
    const answers = await Promise.all(
      actions.map(({ id }) => database.actions.claim(id, `worker/${id}`, 60_000, '1.0.0')),
    );
    expect(answers.map((answer) => answer.kind === 'claimed' && answer.claim.lease)).toEqual(
      actions.map(({ id }) => ({ actionId: id, epoch: 1, owner: `worker/${id}` })),
    );
  });
});

describe('what is told of a write that was applied and repeated', () => {
  const subscribed = () =>
    database.subscriptions.create({
      kind: 'subscription',
      id: randomUUID(),
      ...CALLER,
      actionId: null,
      changeTypes: ['created'],
      hasLifecycleUrl: true,
      sealed: '',
      expiresAt: new Date(Date.now() + 3_600_000),
    });

  it('is that a subscription was removed, once', async () => {
    const { id } = await subscribed();
    await failCommands({ times: 1 }, unconfirmed('delete'));
    expect(await database.subscriptions.remove(CALLER, id)).toBe(true);
    expect(await database.subscriptions.remove(CALLER, id)).toBe(false);
  });

  it('is how many notifications were given up, and none where another worker has them', async () => {
    await database.subscriptions.addLifecycle(await subscribed(), 'missed', '1');
    const take = (leaseMs: number) => database.subscriptions.take(1, leaseMs, () => 1);
    const [first] = await take(0);
    const [second] = await take(60_000);
    if (first === undefined || second === undefined) throw new Error('none was taken');
    await failCommands({ times: 1 }, unconfirmed('update'));
    expect(await database.subscriptions.bury(first, 0, 'away')).toBe(0);
    await failCommands({ times: 1 }, unconfirmed('update'));
    expect(await database.subscriptions.bury(second, 0, 'away')).toBe(1);
  });

  it('is that an account was removed, or taken out of a tenant', async () => {
    const grants = [TENANT_A, TENANT_B].map((tenantId) => ({ tenantId, role: 'Viewer' }) as const);
    const name = randomUUID();
    await makeOperator(database, name, { grants });
    await failCommands({ times: 1 }, unconfirmed('update'));
    expect(await database.operators.remove(name, TENANT_A)).toBe(true);
    expect(await database.operators.remove(name, TENANT_A)).toBe(false);
    await failCommands({ times: 1 }, unconfirmed('delete'));
    expect(await database.operators.remove(name, TENANT_B)).toBe(true);
    expect(await database.operators.find(name)).toBeNull();
  });
});

describe('the rights of an account', () => {
  it('change together, by one write: where the database fails after it, none is left as it was', async () => {
    const name = randomUUID();
    await makeOperator(database, name, { role: 'Viewer' });
    await failCommands({ skip: 1 }, { failCommands: ['update'], errorCode: 11_602 });
    const grant = { tenantId: TENANT_A, role: 'Administrator' } as const;
    expect(await hasty.operators.setRights(name, { grant, operates: true })).toBe(true);
    await failCommands('off', {});
    expect(await database.operators.find(name)).toMatchObject({ grants: [grant], operates: true });
  });
});

describe('signing in while the database is in trouble', () => {
  it('is answered with what passes, where a write is not confirmed', async () => {
    const name = randomUUID();
    await makeOperator(database, name);
    const account = await database.operators.find(name);
    if (account === null) throw new Error('it was not made');
    const limits = { idleMs: 60_000, lastsMs: 60_000 };
    const sessions = new ConsoleSessions(hasty.sessions, limits, () => true);
    await failCommands('alwaysOn', unconfirmed('update'));
    await expect(sessions.begin({ kind: 'local', account }, account.grants)).rejects.toMatchObject({
      code: 'serviceNotAvailable',
    });
    await expect(hasty.operators.endSessions(name)).rejects.toMatchObject({ code: 'serviceNotAvailable' });
  });

  it('counts as no failure of whoever tries', async () => {
    const name = randomUUID();
    await makeOperator(database, name);
    const signIn = new LocalSignIn(hasty.operators, new KnownDevices(new Uint8Array(32)), {
      ofName: 1,
      ofAddress: 1,
    });
    const tried = () => signIn.check(name, PASSWORD, { address: '192.0.2.1', device: null });
    await failCommands('alwaysOn', { failCommands: ['find'], errorCode: 11_602 });
    await expect(tried()).rejects.toMatchObject({ code: 'serviceNotAvailable' });
    await expect(tried()).rejects.toMatchObject({ code: 'serviceNotAvailable' });
    await failCommands('off', {});
    expect((await tried()).name).toBe(name);
  });
});

describe('a sign of life of a worker that starts while connections break', () => {
  it('is given all the same, and so are those that are alive counted', async () => {
    await failCommands({ times: 2 }, { failCommands: ['update', 'aggregate'], closeConnection: true });
    await database.workers.beat('worker/1', { version: '1.2.3', running: 0, instances: [], lastSweep: null });
    await failCommands({ times: 2 }, { failCommands: ['update', 'aggregate'], closeConnection: true });
    expect(await database.workers.countAlive(60_000)).toBe(1);
  });
});

describe('a write whose server dies', () => {
  it('is told as unknown also when no server is found afterwards', async () => {
    const { id } = await database.actions.create(newAction());
    const entered = await failCommands('alwaysOn', {
      failCommands: ['findAndModify'],
      blockConnection: true,
      blockTimeMS: 60_000,
    });
    const answer = expect(hasty.actions.requestCancel(CALLER, id)).rejects.toBeInstanceOf(
      OutcomeUnknownError,
    );
    const [member] = mongod.members;
    await member?.command({ waitForFailPoint: 'failCommand', timesEntered: entered + 1, maxTimeMS: 20_000 });
    await member?.kill();
    // The driver, left to itself, would look for a server again, and forget that the write had been sent.
    await answer;
    // What comes now is not sent at all.
    await expect(hasty.actions.requestCancel(CALLER, id)).rejects.toBeInstanceOf(OperationalError);
    await member?.restart();
  });
});
