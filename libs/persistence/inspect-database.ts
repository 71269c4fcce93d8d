import mongoose from 'mongoose';
import { indexStates, type IndexState } from './indexes.js';
import { sampleOffsetMs } from './server-clock.js';

const { MongoClient } = mongoose.mongo;
/** Unauthorized; AtlasError, as which Atlas refuses a command. */
const REFUSED = new Set<unknown>([13, 8000]);

/** Also where there is no primary. Commands do not have it from their client. */
const ANY_MEMBER = { readPreference: 'nearest' } as const;

/** What answers at an address. */
export type Topology =
  | { readonly kind: 'standalone' | 'sharded' }
  | {
      readonly kind: 'replicaSet';
      readonly name: string;
      /** Where it serves; null: there is none. */
      readonly primary: string | null;
      readonly members: number;
    };

/** The room there is on the disk of the data. */
export interface DiskSpace {
  readonly usedBytes: number;
  readonly totalBytes: number;
}

/** How far the log goes back by which members, and whoever follows changes, catch up. */
export interface OplogWindow {
  readonly hours: number;
  /** False: it is not full yet, so that the window still grows. */
  readonly isFull: boolean;
}

/**
 * Looks at a MongoDB. Nothing is changed but for one document that {@link majorityWrite} writes. Each question is asked by
 * itself, and answered with null where the user may not ask it.
 */
export class DatabaseInspection {
  readonly #client: mongoose.mongo.MongoClient;
  readonly #withinMs: number;

  private constructor(
    client: mongoose.mongo.MongoClient,
    withinMs: number,
    readonly topology: Topology,
  ) {
    this.#client = client;
    this.#withinMs = withinMs;
  }

  /**
   * @param withinMs milliseconds that each question may take
   * @throws the driver's error when nothing answers, or refuses the credentials
   */
  static async open(uri: string, withinMs: number): Promise<DatabaseInspection> {
    const client = new MongoClient(uri, {
      appName: 'riposte-doctor',
      serverSelectionTimeoutMS: withinMs,
      connectTimeoutMS: Math.min(2000, withinMs),
      socketTimeoutMS: withinMs,
      retryReads: false,
      retryWrites: false,
      ...ANY_MEMBER,
    });
    try {
      const hello = await client.db('admin').command({ hello: 1 }, ANY_MEMBER);
      return new DatabaseInspection(client, withinMs, topologyOf(hello));
    } catch (error) {
      await client.close().catch(() => undefined);
      throw error;
    }
  }

  async version(): Promise<string> {
    const { version } = await this.#client.db('admin').command({ buildInfo: 1 }, ANY_MEMBER);
    return String(version);
  }

  /** Of the members those that are neither primary, secondary nor arbiter, with what they are instead. */
  async unwellMembers(): Promise<readonly string[] | null> {
    const status = await permitted(this.#client.db('admin').command({ replSetGetStatus: 1 }, ANY_MEMBER));
    if (status === null) return null;
    const members = status['members'] as readonly { readonly name: string; readonly stateStr: string }[];
    return members
      .filter(({ stateStr }) => !['PRIMARY', 'SECONDARY', 'ARBITER'].includes(stateStr))
      .map(({ name, stateStr }) => `${name} (${stateStr.toLowerCase()})`);
  }

  /** Whether what a majority has is on their disks: the setting by which a majority write waits for the journal. */
  async journalsMajority(): Promise<boolean | null> {
    const answer = await permitted(this.#client.db('admin').command({ replSetGetConfig: 1 }, ANY_MEMBER));
    if (answer === null) return null;
    const { config } = answer as {
      readonly config?: { readonly writeConcernMajorityJournalDefault?: boolean };
    };
    return config?.writeConcernMajorityJournalDefault ?? true;
  }

  /**
   * Milliseconds that a write takes until a majority has it in its journal.
   * @throws the driver's error when that takes too long or is refused
   */
  async majorityWrite(): Promise<number | null> {
    const startedAt = performance.now();
    const written = await permitted(
      this.#client
        .db()
        .collection<{ _id: string }>('health')
        .updateOne({ _id: 'doctor' }, [{ $set: { at: '$$NOW' } }], {
          upsert: true,
          writeConcern: { w: 'majority', journal: true, wtimeoutMS: this.#withinMs },
        }),
    );
    return written === null ? null : performance.now() - startedAt;
  }

  /** Asks the primary. */
  indexes(): Promise<readonly IndexState[] | null> {
    return permitted(indexStates(this.#client.db(), this.#withinMs));
  }

  async disk(): Promise<DiskSpace | null> {
    const stats = await permitted(this.#client.db().command({ dbStats: 1 }, ANY_MEMBER));
    if (stats === null) return null;
    const { fsUsedSize, fsTotalSize } = stats as {
      readonly fsUsedSize?: number;
      readonly fsTotalSize?: number;
    };
    if (fsUsedSize === undefined || fsTotalSize === undefined || fsTotalSize <= 0) return null;
    return { usedBytes: fsUsedSize, totalBytes: fsTotalSize };
  }

  async oplog(): Promise<OplogWindow | null> {
    const local = this.#client.db('local');
    const log = local.collection<{ readonly wall: Date }>('oplog.rs');
    const end = (order: 1 | -1) =>
      log
        .find({}, { projection: { wall: 1 }, maxTimeMS: this.#withinMs })
        .sort({ $natural: order })
        .limit(1)
        .next();
    const found = await permitted(
      Promise.all([
        end(1),
        end(-1),
        local.command({ collStats: 'oplog.rs', maxTimeMS: this.#withinMs }, ANY_MEMBER),
      ]),
    );
    if (found === null) return null;
    const [first, last, { size, maxSize }] = found as unknown as readonly [
      { readonly wall: Date } | null,
      { readonly wall: Date } | null,
      { readonly size: number; readonly maxSize: number },
    ];
    if (first === null || last === null) return null;
    // MongoDB lets it grow a little over its size before it cuts.
    return { hours: (last.wall.getTime() - first.wall.getTime()) / 3_600_000, isFull: size > 0.9 * maxSize };
  }

  /** Milliseconds that the primary's clock is ahead of this machine's; less than the time of a round trip is not told apart. */
  async clockAheadMs(): Promise<number> {
    const offsetMs = await sampleOffsetMs(this.#client.db('admin'));
    return performance.now() + offsetMs - Date.now();
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}

function topologyOf(hello: Readonly<Record<string, unknown>>): Topology {
  const { setName, primary, hosts } = hello as {
    readonly setName?: string;
    readonly primary?: string;
    readonly hosts?: readonly string[];
  };
  if (hello['msg'] === 'isdbgrid') return { kind: 'sharded' };
  if (setName === undefined) return { kind: 'standalone' };
  return { kind: 'replicaSet', name: setName, primary: primary ?? null, members: hosts?.length ?? 0 };
}

/** Null where the user may not ask. */
async function permitted<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (REFUSED.has((error as { readonly code?: unknown }).code)) return null;
    throw error;
  }
}
