import mongoose from 'mongoose';
import { Mongod, MongodStartError, type MongodOptions } from './mongod.js';
import { rememberedPort } from './port.js';

const { MongoServerError } = mongoose.mongo;
const SET_NAME = 'rs0';
/** How often another port is tried when somebody takes the one just chosen. */
const PORT_CHOICES = 3;

/** The port is chosen, and remembered beside the data. */
export type MongoOptions = Omit<MongodOptions, 'setName' | 'port'>;

/** A replica set of one on 127.0.0.1. */
export class MongoServer {
  readonly #mongod: Mongod;

  private constructor(mongod: Mongod) {
    this.#mongod = mongod;
  }

  /**
   * Starts mongod and waits for a writable primary. Data of an earlier run is kept, on whatever port that ran.
   * @throws Error with the last lines of its log when it ends early, or when it does not serve in time
   */
  static async start(options: MongoOptions): Promise<MongoServer> {
    for (let choice = 1; ; choice += 1) {
      // A port is cheaper to keep than to move a replica set.
      const port = await rememberedPort(`${options.dbPath}.port`);
      const mongod = await Mongod.launch({ ...options, port, setName: SET_NAME });
      try {
        await mongod.until((admin) => isPrimary(admin, port));
        return new MongoServer(mongod);
      } catch (error) {
        if (!(error instanceof MongodStartError && error.portTaken) || choice === PORT_CHOICES) throw error;
      }
    }
  }

  get port(): number {
    return this.#mongod.port;
  }

  get uri(): string {
    return `mongodb://127.0.0.1:${this.port}/?replicaSet=${SET_NAME}`;
  }

  get pid(): number {
    return this.#mongod.pid;
  }

  /** Resolves when it has ended, by itself or because it was told to. */
  get exited(): Promise<number | null> {
    return this.#mongod.exited;
  }

  /** For faults: SIGSTOP, SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    this.#mongod.signal(signal);
  }

  /** Starts it again on the same port and data, and waits for a writable primary. */
  async restart(): Promise<void> {
    await this.#mongod.relaunch();
    await this.#mongod.until((admin) => isPrimary(admin, this.port));
  }

  /** Ends it cleanly; by force after `forceAfterMs` (default 20 000). */
  async stop(forceAfterMs?: number): Promise<void> {
    await this.#mongod.stop(forceAfterMs);
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    await this.#mongod.kill();
  }
}

/** One step towards a writable primary: initiate a new set, or move a kept one to the port it has now. */
async function isPrimary(admin: mongoose.mongo.Db, port: number): Promise<boolean> {
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
