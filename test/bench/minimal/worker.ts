import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import mongoose from 'mongoose';

/** The other half of the yardstick: claim, run nothing, record the end. */

const [, , uri = '', redisUrl = ''] = process.argv;
const client = new mongoose.mongo.MongoClient(uri, { writeConcern: { w: 'majority' }, maxPoolSize: 50 });
const actions = client.db().collection<{ _id: string; status: string; states: object[] }>('actions');

const worker = new Worker<{ id: string }>(
  'minimal',
  async ({ data }) => {
    const claimed = await actions.findOneAndUpdate(
      { _id: data.id, status: 'NotStarted' },
      { $set: { status: 'Running' }, $push: { states: { status: 'Running', at: new Date() } } },
    );
    if (claimed === null) return;
    // The plugin would be called here.
    const calledAt = Date.now();
    const completedAt = new Date();
    await actions.updateOne(
      { _id: data.id, status: 'Running' },
      {
        $set: { status: 'Completed', completedAt, result: { calledAt } },
        $push: { states: { status: 'Completed', at: completedAt } },
      },
    );
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
