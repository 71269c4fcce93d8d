import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { GuardedProcess } from './guarded-process.js';
import { rememberedPort } from './port.js';
import { stillReporting, type Report } from './report.js';

const START_TIMEOUT_MS = 30_000;
/** How often another port is tried when somebody takes the one just chosen. */
const PORT_CHOICES = 3;
const PORT_TAKEN = /Address already in use/i;

export interface RedisOptions {
  readonly binary: string;
  /** Directory of its append-only file; made if missing. */
  readonly dir: string;
  /** Default: a free one, remembered in `<dir>.port`. */
  readonly port?: number;
  /** Default: beside the data, `<dir>.log`. */
  readonly logFile?: string;
  /** Milliseconds it may take to serve. Default 30 000; reading a large append-only file can take longer. */
  readonly startTimeoutMs?: number;
  /** Further arguments, for tests: `--aclfile` and the like. */
  readonly args?: readonly string[];
  /** Who asks whether it serves, where `args` leave nobody in without a name. */
  readonly user?: { readonly username: string; readonly password: string };
  /** Told of each start, before it serves. */
  readonly onLaunch?: (pid: number) => void;
  readonly report: Report;
}

/** A Redis on 127.0.0.1 that keeps what it is given: append-only file, no eviction. */
export class RedisServer {
  readonly #options: RedisOptions;
  readonly port: number;
  #process: GuardedProcess;

  private constructor(options: RedisOptions, port: number, process: GuardedProcess) {
    this.#options = options;
    this.port = port;
    this.#process = process;
  }

  /**
   * Starts redis-server with the data of an earlier run, of which a crash may have cut the last write short.
   * @throws Error with the last lines of its log when it ends early, or when it does not serve in time
   */
  static async start(options: RedisOptions): Promise<RedisServer> {
    await makeDir(options.dir);
    for (let choice = 1; ; choice += 1) {
      const port = options.port ?? (await rememberedPort(`${options.dir}.port`));
      const server = new RedisServer(options, port, await launch(options, port));
      try {
        await server.#answering();
        return server;
      } catch (error) {
        const lost = PORT_TAKEN.test((error as Error).message) && options.port === undefined;
        if (!lost || choice === PORT_CHOICES) throw error;
      }
    }
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** False once it has ended, by itself or because it was told to. */
  get running(): boolean {
    return this.#process.running;
  }

  /** Resolves when it has ended, by itself or because it was told to. */
  get exited(): Promise<number | null> {
    return this.#process.exited;
  }

  /** For faults: SIGSTOP, SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    this.#process.signal(signal);
  }

  /** Starts it again on the same port and data, after a stop, a kill or a crash. */
  async restart(): Promise<void> {
    await this.#process.stop();
    this.#process = await launch(this.#options, this.port);
    await this.#answering();
  }

  /** Ends it cleanly; by force after `forceAfterMs` (default 20 000). */
  async stop(forceAfterMs?: number): Promise<void> {
    await this.#process.stop(forceAfterMs);
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    await this.#process.kill();
  }

  async #answering(): Promise<void> {
    try {
      await stillReporting(this.#options.report, 'Waiting for Redis to serve', this.#pinged());
    } catch (error) {
      await this.#process.kill();
      throw error;
    }
  }

  async #pinged(): Promise<void> {
    const timeoutMs = this.#options.startTimeoutMs ?? START_TIMEOUT_MS;
    const until = performance.now() + timeoutMs;
    const client = new Redis(this.url, {
      lazyConnect: true,
      retryStrategy: null,
      maxRetriesPerRequest: 0,
      connectTimeout: 1000,
      commandTimeout: 1000,
      ...this.#options.user,
    });
    client.on('error', () => undefined);
    try {
      while (performance.now() < until) {
        if (!this.#process.running) {
          throw await startFailure(this.#process, this.#options);
        }
        try {
          if (client.status !== 'ready') await client.connect();
          await client.ping();
          return;
        } catch {
          await sleep(20);
        }
      }
    } finally {
      client.disconnect();
    }
    throw new Error(
      `redis-server does not serve after ${timeoutMs / 1000} s. Its log: ${this.#process.logFile}\n${await this.#process.lastLines(3)}`,
    );
  }
}

async function launch(options: RedisOptions, port: number): Promise<GuardedProcess> {
  const process = await GuardedProcess.start(
    options.binary,
    // prettier-ignore
    [
      '--bind', '127.0.0.1', '--port', String(port), '--dir', options.dir, '--save', '',
      '--appendonly', 'yes', '--appendfsync', 'everysec', '--aof-load-truncated', 'yes', '--maxmemory-policy', 'noeviction',
      ...(options.args ?? []),
    ],
    options.logFile ?? `${options.dir}.log`,
  );
  options.onLaunch?.(process.pid);
  return process;
}

async function makeDir(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new Error(`Redis's data directory ${dir} cannot be made: ${(cause as Error).message}`, { cause });
  }
}

const HINTS: readonly (readonly [RegExp, string])[] = [
  [PORT_TAKEN, 'Its port was taken in the meantime: start again.'],
  [/No space left|ENOSPC/i, 'The disk is full.'],
  [
    /Permission denied|Read-only file system|Can't chdir/i,
    'Its data directory cannot be written by this user.',
  ],
  [
    /Bad file format|Unexpected end of file|reading the append only file|Can't handle RDB format/i,
    'Its data is damaged, or was written by a newer version. MongoDB holds every action: stop, move the data directory away, and start again.',
  ],
];

async function startFailure(process: GuardedProcess, options: RedisOptions): Promise<Error> {
  const lines = await process.lastLines(8);
  const hint = HINTS.find(([pattern]) => pattern.test(lines))?.[1] ?? '';
  return new Error(
    `redis-server ended with code ${await process.exited} before it served. ${hint}\nData: ${options.dir}. Log: ${process.logFile}\n${lines.split('\n').slice(-4).join('\n')}`,
  );
}
