import type { SecureContextOptions } from 'node:tls';
import { Redis, type RedisOptions } from 'ioredis';

/** Every key starts with this hash tag, so that all keys of a queue share a slot of a Redis cluster. */
export const PREFIX = '{riposte}';

/** Ends the name of an instance's queue of what goes before starts: cancels, releases, and what has begun. */
export const URGENT_SUFFIX = '.urgent';

/** Where Redis is: its URL, with whom it is trusted by where that is not as Node.js does. */
export type RedisAddress =
  string | { readonly url: string; readonly tls?: Pick<SecureContextOptions, 'ca' | 'cert' | 'key'> };

/** Told of connection errors. They are expected while Redis is away, and must never end the process. */
export type OnConnectionError = (error: Error) => void;

// BullMQ's default goes from 1 s to 20 s, too slow to pick up work soon after a restart.
const retryStrategy = (tries: number): number => Math.min(50 * 2 ** Math.min(tries, 6), 2000);

/**
 * A connection that fails at once when Redis is away (no offline queue) and after 800 ms when it is frozen.
 * For callers who must answer promptly.
 */
export function promptConnection(address: RedisAddress, onError: OnConnectionError): Redis {
  const redis = new Redis(urlOf(address), {
    ...tlsOf(address),
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: 800,
    connectTimeout: 2000,
    retryStrategy,
  });
  redis.on('error', onError);
  return redis;
}

/** A connection that waits for Redis for ever, as BullMQ's workers and subscribers need. */
export function patientConnection(address: RedisAddress, onError: OnConnectionError): Redis {
  const redis = new Redis(urlOf(address), {
    ...tlsOf(address),
    maxRetriesPerRequest: null,
    connectTimeout: 2000,
    retryStrategy,
  });
  redis.on('error', onError);
  return redis;
}

function urlOf(address: RedisAddress): string {
  return typeof address === 'string' ? address : address.url;
}

function tlsOf(address: RedisAddress): Pick<RedisOptions, 'tls'> {
  return typeof address === 'string' || address.tls === undefined ? {} : { tls: address.tls };
}
