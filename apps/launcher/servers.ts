import path from 'node:path';
import {
  MongoServer,
  RedisServer,
  findMongod,
  findRedisServer,
  reachMongo,
  reachRedis,
  type Report,
} from '#embedded-servers';
import { StartError, withoutCredentials, type Settings } from './settings.js';

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
  const programs = await findPrograms(settings, report);
  const started: { stop(): Promise<void> }[] = [];
  try {
    const [mongo, redis] = await Promise.all([
      mongodb(settings, programs.mongod, report, started),
      redisServer(settings, programs.redis, report, started),
    ]);
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

/** Finds or fetches what has to be started here. What cannot be had is said of both at once. */
async function findPrograms(
  settings: Settings,
  report: Report,
): Promise<{ readonly mongod: string; readonly redis: string }> {
  const [mongod, redis] = await Promise.allSettled([
    settings.mongodbUri === null ? findMongod(report) : '',
    settings.redisUrl === null ? findRedisServer(report) : '',
  ]);
  if (mongod.status === 'fulfilled' && redis.status === 'fulfilled')
    return { mongod: mongod.value, redis: redis.value };
  const reasons = [mongod, redis].flatMap((found) =>
    found.status === 'rejected' ? [found.reason as Error] : [],
  );
  throw new StartError(reasons.map(({ message }) => message).join('\n\n'), { cause: reasons[0] });
}

async function stopAll(started: readonly { stop(): Promise<void> }[]): Promise<void> {
  await Promise.all(started.map((server) => server.stop()));
}

async function mongodb(
  { mongodbUri, dataDir }: Settings,
  binary: string,
  report: Report,
  started: { stop(): Promise<void> }[],
) {
  if (mongodbUri !== null) {
    await usable('MONGODB_URI', mongodbUri, reachMongo);
    return { uri: mongodbUri, where: withoutCredentials(mongodbUri) };
  }
  const server = await MongoServer.start({
    binary,
    dbPath: path.join(dataDir, 'mongo'),
    logFile: path.join(dataDir, 'logs', 'mongod.log'),
    report,
  });
  started.push(keepAlive('MongoDB', server, report));
  const uri = server.uri.replace('/?', '/riposte?');
  return { uri, where: uri };
}

async function redisServer(
  { redisUrl, dataDir }: Settings,
  binary: string,
  report: Report,
  started: { stop(): Promise<void> }[],
) {
  if (redisUrl !== null) {
    await usable('REDIS_URL', redisUrl, reachRedis);
    return { url: redisUrl, where: withoutCredentials(redisUrl) };
  }
  const server = await RedisServer.start({
    binary,
    dir: path.join(dataDir, 'redis'),
    logFile: path.join(dataDir, 'logs', 'redis.log'),
    report,
  });
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

async function usable(
  variable: string,
  address: string,
  reach: (address: string) => Promise<void>,
): Promise<void> {
  try {
    await reach(address);
  } catch (cause) {
    throw new StartError(
      `${variable} (${withoutCredentials(address)}) cannot be used: ${withoutCredentials((cause as Error).message)}`,
      { cause },
    );
  }
}
