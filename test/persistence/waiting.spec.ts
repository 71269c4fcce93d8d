import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { afterAll, describe, expect, it } from 'vitest';
import { connectDatabase } from '#persistence';
import { claimOf, CALLER, freshDatabaseUri, newAction } from '../support/database.js';

describe('what waits for a provider instance, or for somebody', async () => {
  const uri = freshDatabaseUri();
  const database = await connectDatabase(uri, { appName: 'riposte-test' });
  const raw = await mongoose.createConnection(uri).asPromise();
  afterAll(() => Promise.all([raw.close(), database.close()]));
  const { actions } = database;

  const create = (instance: string, times: number) =>
    Promise.all(Array.from({ length: times }, () => actions.create(newAction({ instance }))));

  it('counts what was not started, of this instance alone, and no further than it is told', async () => {
    const [instance, other] = [randomUUID(), randomUUID()];
    const [claimed, cancelled] = await create(instance, 5);
    await create(other, 1);
    expect(await actions.countWaiting(instance, 10)).toBe(5);
    expect(await actions.countWaiting(instance, 3)).toBe(3);
    await claimOf(actions.claim(claimed?.id ?? '', 'worker-1', 20_000, '1.0.0'));
    await actions.requestCancel(CALLER, cancelled?.id ?? '');
    expect(await actions.countWaiting(instance, 10)).toBe(3);
    expect(await actions.countWaiting(other, 10)).toBe(1);
    expect(await actions.countWaiting(randomUUID(), 10)).toBe(0);
  });

  it('reads the index alone', async () => {
    const instance = randomUUID();
    await create(instance, 20);
    const { executionStats } = (await raw
      .collection('actions')
      .find({ instance, status: 'NotStarted' }, { projection: { _id: 0, status: 1 } })
      .hint({ instance: 1, status: 1 })
      .explain('executionStats')) as { executionStats: Record<string, number> };
    expect(executionStats).toMatchObject({ totalKeysExamined: 20, totalDocsExamined: 0 });
  });

  it('knows the longest waiting, whatever order their ids have', async () => {
    const instance = randomUUID();
    expect(await actions.oldestWaiting(instance)).toBeNull();
    const made = [];
    for (let index = 0; index < 5; index += 1) made.push(await actions.create(newAction({ instance })));
    for (const { id, createdAt } of made) {
      expect(await actions.oldestWaiting(instance)).toEqual(createdAt);
      // Put aside, it waits still.
      await actions.throttle([id], 60_000, { reason: 'paused', until: null, blockedBy: null });
      expect(await actions.oldestWaiting(instance)).toEqual(createdAt);
      await actions.requestCancel(CALLER, id);
    }
    expect(await actions.oldestWaiting(instance)).toBeNull();
  });

  it('counts what nobody has resolved by instances, and no further than it is told', async () => {
    const instance = randomUUID();
    const made = await create(instance, 3);
    for (const { id } of made) {
      const claim = await claimOf(actions.claim(id, 'worker-1', 20_000, '1.0.0'));
      if (claim === null) throw new Error('it could not be claimed');
      if (!claim.freshIntent) await actions.recordIntent(claim.lease, '1.0.0');
      await actions.fail(claim.lease, {
        phase: 'outcomeUnknown',
        errorInfo: { code: 520, subcode: 0, message: 'Nobody knows.' },
      });
    }
    expect((await actions.countUnresolved(100)).get(instance)).toBe(3);
    expect((await actions.countUnresolved(2)).get(instance)).toBe(2);
    await actions.resolve(CALLER, made[0]?.id ?? '', { verdict: 'applied', note: 'It is there.' });
    expect((await actions.countUnresolved(100)).get(instance)).toBe(2);
  });
});
