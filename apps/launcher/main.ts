import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { whyNotFree } from '#embedded-servers';
import { keyFileOf, makeKeyFile } from '#secrets';
import { announcement } from './announcement.js';
import { lockDataDir, makeDataDir } from './data-dir.js';
import { makeFirstOperator, type FirstOperator } from './first-operator.js';
import { LogFiles } from './log-files.js';
import { ProductProcess } from './product-process.js';
import { RunRecord } from './run-record.js';
import { bringUpServers, type Servers } from './servers.js';
import { StartError, readSettings, type Settings } from './settings.js';

/** Brings up the whole system on this machine and keeps it up: `npm start`. */

const READY_WITHIN_MS = 60_000;
const STOP_CHILD_WITHIN_MS = 25_000;
/** Milliseconds: npm passes a Ctrl-C on that the terminal has sent us already; a later one is impatience. */
const IMPATIENT_AFTER_MS = 500;
const FORCE_SERVERS_AFTER_MS = 3000;
const GIVE_UP_WITHIN_MS = 5000;
const DIST = path.resolve(import.meta.dirname, '..');

// A closed terminal or pipe must not end what runs.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

let stopped: ((forceAfterMs?: number) => Promise<void>) | undefined;
let stopWanted: (code: number) => void = () => undefined;
const wantsStop = new Promise<number>((resolve) => {
  stopWanted = resolve;
});
const givenUp = new AbortController();
let interruptedAt: number | undefined;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (interruptedAt === undefined) {
      interruptedAt = performance.now();
      say('\nStopping …');
      givenUp.abort(new StartError('The start was given up.'));
      stopWanted(0);
      // What is starting is waited for; not for long, since the servers end without us, too.
      setTimeout(() => {
        if (stopped === undefined) process.exit(0);
      }, GIVE_UP_WITHIN_MS).unref();
    } else if (performance.now() - interruptedAt > IMPATIENT_AFTER_MS) {
      say('Stopping at once …');
      void stopped?.(FORCE_SERVERS_AFTER_MS);
    }
  });
}

try {
  const settings = readSettings(process.env);
  makeDataDir(settings.dataDir);
  const lock = await lockDataDir(settings.dataDir);
  process.on('exit', lock.release);
  if (!process.env['RIPOSTE_SECRETS_KEY'] && !process.env['RIPOSTE_SECRETS_KEY_FILE'])
    await makeKeyFile(keyFileOf({ RIPOSTE_DATA_DIR: settings.dataDir }));
  const problem = await whyNotFree(settings.host, settings.port);
  if (problem !== null) throw new StartError(portMessage(settings, problem));
  const record = new RunRecord(settings.dataDir);
  if (lock.repaired) {
    say('An earlier run was killed; going on from its data.');
    await record.endLeftovers(say);
  }
  await run(settings, record);
} catch (error) {
  await stopped?.();
  if (givenUp.signal.aborted) process.exit(0);
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

async function run(settings: Settings, record: RunRecord): Promise<void> {
  const logs = new LogFiles(settings.dataDir);
  logs.begin();
  const servers = await bringUpServers({
    settings,
    logs,
    report: say,
    onStarted: (name, pid) => record.add(name, pid),
    signal: givenUp.signal,
  });
  let fatal: string | undefined;
  const product = (['api', 'worker'] as const).map(
    (name) =>
      new ProductProcess({
        name,
        script: path.join(DIST, name, 'main.js'),
        env: childEnv(settings, servers),
        logFile: logs.file(name),
        say,
        onStarted: (pid) => record.add(name, pid),
        onFatal: (message) => {
          fatal = message;
          stopWanted(1);
        },
      }),
  );
  stopped = async (forceAfterMs) => {
    await Promise.all(
      product.map((process) => process.stop(forceAfterMs === undefined ? STOP_CHILD_WITHIN_MS : 0)),
    );
    await servers.stop(forceAfterMs);
    record.clear();
  };
  for (const process of product) process.start();
  // Beside the processes, which take longer to start.
  const operator = makeFirstOperator(settings, servers, path.join(DIST, 'cli', 'riposte.js'), say);
  await Promise.race([announceWhenReady(settings, servers, operator), wantsStop]);
  const code = await wantsStop;
  await stopped();
  if (fatal !== undefined) process.stderr.write(`${fatal}\n`);
  process.exit(code);
}

function childEnv(settings: Settings, servers: Servers): Record<string, string | undefined> {
  return {
    ...process.env,
    NODE_ENV: process.env['NODE_ENV'] ?? 'production',
    MONGODB_URI: servers.mongodbUri,
    REDIS_URL: servers.redisUrl,
    RIPOSTE_DATA_DIR: settings.dataDir,
    RIPOSTE_EMBEDDED: '1',
    // Nobody balances load here, and a Ctrl-C is to be quick.
    RIPOSTE_DRAIN_MS: '0',
    PORT: String(settings.port),
    HOST: settings.host,
  };
}

async function announceWhenReady(
  settings: Settings,
  servers: Servers,
  operator: Promise<FirstOperator>,
): Promise<void> {
  const name = settings.host === '0.0.0.0' || settings.host === '::' ? '127.0.0.1' : settings.host;
  const local = `${process.env['TLS_CERT'] ? 'https' : 'http'}://${name.includes(':') ? `[${name}]` : name}:${settings.port}`;
  const until = performance.now() + READY_WITHIN_MS;
  let missing = 'the API does not answer';
  let saidAt = performance.now();
  while (performance.now() < until) {
    try {
      const readiness = await readinessOf(`${local}/health/ready`);
      if (readiness.status === 'ready') {
        say(
          await announcement(
            settings,
            servers,
            path.join(DIST, 'cli', 'token.js'),
            process.env['PUBLIC_URL']?.replace(/(?<!\/)\/+$/, '') || local,
            await operator,
          ),
        );
        return;
      }
      missing = `missing: ${readiness.missing.join(', ')}`;
    } catch {
      // Not listening yet.
    }
    if (performance.now() - saidAt > 5000) {
      saidAt = performance.now();
      say(`Waiting until everything serves (${missing})`);
    }
    await sleep(50);
  }
  throw new StartError(
    `Not ready after ${READY_WITHIN_MS / 1000} s (${missing}). Logs: ${path.join(settings.dataDir, 'logs')}`,
  );
}

interface Readiness {
  readonly status: string;
  readonly missing: readonly string[];
}

/** Asks our own API. Its certificate is made for its public name, not for this address, so it is not checked. */
function readinessOf(url: string): Promise<Readiness> {
  return new Promise((resolve, reject) => {
    const options = { timeout: 2000, rejectUnauthorized: false };
    const answered = (response: IncomingMessage): void =>
      void json(response).then((body) => resolve(body as Readiness), reject);
    const request = url.startsWith('https:')
      ? https.get(url, options, answered)
      : http.get(url, options, answered);
    request.on('timeout', () => request.destroy(new Error('no answer within 2 s')));
    request.on('error', reject);
  });
}

function portMessage({ host, port }: Settings, problem: string): string {
  switch (problem) {
    case 'EADDRINUSE':
      return `Port ${port} on ${host} is taken. Set PORT to a free one, for example: PORT=${port < 65_535 ? port + 1 : 3000} npm start`;
    case 'EACCES':
      return `Port ${port} on ${host} may not be used by this user. Set PORT to one above 1023.`;
    default:
      return `HOST=${host} is no address of this machine that can be listened on (${problem}). Set HOST to one, for example 127.0.0.1 or 0.0.0.0.`;
  }
}
