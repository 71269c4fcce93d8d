import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'yaml';
import { EMBEDDED_DEFAULT } from '#config';
import { RedisServer, findRedisServer, freePort } from '#embedded-servers';
import { API_COMMAND, WORKER_COMMAND } from '../deploy/start-commands.js';
import { Client } from './client.js';
import { freshDatabaseUri } from './database.js';
import { eventually } from './eventually.js';
import { ProductProcess } from './product-process.js';
import { SECRETS_KEY } from './secrets.js';
import { signToken } from './token.js';

export interface StackOptions {
  /**
   * Text of riposte.config.yaml; the embedded default (the mock for everyone) where there is none. Callers are limited
   * only where it has `limits`: most tests ask as often as they can.
   */
  readonly config?: string;
  /** Instead, the path of a riposte.config.yaml, taken as it stands. */
  readonly configFile?: string;
  /** How many workers. Default 1. */
  readonly workers?: number;
  /** A database on servers of the test's own; one on the shared replica set where there is none. */
  readonly mongodbUri?: string;
  /** Variables of the processes besides those that the stack sets. */
  readonly env?: Readonly<Record<string, string>>;
  /** The checkout whose compiled product the first processes are. Default: this one. */
  readonly root?: string;
  /** Those of the workers alone. */
  readonly workerEnv?: Readonly<Record<string, string>>;
  /** Certificate and key in PEM: the API then serves TLS. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** API and workers as real processes, on a database and a Redis of their own. */
export class Stack {
  readonly workers: ProductProcess[] = [];
  api!: ProductProcess;

  private constructor(
    readonly baseUrl: string,
    readonly dataDir: string,
    readonly mongodbUri: string,
    readonly env: Readonly<Record<string, string>>,
    readonly redis: RedisServer,
    private readonly workerEnv: Readonly<Record<string, string>>,
  ) {}

  static async start(options: StackOptions = {}): Promise<Stack> {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'riposte-stack-'));
    const port = await freePort();
    const binary = await findRedisServer(() => undefined);
    const redis = await RedisServer.start({
      binary,
      dir: path.join(dataDir, 'redis'),
      report: () => undefined,
    });
    const mongodbUri = options.mongodbUri ?? freshDatabaseUri();
    const configFile = options.configFile ?? path.join(dataDir, 'riposte.config.yaml');
    if (options.configFile === undefined) await writeFile(configFile, configOf(options.config));
    const tlsEnv = { TLS_CERT: path.join(dataDir, 'cert.pem'), TLS_KEY: path.join(dataDir, 'key.pem') };
    if (options.tls !== undefined) {
      await Promise.all([
        writeFile(tlsEnv.TLS_CERT, options.tls.cert),
        writeFile(tlsEnv.TLS_KEY, options.tls.key),
      ]);
    }
    const stack = new Stack(
      `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
      dataDir,
      mongodbUri,
      {
        MONGODB_URI: mongodbUri,
        REDIS_URL: redis.url,
        RIPOSTE_DATA_DIR: dataDir,
        RIPOSTE_SECRETS_KEY: SECRETS_KEY,
        PORT: String(port),
        HOST: '127.0.0.1',
        RIPOSTE_DRAIN_MS: '0',
        ...options.env,
        RIPOSTE_CONFIG: configFile,
        ...(options.tls === undefined ? {} : tlsEnv),
      },
      redis,
      options.workerEnv ?? {},
    );
    stack.api = new ProductProcess(API_COMMAND, stack.env, options.root);
    for (let index = 0; index < (options.workers ?? 1); index += 1) stack.startWorker(options.root);
    await Promise.all([stack.api, ...stack.workers].map((process) => process.ready()));
    await eventually(
      async () =>
        ((await (await fetch(`${stack.baseUrl}/health/ready`)).json()) as { status: string }).status ===
        // Nothing but its workers is missing.
        (stack.workers.length === 0 ? 'degraded' : 'ready'),
      15_000,
    );
    return stack;
  }

  /** @param root the checkout whose compiled product it is. Default: this one */
  startWorker(root?: string): ProductProcess {
    const worker = new ProductProcess(WORKER_COMMAND, { ...this.env, ...this.workerEnv }, root);
    this.workers.push(worker);
    return worker;
  }

  /** Starts the API (again) and waits until it serves. */
  async startApi(): Promise<ProductProcess> {
    const api = new ProductProcess(API_COMMAND, this.env);
    await api.ready();
    return api;
  }

  /** A client of a tenant, with a token of the built-in issuer. */
  async client(
    options: { readonly tenant?: string; readonly app?: string; readonly roles?: readonly string[] } = {},
  ): Promise<Client> {
    return new Client(this.baseUrl, await signToken(this.dataDir, options));
  }

  async issuerKey(): Promise<string> {
    return readFile(path.join(this.dataDir, 'issuer-key.json'), 'utf8');
  }

  async stop(signal?: NodeJS.Signals): Promise<void> {
    await Promise.all([this.api, ...this.workers].map((process) => process.end(signal)));
    await this.redis.stop();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

function configOf(text: string | undefined): string {
  const { providers } = EMBEDDED_DEFAULT;
  // JSON is YAML.
  return JSON.stringify({
    limits: { perApp: 0 },
    ...(text === undefined ? { providers } : (parse(text) as object)),
  });
}
