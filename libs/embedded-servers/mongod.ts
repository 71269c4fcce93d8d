import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';
import { GuardedProcess } from './guarded-process.js';
import { stillReporting, type Report } from './report.js';

const { MongoClient } = mongoose.mongo;
const START_TIMEOUT_MS = 60_000;

export interface MongodOptions {
  readonly binary: string;
  readonly setName: string;
  readonly port: number;
  /** Its data; made if missing. */
  readonly dbPath: string;
  /** Default: beside the data, `<dbPath>.log`. */
  readonly logFile?: string;
  /** Gigabytes of WiredTiger's cache. Default 0.5. */
  readonly cacheSizeGB?: number;
  /** Milliseconds it may take to serve. Default 60 000; repairing much data after a crash can take longer, as can moving a set away from a port on which somebody accepts and never answers (mongod asks there for 30 s). */
  readonly startTimeoutMs?: number;
  /** `--setParameter name=value`, for tests: `enableTestCommands=1` allows fail points. */
  readonly parameters?: readonly string[];
  /** Further arguments, for tests: `--keyFile` and the like. Without credentials it has to be able to say hello. */
  readonly args?: readonly string[];
  /** Told of each start, before it serves. */
  readonly onLaunch?: (pid: number) => void;
  readonly report: Report;
}

/** mongod ended before it served. */
export class MongodStartError extends Error {
  constructor(
    message: string,
    /** Its port was taken by somebody else between the choice and the start. */
    readonly portTaken: boolean,
  ) {
    super(message);
    this.name = 'MongodStartError';
  }
}

/** One mongod on 127.0.0.1, a member of some replica set. */
export class Mongod {
  readonly #options: MongodOptions;
  #process: GuardedProcess;

  private constructor(options: MongodOptions, process: GuardedProcess) {
    this.#options = options;
    this.#process = process;
  }

  /** Starts it, without waiting until it serves. @throws Error when its data directory cannot be made */
  static async launch(options: MongodOptions): Promise<Mongod> {
    await makeDir(options.dbPath);
    return new Mongod(options, await launch(options));
  }

  get port(): number {
    return this.#options.port;
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

  /** Ends it cleanly; by force after `forceAfterMs` (default 20 000). */
  async stop(forceAfterMs?: number): Promise<void> {
    await this.#process.stop(forceAfterMs);
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    await this.#process.kill();
  }

  /** Starts it again on the same port and data, without waiting until it serves. One that runs is stopped first. */
  async relaunch(): Promise<void> {
    await this.#process.stop();
    this.#process = await launch(this.#options);
  }

  /**
   * Repeats a step, each time with a new direct connection, until it gives true. It is killed when it fails.
   * @throws MongodStartError with the last lines of its log when it ends; @throws Error after the start timeout
   */
  async until(step: (admin: mongoose.mongo.Db) => Promise<boolean>): Promise<void> {
    try {
      await stillReporting(this.#options.report, 'Waiting for MongoDB to serve', this.#repeat(step));
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  async #repeat(step: (admin: mongoose.mongo.Db) => Promise<boolean>): Promise<void> {
    const timeoutMs = this.#options.startTimeoutMs ?? START_TIMEOUT_MS;
    const until = performance.now() + timeoutMs;
    let last: unknown;
    while (performance.now() < until) {
      if (!this.#process.running) throw await startFailure(this.#process, this.#options);
      // A client whose first connection was refused stays closed for good, so each look is by a new one.
      const client = new MongoClient(`mongodb://127.0.0.1:${this.port}/?directConnection=true`, {
        serverSelectionTimeoutMS: 500,
        connectTimeoutMS: 1000,
        socketTimeoutMS: 10_000,
      });
      try {
        if (await step(client.db('admin'))) return;
      } catch (error) {
        last = error;
      } finally {
        await client.close();
      }
      await sleep(50);
    }
    throw new Error(
      `mongod does not serve after ${timeoutMs / 1000} s (${last instanceof Error ? last.message : 'no primary'}). Its log: ${this.#process.logFile}\n${await this.#process.lastLines(3)}`,
    );
  }
}

async function launch(options: MongodOptions): Promise<GuardedProcess> {
  const process = await GuardedProcess.start(
    options.binary,
    // prettier-ignore
    [
      '--replSet', options.setName, '--bind_ip', '127.0.0.1', '--port', String(options.port),
      '--dbpath', options.dbPath, '--wiredTigerCacheSizeGB', String(options.cacheSizeGB ?? 0.5),
      '--nounixsocket', '--noscripting', '--quiet',
      // How long a primary that is stopped first sees to its clients' moving on: 15 s by default.
      '--setParameter', 'shutdownTimeoutMillisForSignaledShutdown=1000',
      ...(options.parameters ?? []).flatMap((parameter) => ['--setParameter', parameter]),
      ...(options.args ?? []),
    ],
    options.logFile ?? `${options.dbPath}.log`,
  );
  options.onLaunch?.(process.pid);
  return process;
}

async function makeDir(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new Error(
      `MongoDB's data directory ${path.resolve(dir)} cannot be made: ${(cause as Error).message}`,
      { cause },
    );
  }
}

const PORT_TAKEN = /Address already in use/i;
const HINTS: readonly (readonly [RegExp, string])[] = [
  [PORT_TAKEN, 'Its port was taken in the meantime: start again.'],
  [/DBPathInUse|another mongod instance/i, 'Another mongod runs on the same data directory.'],
  [/No space left|ENOSPC/i, 'The disk is full.'],
  [
    /Permission denied|Read-only file system|Attempted to create a lock file/i,
    'Its data directory cannot be written by this user.',
  ],
  [
    /incompatible|featureCompatibilityVersion|UPGRADE PROBLEM|requires a newer/i,
    'Its data was written by another version of MongoDB: use that version (MONGOD_BIN), or move the data directory away.',
  ],
  [/WiredTiger error|corrupt/i, 'Its data files are damaged: restore them, or move the data directory away.'],
];

async function startFailure(process: GuardedProcess, options: MongodOptions): Promise<MongodStartError> {
  const lines = await process.lastLines(30);
  const hint = HINTS.find(([pattern]) => pattern.test(lines))?.[1] ?? '';
  const code = await process.exited;
  return new MongodStartError(
    `mongod ended with code ${code} before it served. ${hint}\nData: ${options.dbPath}. Log: ${process.logFile}\n${lines.split('\n').slice(-4).join('\n')}`,
    PORT_TAKEN.test(lines),
  );
}
