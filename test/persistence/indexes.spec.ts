import mongoose from 'mongoose';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { ConfigurationError } from '#domain';
import { INDEXES, ensureIndexes, indexStates, type IndexState } from '#persistence';
import { freshDatabaseUri } from '../support/database.js';

const uri = freshDatabaseUri();
const client = new mongoose.mongo.MongoClient(uri, { monitorCommands: true });
const db = client.db();
const commands: string[] = [];
client.on('commandStarted', ({ commandName }) => commands.push(commandName));
afterAll(async () => {
  await db.dropDatabase();
  await client.close();
});
beforeEach(async () => {
  await ensureIndexes(db);
  commands.length = 0;
});

const WAITING = { collection: 'actions', name: 'instance_1_status_1' } as const;

async function statesBut(state: IndexState['state']): Promise<readonly IndexState[]> {
  return (await indexStates(db)).filter((index) => index.state !== state);
}

describe('the indexes of a database', () => {
  it('are those that the product declares, after a start', async () => {
    expect(await statesBut('ready')).toEqual([]);
    expect(await indexStates(db)).toHaveLength(INDEXES.flatMap(({ indexes }) => indexes).length);
    expect(await indexStates(db)).toContainEqual({ ...WAITING, state: 'ready' });
  });

  it('are all missing from an empty one', async () => {
    await db.dropDatabase();
    expect(await statesBut('missing')).toEqual([]);
  });

  it('are left alone where all are there: a start needs no privilege to make one', async () => {
    await ensureIndexes(db);
    expect(new Set(commands)).toEqual(new Set(['listIndexes']));
  });

  it('are made where one is missing, whatever else there is', async () => {
    await db.collection('actions').dropIndex(WAITING.name);
    await db.collection('actions').createIndex({ ofTheirOwn: 1 });
    expect(await statesBut('ready')).toEqual([{ ...WAITING, state: 'missing' }]);
    await ensureIndexes(db);
    expect(await statesBut('ready')).toEqual([]);
    await db.collection('actions').dropIndex('ofTheirOwn_1');
  });

  it('stop the start where one is there with other options, in words', async () => {
    const sessions = db.collection('sessions');
    await sessions.dropIndex('idleUntil_1');
    await sessions.createIndex({ idleUntil: 1 }, { expireAfterSeconds: 60 });
    expect(await statesBut('ready')).toEqual([
      { collection: 'sessions', name: 'idleUntil_1', state: 'different' },
    ]);
    await expect(ensureIndexes(db)).rejects.toThrow(ConfigurationError);
    await expect(ensureIndexes(db)).rejects.toThrow(/sessions.*idleUntil_1/);
    await sessions.dropIndex('idleUntil_1');
  });

  it('count by what they are, not by their name', async () => {
    const sessions = db.collection('sessions');
    await sessions.dropIndex('personId_1');
    await sessions.createIndex({ personId: 1 }, { name: 'made-by-hand' });
    expect(await statesBut('ready')).toEqual([]);
    await sessions.dropIndex('made-by-hand');
  });
});
