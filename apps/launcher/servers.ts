import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { redisSettingsOf } from '#config';
import {
  MongoServer,
  RedisServer,
  findMongod,
  findRedisServer,
  reachMongo,
  reachRedis,
  stillReporting,
  type Report,
} from '#embedded-servers';
import type { LogFiles } from './log-files.js';
import { StartError, withoutCredentials, type Settings } from './settings.js';

/** Milliseconds a server may take to serve. After a crash it first reads what it had logged. */
const START_TIMEOUT_MS = 300_000;
const AGAIN_AFTER_MS = 2000;

/** The databases of this run: started here, or given by address. */
export interface Servers {
  readonly mongodbUri: string;
  readonly redisUrl: string;
  /** For people: where each is. */
  readonly where: { readonly mongodb: string; readonly redis: string };
  /** Those started here are ended cleanly; by force after `forceAfterMs`. */
  stop(forceAfterMs?: number): Promise<void>;
}

/** What bringing up servers needs to know and to tell. */
export interface ServerRun {
  readonly settings: Settings;
  readonly logs: LogFiles;
  readonly report: Report;
  /** Told of each start of a server. */
  readonly onStarted: (name: string, pid: number) => void;
  /** Gives the start up: ends a download; servers that are starting are waited for and stopped. */
  readonly signal: AbortSignal;
}

interface Stoppable {
  stop(forceAfterMs?: number): Promise<void>;
}

/** @throws StartError or Error whose message says what to do */
export async function bringUpServers(run: ServerRun): Promise<Servers> {
  const programs = await findPrograms(run);
  const started: Stoppable[] = [];
  const stop = async (forceAfterMs?: number): Promise<void> => {
    await Promise.all(started.map((server) => server.stop(forceAfterMs)));
  };
  // Both are waited for even if one fails: what the other starts has to be stopped.
  const [mongo, redis] = await Promise.allSettled([
    mongodb(run, programs.mongod, started),
    redisServer(run, programs.redis, started),
  ]);
  if (mongo.status === 'fulfilled' && redis.status === 'fulfilled' && !run.signal.aborted) {
    return {
      mongodbUri: mongo.value.uri,
      redisUrl: redis.value.url,
      where: { mongodb: mongo.value.where, redis: redis.value.where },
      stop,
    };
  }
  await stop();
  run.signal.throwIfAborted();
  throw failureOf([mongo, redis]);
}

/** Finds or fetches what has to be started here. What cannot be had is said of both at once. */
async function findPrograms({
  settings,
  report,
  signal,
}: ServerRun): Promise<{ readonly mongod: string; readonly redis: string }> {
  const [mongod, redis] = await Promise.allSettled([
    settings.mongodbUri === null ? findMongod(report, signal) : '',
    settings.redisUrl === null ? findRedisServer(report, signal) : '',
  ]);
  if (mongod.status === 'fulfilled' && redis.status === 'fulfilled')
    return { mongod: mongod.value, redis: redis.value };
  throw failureOf([mongod, redis]);
}

function failureOf(results: readonly PromiseSettledResult<unknown>[]): StartError {
  const reasons = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []));
  return new StartError(reasons.map(({ message }) => message).join('\n\n'), { cause: reasons[0] });
}

async function mongodb(run: ServerRun, binary: string, started: Stoppable[]) {
  const {
    settings: { mongodbUri, dataDir },
    logs,
    report,
  } = run;
  if (mongodbUri !== null) {
    await usable('MONGODB_URI', mongodbUri, reachMongo, report);
    return { uri: mongodbUri, where: withoutCredentials(mongodbUri) };
  }
  const server = await MongoServer.start({
    binary,
    dbPath: path.join(dataDir, 'mongo'),
    logFile: logs.file('mongod'),
    startTimeoutMs: START_TIMEOUT_MS,
    onLaunch: (pid) => run.onStarted('mongod', pid),
    report,
  });
  started.push(keepAlive('mongod', server, report));
  const uri = server.uri.replace('/?', '/riposte?');
  return { uri, where: uri };
}

async function redisServer(run: ServerRun, binary: string, started: Stoppable[]) {
  const {
    settings: { redisUrl, dataDir },
    logs,
    report,
  } = run;
  if (redisUrl !== null) {
    const reach = async (url: string): Promise<void> =>
      reachRedis(url, (await redisSettingsOf(process.env)).tls);
    await usable('REDIS_URL', redisUrl, reach, report);
    return { url: redisUrl, where: withoutCredentials(redisUrl) };
  }
  const server = await RedisServer.start({
    binary,
    dir: path.join(dataDir, 'redis'),
    logFile: logs.file('redis'),
    startTimeoutMs: START_TIMEOUT_MS,
    onLaunch: (pid) => run.onStarted('redis-server', pid),
    report,
  });
  started.push(keepAlive('redis-server', server, report));
  return { url: server.url, where: server.url };
}

/** Starts a server again that ended without being told to, on the same port and data. */
function keepAlive(name: string, server: MongoServer | RedisServer, report: Report): Stoppable {
  let stopping = false;
  let restarting = Promise.resolve();
  const restart = async (code: number | null): Promise<void> => {
    report(`${name} ended with code ${code}; starting it again`);
    try {
      await server.restart();
      report(`${name} serves again`);
    } catch (error) {
      if (stopping) return;
      report(`${name} could not be started again: ${(error as Error).message}`);
      await sleep(AGAIN_AFTER_MS);
    }
  };
  const watch = async (): Promise<void> => {
    for (;;) {
      const code = await server.exited;
      if (stopping) return;
      restarting = restart(code);
      await restarting;
    }
  };
  void watch();
  return {
    async stop(forceAfterMs) {
      stopping = true;
      await server.stop(forceAfterMs);
      // What a restart under way has started meanwhile.
      await restarting;
      await server.stop(forceAfterMs);
    },
  };
}

async function usable(
  variable: string,
  address: string,
  reach: (address: string) => Promise<void>,
  report: Report,
): Promise<void> {
  const shown = withoutCredentials(address);
  try {
    await stillReporting(report, `Waiting for an answer from ${variable} (${shown})`, reach(address), 3000);
  } catch (cause) {
    throw new StartError(
      `${variable} (${shown}) cannot be used: ${withoutCredentials((cause as Error).message)}`,
      { cause },
    );
  }
}
