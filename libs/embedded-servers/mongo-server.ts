import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';
import { GuardedProcess } from './guarded-process.js';
import { freePort, portIsFree } from './port.js';
import type { Report } from './report.js';

const { MongoClient, MongoServerError } = mongoose.mongo;
const SET_NAME = 'rs0';
const START_TIMEOUT_MS = 30_000;

export interface MongoOptions {
  readonly binary: string;
  /** Its data; made if missing. The port is remembered beside it. */
  readonly dbPath: string;
  readonly logFile?: string;
  /** Gigabytes of WiredTiger's cache. Default 0.5. */
  readonly cacheSizeGB?: number;
  readonly report: Report;
}

/** A replica set of one on 127.0.0.1. */
export class MongoServer {
  readonly #options: MongoOptions;
  readonly port: number;
  #process: GuardedProcess;

  private constructor(options: MongoOptions, port: number, process: GuardedProcess) {
    this.#options = options;
    this.port = port;
    this.#process = process;
  }

  /**
   * Starts mongod and waits for a writable primary. Data of an earlier run is kept, on whatever port that ran.
   * @throws Error with the last lines of its log when it ends early, or after 30 s
   */
  static async start(options: MongoOptions): Promise<MongoServer> {
    await makeDir(options.dbPath);
    const port = await rememberedPort(`${options.dbPath}.port`);
    const server = new MongoServer(options, port, await launch(options, port));
    try {
      await server.#becomePrimary();
    } catch (error) {
      await server.#process.kill();
      throw error;
    }
    return server;
  }

  get uri(): string {
    return `mongodb://127.0.0.1:${this.port}/?replicaSet=${SET_NAME}`;
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

  /** Starts it again on the same port and data. */
  async restart(): Promise<void> {
    await this.#process.stop();
    this.#process = await launch(this.#options, this.port);
    await this.#becomePrimary();
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }

  async kill(): Promise<void> {
    await this.#process.kill();
  }

  async #becomePrimary(): Promise<void> {
    const until = performance.now() + START_TIMEOUT_MS;
    let last: unknown;
    while (performance.now() < until) {
      if (!this.#process.running) throw await startFailure(this.#process, this.#options);
      // A client whose first connection was refused stays closed for good, so each look is by a new one.
      const client = new MongoClient(`mongodb://127.0.0.1:${this.port}/?directConnection=true`, {
        serverSelectionTimeoutMS: 500,
        connectTimeoutMS: 1000,
      });
      try {
        if (await isPrimary(client, this.port)) return;
      } catch (error) {
        last = error;
      } finally {
        await client.close();
      }
      await sleep(50);
    }
    throw new Error(
      `mongod has not become primary within ${START_TIMEOUT_MS / 1000} s (${last instanceof Error ? last.message : 'no answer'}). Its log: ${this.#process.logFile}\n${await this.#process.lastLines(3)}`,
    );
  }
}

function launch(options: MongoOptions, port: number): Promise<GuardedProcess> {
  const logFile = options.logFile ?? `${options.dbPath}.log`;
  return GuardedProcess.start(
    options.binary,
    // prettier-ignore
    [
      '--replSet', SET_NAME, '--bind_ip', '127.0.0.1', '--port', String(port), '--dbpath', options.dbPath,
      '--wiredTigerCacheSizeGB', String(options.cacheSizeGB ?? 0.5), '--nounixsocket', '--quiet',
    ],
    logFile,
  );
}

/** One step towards a writable primary: initiate a new set, or move a kept one to the port it has now. */
async function isPrimary(client: mongoose.mongo.MongoClient, port: number): Promise<boolean> {
  const admin = client.db('admin');
  const host = `127.0.0.1:${port}`;
  const hello = await admin.command({ hello: 1 });
  if (hello['isWritablePrimary'] === true) return true;
  try {
    const { config } = (await admin.command({ replSetGetConfig: 1 })) as unknown as {
      readonly config: {
        readonly version: number;
        readonly members: readonly { readonly _id: number; readonly host: string }[];
      };
    };
    const [member] = config.members;
    if (member !== undefined && member.host !== host) {
      await admin.command({
        replSetReconfig: { ...config, version: config.version + 1, members: [{ ...member, host }] },
        force: true,
      });
    }
  } catch (error) {
    if (!(error instanceof MongoServerError) || error.codeName !== 'NotYetInitialized') throw error;
    await admin.command({
      replSetInitiate: {
        _id: SET_NAME,
        members: [{ _id: 0, host }],
        settings: { electionTimeoutMillis: 1000 },
      },
    });
  }
  return false;
}

/** The port of the last run, if it is free again; a port is cheaper to keep than to move a replica set. */
async function rememberedPort(file: string): Promise<number> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const remembered = Number(text.trim());
  if (Number.isInteger(remembered) && remembered > 1023 && (await portIsFree('127.0.0.1', remembered)))
    return remembered;
  const port = await freePort();
  await writeFile(`${file}.new`, String(port));
  await rename(`${file}.new`, file);
  return port;
}

async function makeDir(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true });
  } catch (cause) {
    throw new Error(
      `MongoDB's data directory ${path.resolve(dir)} cannot be made: ${(cause as Error).message}`,
      { cause },
    );
  }
}

const HINTS: readonly (readonly [RegExp, string])[] = [
  [/Address already in use/i, 'Its port was taken in the meantime: start again.'],
  [
    /Permission denied|IllegalOperation.*dbpath|Read-only file system|Attempted to create a lock file/i,
    'Its data directory cannot be written by this user.',
  ],
  [
    /incompatible|featureCompatibilityVersion|UPGRADE PROBLEM|requires a newer/i,
    'Its data was written by another version of MongoDB: use that version (MONGOD_BIN), or move the data directory away.',
  ],
  [/DBPathInUse|another mongod instance/i, 'Another mongod runs on the same data directory.'],
  [/No space left|ENOSPC/i, 'The disk is full.'],
  [/WiredTiger error|corrupt/i, 'Its data files are damaged: restore them, or move the data directory away.'],
];

async function startFailure(process: GuardedProcess, options: MongoOptions): Promise<Error> {
  const lines = await process.lastLines(30);
  const hint = HINTS.find(([pattern]) => pattern.test(lines))?.[1] ?? '';
  const code = await process.exited;
  return new Error(
    `mongod ended with code ${code} before it served. ${hint}\nData: ${options.dbPath}. Log: ${process.logFile}\n${lines.split('\n').slice(-4).join('\n')}`,
  );
}
