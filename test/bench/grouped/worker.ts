import { randomUUID } from 'node:crypto';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import mongoose from 'mongoose';
import { gathering } from './gathering.js';

/**
 * The other half of the quick yardstick: claims and ends go in guarded `bulkWrite`s. A bulk write does not say which of
 * its updates matched, so each claim leaves a token of its own, and the group is read back to see which are there.
 */

interface Action {
  readonly _id: string;
  readonly status: string;
  readonly claim?: string;
  readonly states: object[];
}
interface Claim {
  readonly id: string;
  readonly token: string;
}
interface End extends Claim {
  readonly calledAt: number;
}

const [, , uri = '', redisUrl = ''] = process.argv;
const client = new mongoose.mongo.MongoClient(uri, { writeConcern: { w: 'majority' }, maxPoolSize: 50 });
const actions = client.db().collection<Action>('actions');

const claim = gathering<Claim, boolean>(async (claims) => {
  await actions.bulkWrite(
    claims.map(({ id, token }) => ({
      updateOne: {
        filter: { _id: id, status: 'NotStarted' },
        update: {
          $set: { status: 'Running', claim: token },
          $push: { states: { status: 'Running', at: new Date() } },
        },
      },
    })),
    { ordered: false },
  );
  const found = await actions.find({ _id: { $in: claims.map(({ id }) => id) } }).toArray();
  const tokens = new Map(found.map(({ _id: id, claim: token }) => [id, token]));
  return claims.map(({ id, token }) => tokens.get(id) === token);
});

const end = gathering<End, void>(async (ends) => {
  const { matchedCount } = await actions.bulkWrite(
    ends.map(({ id, token, calledAt }) => {
      const completedAt = new Date();
      return {
        updateOne: {
          filter: { _id: id, status: 'Running', claim: token },
          update: {
            $set: { status: 'Completed', completedAt, result: { calledAt } },
            $push: { states: { status: 'Completed', at: completedAt } },
          },
        },
      };
    }),
    { ordered: false },
  );
  if (matchedCount !== ends.length) throw new Error('somebody else ended an action');
  return [];
});

const worker = new Worker<{ id: string }>(
  'grouped',
  async ({ data: { id } }) => {
    const token = randomUUID();
    if (!(await claim({ id, token }))) return;
    // The plugin would be called here.
    await end({ id, token, calledAt: Date.now() });
  },
  {
    connection: new Redis(redisUrl, { maxRetriesPerRequest: null }),
    concurrency: 64,
    skipVersionCheck: true,
  },
);
await worker.waitUntilReady();
process.send?.({ type: 'ready' });

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
