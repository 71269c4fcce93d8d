import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorInfo } from '#domain';
import { connectDatabase, type Database } from '#persistence';
import { CALLER, claimOf, newAction } from '../support/database.js';
import { startFailingMongod, type FailingMongod } from '../support/failing-mongod.js';

/** Longer than a try is waited for. */
const BLOCKED_MS = 7000;

let mongod: FailingMongod;
let database: Database;

beforeAll(async () => {
  mongod = await startFailingMongod();
  database = await connectDatabase(mongod.uri, { appName: 'riposte-test' });
});
afterAll(async () => {
  await database.close();
  await mongod.stop();
});

/** Runs a write whose first try the server holds up, and what follows it, until that try would have gone on. */
async function heldUp(command: string, run: () => Promise<void>): Promise<void> {
  await mongod.failCommands(
    { times: 1 },
    { failCommands: [command], blockConnection: true, blockTimeMS: BLOCKED_MS },
  );
  const isOver = sleep(BLOCKED_MS + 1000);
  await run();
  await isOver;
}

describe('a try that the server holds up longer than it is waited for', () => {
  it('is no second claim after its repeat', async () => {
    const { id } = await database.actions.create(newAction({ idempotency: 'natural' }));
    await heldUp('findAndModify', async () => {
      const claim = await claimOf(database.actions.claim(id, 'worker/1', 60_000, '1.0.0'));
      if (claim === null) throw new Error('it could not be claimed');
      await database.actions.retry(claim.lease, {
        error: errorInfo(503, 'away'),
        applied: 'no',
        delayMs: 0,
        phase: 'retrying',
        sawCancel: false,
      });
    });
    expect(await database.actions.find(CALLER.tenantId, id)).toMatchObject({ owner: null, epoch: 1 });
    // No claim stands that nobody carries out.
    expect((await database.actions.requestCancel(CALLER, id)).kind).toBe('cancelled');
  });

  it('is given up by the server before it is repeated, whatever it is', async () => {
    const { id } = await database.actions.create(newAction());
    await heldUp('update', async () => {
      await database.actions.throttle([id], 0, { reason: 'quota', until: null, blockedBy: null });
      await database.actions.throttle([id], 0, { reason: 'paused', until: null, blockedBy: null });
    });
    expect(await database.actions.find(CALLER.tenantId, id)).toMatchObject({ waiting: { reason: 'paused' } });
  });
});
