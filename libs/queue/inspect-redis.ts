import { setTimeout as sleep } from 'node:timers/promises';
import { RedisConnection } from 'bullmq';
import { ReplyError, type Redis } from 'ioredis';
import { infoOf } from './redis-info.js';
import { promptConnection, type RedisAddress } from './redis-connection.js';
import { tryWrite } from './try-write.js';

/** Versions that BullMQ needs, and that it is best with. */
export const REDIS_VERSIONS = {
  least: RedisConnection.minimumVersion,
  recommended: RedisConnection.recommendedMinimumVersion,
} as const;

const PINGS = 10;
const BETWEEN_PINGS_MS = 10;
const WRITE_WITHIN_MS = 1000;

/** How a Redis is set up and fares. Null: its user may not ask. */
export interface RedisFacts {
  /** As it says itself; what speaks its protocol says that of the Redis it is like. */
  readonly version: string | null;
  readonly isReplica: boolean | null;
  readonly appendOnly: { readonly isOn: boolean; readonly lastWriteWorked: boolean } | null;
  /** Bytes; `mostBytes` 0: as much as there is. */
  readonly memory: {
    readonly policy: string;
    readonly usedBytes: number;
    readonly mostBytes: number;
  } | null;
  /** The code of the error that a write ends with (`OOM`, `MISCONF`, …), `timeout` where none came; null: it works. */
  readonly writeProblem: string | null;
  /** Milliseconds of a round trip, the shortest of a few: the others wait for this process, too. */
  readonly latencyMs: number;
  /** Milliseconds that its clock is ahead of this machine's. */
  readonly clockAheadMs: number | null;
  /** The folder it keeps its data in. */
  readonly dataDir: string | null;
}

/**
 * Looks at a Redis, and writes one key that expires.
 * @param withinMs milliseconds to reach it; each command has 800 after that
 * @throws Error in words when it cannot be reached or refuses the credentials
 */
export async function inspectRedis(address: RedisAddress, withinMs: number): Promise<RedisFacts> {
  let last: Error | undefined;
  const redis = promptConnection(address, (error) => (last = error));
  try {
    await connected(redis, withinMs, () => last);
    const latencies: number[] = [];
    for (let index = 0; index < PINGS; index += 1) {
      const sentAt = performance.now();
      await redis.ping();
      latencies.push(performance.now() - sentAt);
      await sleep(BETWEEN_PINGS_MS);
    }
    const server = await permitted(infoOf(redis, 'server'));
    const persistence = await permitted(infoOf(redis, 'persistence'));
    const memory = await permitted(infoOf(redis, 'memory'));
    const replication = await permitted(infoOf(redis, 'replication'));
    const written = await tryWrite(redis, WRITE_WITHIN_MS);
    return {
      version: server?.get('redis_version') ?? null,
      isReplica: replication === null ? null : replication.get('role') !== 'master',
      appendOnly:
        persistence === null
          ? null
          : {
              isOn: persistence.get('aof_enabled') === '1',
              lastWriteWorked: (persistence.get('aof_last_write_status') ?? 'ok') === 'ok',
            },
      memory:
        memory === null
          ? null
          : {
              policy: memory.get('maxmemory_policy') ?? 'noeviction',
              usedBytes: Number(memory.get('used_memory') ?? 0),
              mostBytes: Number(memory.get('maxmemory') ?? 0),
            },
      writeProblem: written === 'written' ? null : (written ?? 'timeout'),
      latencyMs: Math.min(...latencies),
      clockAheadMs: await permitted(clockAheadOf(redis)),
      dataDir: (await permitted(redis.config('GET', 'dir') as Promise<readonly string[]>))?.[1] ?? null,
    };
  } finally {
    redis.disconnect();
  }
}

function connected(redis: Redis, withinMs: number, last: () => Error | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (): void => reject(last() ?? new Error(`no answer within ${withinMs / 1000} s`));
    const timer = setTimeout(fail, withinMs);
    redis.once('ready', () => {
      clearTimeout(timer);
      // Wrong credentials are told of beside it.
      const refused = last();
      if (refused?.name === 'ReplyError') reject(refused);
      else resolve();
    });
  });
}

/** Null where the user may not ask. */
async function permitted<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Error && error instanceof ReplyError && /^(NOPERM|ERR unknown)/.test(error.message))
      return null;
    throw error;
  }
}

async function clockAheadOf(redis: Redis): Promise<number> {
  const sentAt = Date.now();
  const [seconds, micros] = (await redis.time()) as unknown as readonly [string, string];
  return Number(seconds) * 1000 + Number(micros) / 1000 - (sentAt + Date.now()) / 2;
}
