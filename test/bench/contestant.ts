import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type mongoose from 'mongoose';
import { BuiltinIssuer } from '#auth';
import { freePort } from '#embedded-servers';
import { newKey } from '#secrets';
import { API_COMMAND, WORKER_COMMAND } from '../deploy/start-commands.js';
import { DIST_DIR } from '../support/project-dir.js';

/** Whose actions the product is asked for. */
export const TENANT = '11111111-1111-4111-8111-111111111111';
export const ACTIONS = 'actions';

/** One of the pipelines that are compared: API and worker processes on a database of their own. */
export interface Contestant {
  readonly name: string;
  /** Where actions are asked for, one address per API process. */
  readonly urls: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly database: string;
  /** How its newest records are found without reading all of them. */
  readonly newest: { readonly filter: object; readonly hint?: mongoose.mongo.Hint };
  /** Pids by role. */
  readonly pids: Readonly<Record<'api' | 'worker', readonly number[]>>;
  /** Resolves once it has done what it does after its actions have ended. Default: that is nothing. */
  readonly settled?: (mongo: mongoose.mongo.MongoClient) => Promise<void>;
  stopWorkers(): Promise<void>;
  stop(): Promise<void>;
}

export interface Addresses {
  readonly mongodbUri: string;
  readonly redisUrl: string;
}

export interface ProductOptions {
  /** Default `riposte`. */
  readonly name?: string;
  /** A Redis database of its own: two products on one would take each other's hints. Default 0. */
  readonly redisDb?: number;
  /** Default: one of its own, by its name. */
  readonly database?: string;
  /** Processes. Default 1 of each. */
  readonly apis?: number;
  readonly workers?: number;
  readonly env?: NodeJS.ProcessEnv;
  /** The checkout whose compiled product it is. Default: this one. */
  readonly root?: string;
  /** More lines of its configuration. Default none. */
  readonly config?: string;
  /** A directory for a CPU profile of each process, written when it ends. Default: none. */
  readonly profiles?: string;
}

/** The request every contestant is sent. */
export const REQUEST_BODY = JSON.stringify({
  name: 'BlockIp',
  actionReason: 'Bench',
  parameters: [{ name: 'IP', value: '1.2.3.4' }],
  vendorInformation: { vendor: 'Mock', provider: 'Mock' },
});

/** Only the limit per application is off; the mock notes when it is called. */
const CONFIG = `
providers: [{ id: mock, plugin: mock, settings: { notesCalls: true }, limits: { concurrency: 64 } }]
limits: { perApp: 0 }
`;

/** Riposte as shipped: validation, auth, log, leases, history; the mock provider without a ledger. */
export async function startProduct(
  { mongodbUri, redisUrl }: Addresses,
  { name = 'riposte', redisDb = 0, apis = 1, workers = 1, profiles, ...options }: ProductOptions = {},
): Promise<Contestant> {
  const dist = options.root === undefined ? DIST_DIR : path.join(options.root, 'dist');
  const database = options.database ?? `product-${name.replaceAll(' ', '-')}`;
  const dir = await mkdtemp(path.join(tmpdir(), 'riposte-bench-'));
  const config = path.join(dir, 'riposte.config.yaml');
  await writeFile(config, `${CONFIG}${options.config ?? ''}`);
  const env = {
    ...process.env,
    NODE_ENV: 'production',
    MONGODB_URI: withDatabase(mongodbUri, database),
    REDIS_URL: new URL(`/${redisDb}`, redisUrl).href,
    RIPOSTE_DATA_DIR: dir,
    RIPOSTE_SECRETS_KEY: newKey(),
    RIPOSTE_SECRETS_KEY_FILE: '',
    RIPOSTE_CONFIG: config,
    RIPOSTE_DRAIN_MS: '0',
    HOST: '127.0.0.1',
    ...options.env,
  };
  const flagsOf = (command: readonly string[], role: string): readonly string[] => [
    ...command.slice(1, -1),
    ...(profiles === undefined
      ? []
      : ['--cpu-prof', `--cpu-prof-dir=${profiles}`, `--cpu-prof-name=${role}.cpuprofile`]),
  ];
  const ports: number[] = [];
  const processes = new Processes();
  try {
    for (let index = 0; index < apis; index += 1) {
      const port = await freePort();
      ports.push(port);
      await processes.start(
        'api',
        path.join(dist, 'apps/api/main.js'),
        [],
        { ...env, PORT: String(port) },
        flagsOf(API_COMMAND, 'api'),
      );
    }
    for (let index = 0; index < workers; index += 1)
      await processes.start(
        'worker',
        path.join(dist, 'apps/worker/main.js'),
        [],
        env,
        flagsOf(WORKER_COMMAND, 'worker'),
      );
    const issuer = await BuiltinIssuer.open(dir);
    const token = await issuer.issue({
      tenantId: TENANT,
      appId: TENANT,
      roles: ['SecurityActions.ReadWrite.All'],
      expiresInSeconds: 86_400,
    });
    return {
      name,
      urls: ports.map((port) => `http://127.0.0.1:${port}/beta/security/securityActions`),
      headers: { authorization: `Bearer ${token}` },
      database,
      newest: { filter: { tenantId: TENANT } },
      pids: processes.pids,
      stopWorkers: () => processes.stop('worker'),
      stop: async () => {
        await processes.stop();
        await rm(dir, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await processes.stop();
    throw error;
  }
}

/** A pipeline written by hand, an API and a worker process: see the folder of its name. */
export async function startYardstick(
  { mongodbUri, redisUrl }: Addresses,
  name: 'minimal' | 'grouped',
): Promise<Contestant> {
  const port = await freePort();
  const uri = withDatabase(mongodbUri, name);
  const env = { ...process.env, NODE_ENV: 'production' };
  const programs = path.join(DIST_DIR, 'test/bench', name);
  const processes = new Processes();
  try {
    await processes.start('api', path.join(programs, 'api.js'), [uri, redisUrl, String(port)], env);
    await processes.start('worker', path.join(programs, 'worker.js'), [uri, redisUrl], env);
  } catch (error) {
    await processes.stop();
    throw error;
  }
  return {
    name,
    urls: [`http://127.0.0.1:${port}/`],
    headers: {},
    database: name,
    // They have no index but that of ids; the last written are read first.
    newest: { filter: {}, hint: { $natural: -1 } },
    pids: processes.pids,
    stopWorkers: () => processes.stop('worker'),
    stop: () => processes.stop(),
  };
}

/** The same server, another database on it. */
export function withDatabase(uri: string, name: string): string {
  return uri.replace('/?', `/${name}?`);
}

type Role = 'api' | 'worker';

/** Children that end with this process. */
class Processes {
  readonly #children: Readonly<Record<Role, ChildProcess[]>> = { api: [], worker: [] };

  get pids(): Readonly<Record<Role, readonly number[]>> {
    const of = (role: Role) => this.#children[role].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
    return { api: of('api'), worker: of('worker') };
  }

  async start(
    role: Role,
    script: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv,
    execArgv: readonly string[] = [],
  ): Promise<void> {
    const child = fork(script, args, {
      env,
      execArgv: [...execArgv],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#children[role].push(child);
    const [message] = (await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => {
        throw new Error(`${script} ended before it was ready`);
      }),
    ])) as [{ readonly type: string; readonly message?: string }];
    if (message.type !== 'ready') throw new Error(`${script}: ${message.message}`);
  }

  /** Ends those of a role, or all. */
  async stop(role?: Role): Promise<void> {
    const { api, worker } = this.#children;
    await Promise.all((role === undefined ? [...api, ...worker] : this.#children[role]).map(ended));
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
}
