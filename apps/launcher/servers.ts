import path from 'node:path';
import { Redis } from 'ioredis';
import mongoose from 'mongoose';
import { MongoServer, RedisServer, findMongod, findRedisServer, type Report } from '#embedded-servers';
import { StartError, withoutCredentials, type Settings } from './settings.js';

const REACH_WITHIN_MS = 10_000;

/** The databases of this run: started here, or given by address. */
export interface Servers {
  readonly mongodbUri: string;
  readonly redisUrl: string;
  /** For people: where each is. */
  readonly where: { readonly mongodb: string; readonly redis: string };
  stop(): Promise<void>;
}

/** @throws StartError or Error whose message says what to do */
export async function bringUpServers(settings: Settings, report: Report): Promise<Servers> {
  const started: { stop(): Promise<void> }[] = [];
  try {
    const [mongo, redis] = await Promise.all([mongodb(settings, report, started), redisServer(settings, report, started)]);
    return {
      mongodbUri: mongo.uri,
      redisUrl: redis.url,
      where: { mongodb: mongo.where, redis: redis.where },
      stop: () => stopAll(started),
    };
  } catch (error) {
    await stopAll(started);
    throw error;
  }
}

async function stopAll(started: readonly { stop(): Promise<void> }[]): Promise<void> {
  await Promise.all(started.map((server) => server.stop()));
}

async function mongodb({ mongodbUri, dataDir }: Settings, report: Report, started: { stop(): Promise<void> }[]) {
  if (mongodbUri !== null) {
    await reachMongo(mongodbUri);
    return { uri: mongodbUri, where: withoutCredentials(mongodbUri) };
  }
  const binary = await findMongod(report);
  const server = await MongoServer.start({ binary, dbPath: path.join(dataDir, 'mongo'), logFile: path.join(dataDir, 'logs', 'mongod.log'), report });
  started.push(keepAlive('MongoDB', server, report));
  const uri = server.uri.replace('/?', '/riposte?');
  return { uri, where: uri };
}

async function redisServer({ redisUrl, dataDir }: Settings, report: Report, started: { stop(): Promise<void> }[]) {
  if (redisUrl !== null) {
    await reachRedis(redisUrl);
    return { url: redisUrl, where: withoutCredentials(redisUrl) };
  }
  const binary = await findRedisServer(report);
  const server = await RedisServer.start({ binary, dir: path.join(dataDir, 'redis'), logFile: path.join(dataDir, 'logs', 'redis.log'), report });
  started.push(keepAlive('Redis', server, report));
  return { url: server.url, where: server.url };
}

/** Starts a server again that ended without being told to, on the same port and data. */
function keepAlive(
  name: string,
  server: { readonly exited: Promise<number | null>; restart(): Promise<void>; stop(): Promise<void> },
  report: Report,
): { stop(): Promise<void> } {
  let stopping = false;
  const watch = (): void => {
    void server.exited.then(async (code) => {
      if (stopping) return;
      report(`${name} ended with code ${code}; starting it again`);
      try {
        await server.restart();
        report(`${name} serves again`);
      } catch (error) {
        report(`${name} could not be started again: ${(error as Error).message}`);
        await new Promise((resolve) => setTimeout(resolve, 2000));
      }
      if (!stopping) watch();
    });
  };
  watch();
  return {
    stop: () => {
      stopping = true;
      return server.stop();
    },
  };
}

async function reachMongo(uri: string): Promise<void> {
  let client: mongoose.mongo.MongoClient | undefined;
  try {
    client = new mongoose.mongo.MongoClient(uri, { serverSelectionTimeoutMS: REACH_WITHIN_MS });
    const hello = await client.db('admin').command({ hello: 1 });
    if (hello['setName'] === undefined && hello['msg'] !== 'isdbgrid') {
      throw new Error('it is a standalone server; a replica set is needed (one member is enough)');
    }
  } catch (cause) {
    throw new StartError(`MONGODB_URI (${withoutCredentials(uri)}) cannot be used: ${withoutCredentials((cause as Error).message)}`, { cause });
  } finally {
    await client?.close();
  }
}

async function reachRedis(url: string): Promise<void> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: null, connectTimeout: REACH_WITHIN_MS, commandTimeout: REACH_WITHIN_MS, maxRetriesPerRequest: 0 });
  let last: Error | undefined;
  client.on('error', (error: Error) => {
    last = error;
  });
  try {
    await client.connect();
    await client.ping();
  } catch (cause) {
    throw new StartError(`REDIS_URL (${withoutCredentials(url)}) cannot be used: ${withoutCredentials((last ?? (cause as Error)).message)}`, { cause });
  } finally {
    client.disconnect();
  }
}
