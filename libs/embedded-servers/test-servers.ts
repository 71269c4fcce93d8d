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

/** A MongoDB and a Redis of one's own in a temporary directory; `stop` removes all of it. */
export async function startTestServers(report: Report = () => undefined): Promise<TestServers> {
  const dir = await mkdtemp(path.join(tmpdir(), 'riposte-servers-'));
  const [mongod, redisServer] = [await findMongod(report), await findRedisServer(report)];
  const [mongo, redis] = await Promise.all([
    MongoServer.start({ binary: mongod, dbPath: path.join(dir, 'mongo'), cacheSizeGB: 0.25, report }),
    RedisServer.start({ binary: redisServer, dir: path.join(dir, 'redis'), report }),
  ]);
  return {
    mongodbUri: mongo.uri,
    redisUrl: redis.url,
    mongo,
    redis,
    async stop() {
      await Promise.all([mongo.stop(), redis.stop()]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}
