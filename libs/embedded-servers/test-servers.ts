import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MongoServer } from './mongo-server.js';
import { findMongod, findRedisServer } from './programs.js';
import { RedisServer } from './redis-server.js';
import type { Report } from './report.js';

export interface TestServers {
  readonly mongodbUri: string;
  readonly redisUrl: string;
  readonly mongo: MongoServer;
  readonly redis: RedisServer;
  stop(): Promise<void>;
}

/**
 * A MongoDB and a Redis of one's own in a temporary directory; `stop` removes all of it. Of a process that is
 * killed only the directory stays: the servers end with it (see {@link GuardedProcess}).
 */
export async function startTestServers(report: Report = () => undefined): Promise<TestServers> {
  const dir = await mkdtemp(path.join(tmpdir(), 'riposte-servers-'));
  const started: { stop(): Promise<void> }[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((server) => server.stop()));
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const [mongod, redisServer] = [await findMongod(report), await findRedisServer(report)];
    const mongo = await MongoServer.start({
      binary: mongod,
      dbPath: path.join(dir, 'mongo'),
      cacheSizeGB: 0.25,
      report,
    });
    started.push(mongo);
    const redis = await RedisServer.start({ binary: redisServer, dir: path.join(dir, 'redis'), report });
    started.push(redis);
    return { mongodbUri: mongo.uri, redisUrl: redis.url, mongo, redis, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
