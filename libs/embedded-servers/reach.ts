import type { SecureContextOptions } from 'node:tls';
import { Redis } from 'ioredis';
import mongoose from 'mongoose';

const WITHIN_MS = 10_000;

/** @throws Error when no replica set (or mongos) answers at the address within 10 s */
export async function reachMongo(uri: string): Promise<void> {
  let client: mongoose.mongo.MongoClient | undefined;
  try {
    client = new mongoose.mongo.MongoClient(uri, { serverSelectionTimeoutMS: WITHIN_MS });
    const hello = await within(client.db('admin').command({ hello: 1 }));
    if (hello['setName'] === undefined && hello['msg'] !== 'isdbgrid') {
      throw new Error('it is a standalone server; a replica set is needed (one member is enough)');
    }
  } finally {
    // Whatever it still does is of no interest.
    void client?.close(true).catch(() => undefined);
  }
}

/**
 * @param tls by whom it is trusted, where that is not as Node.js does
 * @throws Error when no Redis answers at the address within 10 s
 */
export async function reachRedis(
  url: string,
  tls?: Pick<SecureContextOptions, 'ca' | 'cert' | 'key'>,
): Promise<void> {
  const client = new Redis(url, {
    ...(tls === undefined ? {} : { tls }),
    lazyConnect: true,
    retryStrategy: null,
    connectTimeout: WITHIN_MS,
    maxRetriesPerRequest: 0,
  });
  let last: Error | undefined;
  client.on('error', (error: Error) => {
    last = error;
  });
  try {
    await within(client.connect().then(() => client.ping()));
  } catch (cause) {
    throw last ?? cause;
  } finally {
    client.disconnect();
  }
}

/** Looking up a name, connecting and asking have timeouts each; together they shall not add up. */
async function within<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`no answer within ${WITHIN_MS / 1000} s`)),
      // The driver's own error, which says more, comes first.
      WITHIN_MS + 1000,
    );
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
