import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BuiltinIssuer } from '#auth';
import { freePort } from '#embedded-servers';
import { newKey } from '#secrets';
import { API_COMMAND, WORKER_COMMAND } from '../deploy/start-commands.js';

const DIST = path.resolve(import.meta.dirname, '../..');
const TENANT = '11111111-1111-4111-8111-111111111111';

/** One of the pipelines that are compared: an API and a worker process on a database of their own. */
export interface Contestant {
  readonly name: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly database: string;
  readonly processes: Readonly<Record<'api' | 'worker', ChildProcess>>;
  stop(): Promise<void>;
}

export interface Servers {
  readonly mongodbUri: string;
  readonly redisUrl: string;
}

/** The request every contestant is sent. */
export const REQUEST_BODY = JSON.stringify({
  name: 'BlockIp',
  actionReason: 'Bench',
  parameters: [{ name: 'IP', value: '1.2.3.4' }],
  vendorInformation: { vendor: 'Mock', provider: 'Mock' },
});

/** Riposte as shipped: validation, auth, log, leases, history; the mock provider without a ledger. */
export async function startProduct(
  servers: Servers,
  { name = 'riposte', env: more = {} }: { readonly name?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Contestant> {
  const dir = await mkdtemp(path.join(tmpdir(), 'riposte-bench-'));
  const config = path.join(dir, 'riposte.config.yaml');
  await writeFile(
    config,
    'providers: [{ id: mock, plugin: mock, limits: { concurrency: 64 } }]\nlimits: { perApp: 0 }\n',
  );
  const port = await freePort();
  const env = {
    ...process.env,
    NODE_ENV: 'production',
    MONGODB_URI: withDatabase(servers.mongodbUri, `product-${name}`),
    REDIS_URL: servers.redisUrl,
    RIPOSTE_DATA_DIR: dir,
    RIPOSTE_SECRETS_KEY: newKey(),
    RIPOSTE_SECRETS_KEY_FILE: '',
    RIPOSTE_CONFIG: config,
    HOST: '127.0.0.1',
    PORT: String(port),
    ...more,
  };
  const api = await start('apps/api/main.js', [], env, API_COMMAND.slice(1, -1));
  const worker = await start('apps/worker/main.js', [], env, WORKER_COMMAND.slice(1, -1));
  const issuer = await BuiltinIssuer.open(dir);
  const token = await issuer.issue({
    tenantId: TENANT,
    appId: TENANT,
    roles: ['SecurityActions.ReadWrite.All'],
    expiresInSeconds: 86_400,
  });
  return {
    name,
    url: `http://127.0.0.1:${port}/beta/security/securityActions`,
    headers: { authorization: `Bearer ${token}` },
    database: `product-${name}`,
    processes: { api, worker },
    stop: async () => {
      await Promise.all([end(api), end(worker)]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The minimal hand-written pipeline. */
export async function startMinimal(servers: Servers): Promise<Contestant> {
  const port = await freePort();
  const uri = withDatabase(servers.mongodbUri, 'minimal');
  const env = { ...process.env, NODE_ENV: 'production' };
  const api = await start('test/bench/minimal/api.js', [uri, servers.redisUrl, String(port)], env);
  const worker = await start('test/bench/minimal/worker.js', [uri, servers.redisUrl], env);
  return {
    name: 'minimal',
    url: `http://127.0.0.1:${port}/`,
    headers: {},
    database: 'minimal',
    processes: { api, worker },
    stop: async () => {
      await Promise.all([end(api), end(worker)]);
    },
  };
}

/** Resident memory of a process in MiB. */
export function residentMiB(child: ChildProcess): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
}

async function start(
  script: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  execArgv: readonly string[] = [],
): Promise<ChildProcess> {
  const child = fork(path.join(DIST, script), args, {
    env,
    execArgv: [...execArgv],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const [message] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => {
      throw new Error(`${script} ended before it was ready`);
    }),
  ])) as [{ readonly type: string; readonly message?: string }];
  if (message.type !== 'ready') throw new Error(`${script}: ${message.message}`);
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
}

function withDatabase(uri: string, name: string): string {
  return uri.replace('/?', `/${name}?`);
}
