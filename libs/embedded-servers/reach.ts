import { Redis } from 'ioredis';
import mongoose from 'mongoose';

const WITHIN_MS = 10_000;

/** @throws Error when no replica set (or mongos) answers at the address within 10 s */
export async function reachMongo(uri: string): Promise<void> {
  let client: mongoose.mongo.MongoClient | undefined;
  try {
    client = new mongoose.mongo.MongoClient(uri, { serverSelectionTimeoutMS: WITHIN_MS });
    const hello = await client.db('admin').command({ hello: 1 });
    if (hello['setName'] === undefined && hello['msg'] !== 'isdbgrid') {
      throw new Error('it is a standalone server; a replica set is needed (one member is enough)');
    }
  } finally {
    await client?.close();
  }
}

/** @throws Error when no Redis answers at the address within 10 s */
export async function reachRedis(url: string): Promise<void> {
  const client = new Redis(url, {
    lazyConnect: true,
    retryStrategy: null,
    connectTimeout: WITHIN_MS,
    commandTimeout: WITHIN_MS,
    maxRetriesPerRequest: 0,
  });
  let last: Error | undefined;
  client.on('error', (error: Error) => {
    last = error;
  });
  try {
    await client.connect();
    await client.ping();
  } catch (cause) {
    throw last ?? cause;
  } finally {
    client.disconnect();
  }
}
