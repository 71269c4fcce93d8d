import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { MongoReplicaSet, findMongod } from '#embedded-servers';

/** The set that the fault campaign hurts. */

const majority = { writeConcern: { w: 'majority' } } as const;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-mongo-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe('a replica set of three', () => {
  it('elects another primary when one is killed, and takes the killed one back', async () => {
    const set = await MongoReplicaSet.start({
      binary: await findMongod(() => undefined),
      dir: path.join(dir, 'set'),
      cacheSizeGB: 0.25,
      report: () => undefined,
    });
    onTestFinished(() => set.stop());
    const client = new mongoose.mongo.MongoClient(set.uri, { serverSelectionTimeoutMS: 15_000 });
    onTestFinished(() => client.close());
    const collection = client.db('test').collection<{ n: number }>('things');
    await collection.insertOne({ n: 1 }, majority);
    const first = await set.primary();
    await first.kill();
    const second = await set.primary();
    expect(second).not.toBe(first);
    await collection.insertOne({ n: 2 }, majority);
    await first.restart();
    expect(await collection.countDocuments()).toBe(2);
    await second.stop();
    expect(await set.primary()).not.toBe(second);
    await collection.insertOne({ n: 3 }, majority);
  });
});
