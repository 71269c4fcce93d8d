import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { afterAll, describe, expect, it } from 'vitest';
import { connectDatabase } from '#persistence';
import { claimOf, CALLER, freshDatabaseUri, newAction } from '../support/database.js';

describe('counting what waits for a provider instance', async () => {
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
});
