import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '#persistence';
import { CALLER, claimOf, freshDatabase, newAction } from '../support/database.js';

let database: Database;
beforeAll(async () => {
  database = await freshDatabase();
});

async function started(instance: string) {
  const action = newAction({ id: randomUUID(), instance });
  await database.actions.create(action);
  const claim = await claimOf(database.actions.claim(action.id, 'worker', 15_000, '1.0.0'));
  if (claim === null) throw new Error('not claimed');
  return claim.lease;
}

describe('the calls on record, from which a quota is filled again', () => {
  it('hold one that is under way, and one that has ended once however long ago', async () => {
    const instance = randomUUID();
    await database.actions.complete(await started(instance), null);
    // Long enough that polls would be reckoned of a call that were taken for one under way.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await started(instance);
    const calls = await database.recentCalls.recentCalls(instance, 60_000);
    expect(calls.map(({ purpose }) => purpose)).toEqual(['start', 'start']);
    expect(calls.every(({ actionName }) => actionName === 'BlockIp')).toBe(true);
  });

  it('are of this instance and of this period alone', async () => {
    const instance = randomUUID();
    await database.actions.complete(await started(instance), null);
    await started(randomUUID());
    expect(await database.recentCalls.recentCalls(instance, 60_000)).toHaveLength(1);
    expect(await database.recentCalls.recentCalls(randomUUID(), 60_000)).toEqual([]);
  });
});

describe('a paused instance', () => {
  it('keeps who paused it first and why until it is resumed, and its health beside it', async () => {
    const instance = randomUUID();
    await database.instances.reportHealth(instance, { ok: true, message: 'fine' });
    await database.instances.pause(instance, CALLER, 'maintenance');
    await database.instances.pause(instance, CALLER, '$another');
    const found = (await database.instances.list()).find((one) => one.instance === instance);
    expect(found).toMatchObject({
      paused: { by: { appId: CALLER.appId }, reason: 'maintenance' },
      health: { ok: true, message: 'fine' },
    });
    expect(await database.instances.resume(instance)).toMatchObject({ paused: null, health: { ok: true } });
  });
});
