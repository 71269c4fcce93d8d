import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import type { NewAction } from '#domain';
import { connectDatabase, type Database } from '#persistence';
import { Random } from '../support/random.js';
import { ACTIONS, TENANT } from './contestant.js';

/** Those whose actions a history is made of, the one whose actions the product is asked for among them. */
export const TENANTS: readonly string[] = [TENANT, ...Array.from({ length: 19 }, () => randomUUID())];

const BATCH = 5000;
/** Actions after which it is told how many there are. */
const TOLD_EVERY = 200_000;
/** The history that the actions are spread over, evenly, where nothing else is said. */
const HISTORY_MS = 90 * 86_400_000;

/** An action that is ready to be recorded. */
export function newAction(): NewAction {
  return {
    id: randomUUID(),
    caller: { tenantId: TENANT, appId: TENANT, user: null },
    name: 'BlockIp',
    actionReason: 'Seen in three alerts of the last hour.',
    clientContext: 'case 4711',
    parameters: [{ name: 'IP', value: '1.2.3.4' }],
    vendorInformation: { vendor: 'Mock', provider: 'Mock', providerVersion: null, subProvider: null },
    instance: 'mock',
    actionName: 'BlockIp',
    providerVersion: '1.0.0',
    idempotency: 'natural',
    deadlineMs: 3_600_000,
    startBefore: null,
  };
}

/** Records an action and takes it through claim and end, as an API and a worker do. */
export async function carriedOut({ actions }: Database): Promise<void> {
  const { id } = await actions.create(newAction());
  const answer = await actions.claim(id, 'bench', 30_000, '1.0.0');
  if (answer.kind !== 'claimed') throw new Error('a new action could not be claimed');
  await actions.complete(answer.claim.lease, { rule: 'riposte-0001', applied: true });
}

/**
 * Fills a database with actions that ended, as the store leaves them; one in twenty failed. It has no indexes then.
 * @param options milliseconds up to now that they are spread over, evenly; and whose they are, each by chance
 */
export async function fillHistory(
  uri: string,
  count: number,
  onProgress: (done: number) => void,
  {
    overMs = HISTORY_MS,
    tenants = TENANTS,
  }: { readonly overMs?: number; readonly tenants?: readonly string[] } = {},
): Promise<void> {
  const template = await endedAction(uri);
  const client = await new mongoose.mongo.MongoClient(uri, { writeConcern: { w: 1 } }).connect();
  try {
    const collection = client.db().collection(ACTIONS);
    // They are made again when all is there, which is quicker than keeping them.
    await collection.drop();
    const random = new Random(count);
    const begin = Date.now() - overMs;
    for (let done = 0; done < count; done += BATCH) {
      const documents = Array.from({ length: Math.min(BATCH, count - done) }, (_, index) =>
        variant(template, random, tenants, new Date(begin + ((done + index) / count) * overMs)),
      );
      await collection.insertMany(documents, { ordered: false });
      if (done > 0 && done % TOLD_EVERY === 0) onProgress(done);
    }
  } finally {
    await client.close();
  }
}

async function endedAction(uri: string): Promise<mongoose.mongo.BSON.Document> {
  const database = await connectDatabase(uri, { appName: 'riposte-bench' });
  const client = await new mongoose.mongo.MongoClient(uri).connect();
  try {
    await carriedOut(database);
    const document = await client.db().collection(ACTIONS).findOne();
    if (document === null) throw new Error('an action that ended is not there');
    return document;
  } finally {
    await client.close();
    await database.close();
  }
}

function variant(
  template: mongoose.mongo.BSON.Document,
  random: Random,
  tenants: readonly string[],
  createdAt: Date,
): mongoose.mongo.BSON.Document {
  const failed = random.chance(0.05);
  const endedAt = new Date(createdAt.getTime() + random.between(20, 5000));
  const times = [createdAt, createdAt, endedAt];
  const states = template['states'] as readonly object[];
  return {
    ...template,
    _id: new mongoose.mongo.UUID(),
    tenantId: random.pick(tenants),
    name: random.pick(['BlockIp', 'BlockUrl', 'BlockFile', 'IsolateMachine']),
    parameters: [
      {
        name: 'IP',
        value: `10.${random.between(0, 255)}.${random.between(0, 255)}.${random.between(0, 255)}`,
      },
    ],
    status: failed ? 'Failed' : 'Completed',
    phase: failed ? 'failed' : 'done',
    errorInfo: failed ? { code: 404, subcode: 404, message: 'The target is not known to the vendor.' } : null,
    states: states.map((state, index) => ({
      ...state,
      updatedAt: times[index],
      ...(failed && index === states.length - 1 ? { status: 'Failed' } : {}),
    })),
    createdAt,
    lastActionAt: endedAt,
    completedAt: endedAt,
  };
}
