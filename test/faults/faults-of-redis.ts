import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { Fault, Outcome, Scene } from './fault.js';

/** Faults of Redis: F4 … F8. */
export const REDIS_FAULTS: readonly Fault[] = [
  {
    id: 'F4',
    kind: 'redis',
    title: 'Redis killed and restarted, with its data or empty',
    weight: 4,
    async run({ cluster, random }) {
      const { redis } = cluster;
      const how = random.pick(['killed', 'stopped', 'replaced by an empty one']);
      if (how === 'stopped') await redis.stop();
      else await redis.kill();
      await sleep(random.between(300, 5000));
      if (how === 'replaced by an empty one') cluster.useRedis(await cluster.startRedis());
      else await redis.restart();
      return healed(`Redis ${how}`);
    },
  },
  {
    id: 'F5',
    kind: 'redis',
    title: 'FLUSHALL',
    weight: 3,
    async run({ cluster, random }) {
      const times = random.between(1, 5);
      await commanding(cluster.redis.url, async (redis) => {
        for (let flush = 1; flush <= times; flush += 1) {
          await redis.flushall();
          if (flush < times) await sleep(1000);
        }
      });
      return healed(`FLUSHALL, ${times} times`);
    },
  },
  {
    id: 'F6',
    kind: 'redis',
    title: 'Redis frozen for up to 30 s',
    weight: 3,
    async run({ cluster, random }) {
      const { redis } = cluster;
      const ms = random.pick([2000, 5000, 10_000, 30_000]);
      const how = random.pick(['SIGSTOP', 'CLIENT PAUSE']);
      if (how === 'SIGSTOP') {
        redis.signal('SIGSTOP');
        await sleep(ms);
        redis.signal('SIGCONT');
      } else {
        await commanding(redis.url, (client) => client.call('CLIENT', 'PAUSE', String(ms)));
        await sleep(ms);
      }
      return healed(`Redis frozen for ${ms} ms by ${how}`);
    },
  },
  {
    id: 'F7',
    kind: 'redis',
    title: 'a failover of Redis that loses its last writes',
    weight: 2,
    run: failedOver,
  },
  {
    id: 'F8',
    kind: 'redis',
    title: 'Redis out of memory',
    weight: 2,
    async run({ cluster, random }) {
      await commanding(cluster.redis.url, async (redis) => {
        await redis.config('SET', 'maxmemory', '1');
        await sleep(random.between(2000, 8000));
        await redis.config('SET', 'maxmemory', '0');
      });
      return healed('Redis refused every write for want of memory');
    },
  },
];

/** A replica that missed the primary's last second takes over under the same address; the primary is gone. */
async function failedOver({ cluster }: Scene): Promise<Outcome> {
  const old = cluster.redis;
  const replica = await cluster.startRedis();
  await commanding(replica.url, async (redis) => {
    await redis.call('REPLICAOF', '127.0.0.1', String(old.port));
    while (!(await redis.info('replication')).includes('master_link_status:up')) await sleep(50);
    await sleep(500);
    await redis.call('REPLICAOF', 'NO', 'ONE');
  });
  // What is written now is acknowledged by the old one alone.
  await sleep(1000);
  await old.kill();
  cluster.useRedis(replica);
  return healed('Redis failed over to a replica without the last second');
}

function healed(what: string): Outcome {
  return { what, heldUp: 'due' };
}

async function commanding(url: string, work: (redis: Redis) => Promise<unknown>): Promise<void> {
  const redis = new Redis(url, { maxRetriesPerRequest: 3 });
  redis.on('error', () => undefined);
  try {
    await work(redis);
  } finally {
    redis.disconnect();
  }
}
