import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';
import { Mongod, type MongodOptions } from './mongod.js';
import { freePort } from './port.js';

const { MongoServerError } = mongoose.mongo;
const SET_NAME = 'rs0';

export interface MongoReplicaSetOptions extends Pick<
  MongodOptions,
  'binary' | 'cacheSizeGB' | 'startTimeoutMs' | 'parameters' | 'args' | 'report'
> {
  /** Each member's data and log lie in it, `member-0`, `member-0.log`, …. */
  readonly dir: string;
  /** How many members. Default 3. */
  readonly members?: number;
  /** Milliseconds without a primary after which the others elect one. Default 1000. */
  readonly electionTimeoutMs?: number;
}

/** A replica set of several members on 127.0.0.1, to be hurt: for tests of faults. Its ports are not kept. */
export class MongoReplicaSet {
  private constructor(readonly members: readonly MongoMember[]) {}

  /**
   * Starts new members on empty directories and waits for a primary and for every other member to follow it.
   * @throws Error with the last lines of a member's log when that ends early, or when one is not there in time
   */
  static async start(options: MongoReplicaSetOptions): Promise<MongoReplicaSet> {
    const ports = await freePorts(options.members ?? 3);
    const launched = await Promise.all(
      ports.map((port, index) =>
        Mongod.launch({
          ...options,
          port,
          setName: SET_NAME,
          dbPath: path.join(options.dir, `member-${index}`),
        }),
      ),
    );
    const set = new MongoReplicaSet(launched.map((mongod) => new MongoMember(mongod)));
    try {
      await Promise.all(launched.map((mongod) => mongod.until(answers)));
      await launched[0]?.until((admin) => isInitiated(admin, ports, options.electionTimeoutMs ?? 1000));
      await Promise.all(launched.map((mongod) => mongod.until(hasItsPlace)));
      return set;
    } catch (error) {
      await Promise.all(launched.map((mongod) => mongod.kill()));
      throw error;
    }
  }

  get uri(): string {
    return `mongodb://${this.members.map(({ port }) => `127.0.0.1:${port}`).join(',')}/?replicaSet=${SET_NAME}`;
  }

  /** The member that takes writes. @throws Error when there is none within `withinMs` (default 30 000) */
  async primary(withinMs = 30_000): Promise<MongoMember> {
    const until = performance.now() + withinMs;
    while (performance.now() < until) {
      const primaries = await Promise.all(this.members.map((member) => member.isPrimary()));
      // Of two, the older one has not heard yet that it is none any more.
      const [index, another] = primaries.flatMap((yes, at) => (yes ? [at] : []));
      const member = index === undefined || another !== undefined ? undefined : this.members[index];
      if (member !== undefined) return member;
      await sleep(50);
    }
    throw new Error(`The replica set has no primary after ${withinMs / 1000} s.`);
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop()));
  }
}

/** One member of a set. */
export class MongoMember {
  readonly #mongod: Mongod;

  constructor(mongod: Mongod) {
    this.#mongod = mongod;
  }

  get port(): number {
    return this.#mongod.port;
  }

  get pid(): number {
    return this.#mongod.pid;
  }

  /** False once it has ended, by itself or because it was told to. */
  get running(): boolean {
    return this.#mongod.running;
  }

  /** For faults: SIGSTOP, SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    this.#mongod.signal(signal);
  }

  /** Runs a command of the admin database on this very member. @throws the driver's error */
  async command(command: mongoose.mongo.BSON.Document): Promise<mongoose.mongo.BSON.Document> {
    const client = new mongoose.mongo.MongoClient(`mongodb://127.0.0.1:${this.port}/?directConnection=true`);
    try {
      return await client.db('admin').command(command);
    } finally {
      await client.close();
    }
  }

  /** Ends it cleanly: a primary hands over first. */
  async stop(): Promise<void> {
    await this.#mongod.stop();
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    await this.#mongod.kill();
  }

  /** Starts it again on the same port and data, and waits until it is primary or follows one. */
  async restart(): Promise<void> {
    await this.#mongod.relaunch();
    await this.#mongod.until(hasItsPlace);
  }

  /** Whether it takes writes now; false, too, when it does not answer. */
  async isPrimary(): Promise<boolean> {
    return (await this.#hello())?.['isWritablePrimary'] === true;
  }

  async #hello(): Promise<mongoose.mongo.BSON.Document | null> {
    const client = new mongoose.mongo.MongoClient(`mongodb://127.0.0.1:${this.port}/?directConnection=true`, {
      serverSelectionTimeoutMS: 500,
      connectTimeoutMS: 500,
      socketTimeoutMS: 500,
    });
    try {
      return await client.db('admin').command({ hello: 1 });
    } catch {
      return null;
    } finally {
      await client.close();
    }
  }
}

async function answers(admin: mongoose.mongo.Db): Promise<boolean> {
  await admin.command({ ping: 1 });
  return true;
}

async function hasItsPlace(admin: mongoose.mongo.Db): Promise<boolean> {
  const hello = await admin.command({ hello: 1 });
  return (
    hello['isWritablePrimary'] === true || (hello['secondary'] === true && hello['primary'] !== undefined)
  );
}

async function isInitiated(
  admin: mongoose.mongo.Db,
  ports: readonly number[],
  electionTimeoutMillis: number,
): Promise<boolean> {
  try {
    await admin.command({
      replSetInitiate: {
        _id: SET_NAME,
        members: ports.map((port, _id) => ({ _id, host: `127.0.0.1:${port}` })),
        settings: {
          electionTimeoutMillis,
          heartbeatIntervalMillis: Math.min(500, electionTimeoutMillis / 2),
        },
      },
    });
  } catch (error) {
    if (!(error instanceof MongoServerError) || error.codeName !== 'AlreadyInitialized') throw error;
  }
  return true;
}

/** Different ones: asked for one after the other, the system may give the same again. */
async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
