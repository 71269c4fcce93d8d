import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import mongoose from 'mongoose';
import { gathering } from './gathering.js';

/**
 * The quick yardstick: the minimal pipeline with one `insertMany` and one `addBulk` for all that came while the last
 * were under way. As durable as the other: what is answered was written by a majority.
 */

interface Action {
  readonly _id: string;
  readonly status: string;
  readonly createdAt: Date;
  readonly states: readonly object[];
}

const [, , uri = '', redisUrl = '', port = '0'] = process.argv;
const client = new mongoose.mongo.MongoClient(uri, { writeConcern: { w: 'majority' }, maxPoolSize: 50 });
const actions = client.db().collection<Action>('actions');
const queue = new Queue('grouped', {
  connection: new Redis(redisUrl, { maxRetriesPerRequest: null }),
  skipVersionCheck: true,
});

const record = gathering<Action, void>(async (group) => {
  await actions.insertMany([...group], { ordered: false });
  await queue.addBulk(
    group.map(({ _id: id }) => ({
      name: 'action',
      data: { id },
      opts: { jobId: id, removeOnComplete: true, removeOnFail: true },
    })),
  );
  return [];
});

createServer((request, response) => {
  void json(request).then(async (body) => {
    const createdAt = new Date();
    const action: Action = {
      ...(body as object),
      _id: randomUUID(),
      status: 'NotStarted',
      createdAt,
      states: [{ status: 'NotStarted', at: createdAt }],
    };
    await record(action);
    response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify(action));
  });
}).listen(Number(port), '127.0.0.1', () => process.send?.({ type: 'ready' }));

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
