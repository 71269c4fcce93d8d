import { statSync } from 'node:fs';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { portIsFree } from '#embedded-servers';
import { announcement } from './announcement.js';
import { lockDataDir, makeDataDir } from './data-dir.js';
import { ProductProcess } from './product-process.js';
import { bringUpServers, type Servers } from './servers.js';
import { StartError, readSettings, type Settings } from './settings.js';

/** Brings up the whole system on this machine and keeps it up: `npm start`. */

const READY_WITHIN_MS = 60_000;
const STOP_CHILD_WITHIN_MS = 25_000;
const DIST = path.resolve(import.meta.dirname, '..');

// A closed terminal or pipe must not end what runs.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

let stopped: ((code: number) => Promise<void>) | undefined;
let stopWanted: (code: number) => void = () => undefined;
const wantsStop = new Promise<number>((resolve) => {
  stopWanted = resolve;
});
let interrupts = 0;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // npm passes a Ctrl-C on that the terminal has sent us already: only a later one is impatience.
    interrupts += 1;
    if (interrupts === 1) say('\nStopping …');
    stopWanted(0);
  });
}

try {
  const settings = readSettings(process.env);
  if (!(await portIsFree(settings.host, settings.port))) throw new StartError(await portTaken(settings));
  makeDataDir(settings.dataDir);
  const lock = lockDataDir(settings.dataDir);
  process.on('exit', lock.release);
  if (lock.repaired) say('An earlier run was killed; going on from its data.');
  await run(settings);
} catch (error) {
  await stopped?.(1);
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

async function run(settings: Settings): Promise<void> {
  const bringingUp = bringUpServers(settings, say);
  const servers = await Promise.race([bringingUp, wantsStop.then(() => null)]);
  if (servers === null) {
    await bringingUp.then((late) => late.stop()).catch(() => undefined);
    process.exit(0);
  }
  let fatal: string | undefined;
  const product = (['api', 'worker'] as const).map(
    (name) =>
      new ProductProcess({
        name,
        script: path.join(DIST, name, 'main.js'),
        env: childEnv(settings, servers),
        logFile: path.join(settings.dataDir, 'logs', `${name}.log`),
        say,
        onFatal: (message) => {
          fatal = message;
          stopWanted(1);
        },
      }),
  );
  stopped = async () => {
    await Promise.all(product.map((process) => process.stop(STOP_CHILD_WITHIN_MS)));
    await servers.stop();
  };
  for (const process of product) process.start();
  await Promise.race([announceWhenReady(settings, servers), wantsStop]);
  const code = await wantsStop;
  await stopped(code);
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
    PORT: String(settings.port),
    HOST: settings.host,
  };
}

async function announceWhenReady(settings: Settings, servers: Servers): Promise<void> {
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
            process.env['PUBLIC_URL']?.replace(/\/+$/, '') || local,
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

async function portTaken({ host, port, dataDir }: Settings): Promise<string> {
  const other = isThere(path.join(dataDir, 'launcher.lock'))
    ? ' (perhaps by a Riposte that runs already)'
    : '';
  return `Port ${port} on ${host} is taken${other}. Set PORT to a free one, for example: PORT=${port + 1} npm start`;
}

function isThere(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false }) !== undefined;
}
