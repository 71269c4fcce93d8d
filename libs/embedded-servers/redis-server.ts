import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { GuardedProcess } from './guarded-process.js';
import { freePort } from './port.js';
import type { Report } from './report.js';

const START_TIMEOUT_MS = 30_000;

export interface RedisOptions {
  readonly binary: string;
  /** Directory of its append-only file; made if missing. */
  readonly dir: string;
  /** Default: a free one. */
  readonly port?: number;
  readonly logFile?: string;
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

  /** @throws Error with the last lines of its log when it ends early, or after 30 s */
  static async start(options: RedisOptions): Promise<RedisServer> {
    await mkdir(options.dir, { recursive: true });
    const port = options.port ?? (await freePort());
    const server = new RedisServer(options, port, await launch(options, port));
    await server.#answering();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Resolves when it has ended, by itself or because it was told to. */
  get exited(): Promise<number | null> {
    return this.#process.exited;
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.signal(signal);
  }

  /** Starts it again on the same port and data, after a stop, a kill or a crash. */
  async restart(): Promise<void> {
    await this.#process.stop();
    this.#process = await launch(this.#options, this.port);
    await this.#answering();
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }

  async kill(): Promise<void> {
    await this.#process.kill();
  }

  async #answering(): Promise<void> {
    const until = performance.now() + START_TIMEOUT_MS;
    const client = new Redis(this.url, {
      lazyConnect: true,
      retryStrategy: null,
      maxRetriesPerRequest: 0,
      connectTimeout: 1000,
    });
    client.on('error', () => undefined);
    try {
      while (performance.now() < until) {
        if (!this.#process.running) {
          throw new Error(
            `redis-server ended with code ${await this.#process.exited} before it served. Log: ${this.#process.logFile}\n${await this.#process.lastLines(4)}`,
          );
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
    await this.#process.kill();
    throw new Error(
      `redis-server has not answered within ${START_TIMEOUT_MS / 1000} s. Log: ${this.#process.logFile}`,
    );
  }
}

function launch(options: RedisOptions, port: number): Promise<GuardedProcess> {
  return GuardedProcess.start(
    options.binary,
    // prettier-ignore
    [
      '--bind', '127.0.0.1', '--port', String(port), '--dir', options.dir, '--save', '',
      '--appendonly', 'yes', '--appendfsync', 'everysec', '--aof-load-truncated', 'yes', '--maxmemory-policy', 'noeviction',
    ],
    options.logFile ?? `${options.dir}.log`,
  );
}
