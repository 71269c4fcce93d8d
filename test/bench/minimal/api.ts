import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import mongoose from 'mongoose';

/**
 * The yardstick: what somebody would write by hand for nothing else. No validation, no auth, no log, no
 * recovery; the same three majority writes per action.
 */

const [, , uri = '', redisUrl = '', port = '0'] = process.argv;
const client = new mongoose.mongo.MongoClient(uri, { writeConcern: { w: 'majority' }, maxPoolSize: 50 });
const actions = client.db().collection<{ _id: string; status: string; states: object[] }>('actions');
const queue = new Queue('minimal', {
  connection: new Redis(redisUrl, { maxRetriesPerRequest: null }),
  skipVersionCheck: true,
});

createServer((request, response) => {
  void json(request).then(async (body) => {
    const id = randomUUID();
    const createdAt = new Date();
    const action = {
      _id: id,
      ...(body as object),
      status: 'NotStarted',
      createdAt,
      states: [{ status: 'NotStarted', at: createdAt }],
    };
    await actions.insertOne(action);
    await queue.add('action', { id }, { jobId: id, removeOnComplete: true, removeOnFail: true });
    response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify(action));
  });
}).listen(Number(port), '127.0.0.1', () => process.send?.({ type: 'ready' }));

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
