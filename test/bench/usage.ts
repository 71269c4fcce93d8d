import { readFileSync } from 'node:fs';
import mongoose from 'mongoose';
import { Redis } from 'ioredis';
import type { TestServers } from '#embedded-servers';

const SAMPLE_MS = 200;
/** Linux counts CPU time in hundredths of a second wherever Node runs. */
const MS_PER_TICK = 10;

/** Resident memory of a process in MiB, by Linux's /proc. @throws Error when there is no such process */
export function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
}

/** Milliseconds of CPU that a process has used so far. @throws Error when there is no such process */
export function cpuMs(pid: number): number {
  // The name, in brackets, may hold anything.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

/** Watches the resident memory of processes, five times a second. */
export class MemoryWatch {
  readonly #peaks: Map<number, number>;
  readonly #timer: NodeJS.Timeout;

  constructor(pids: readonly number[]) {
    this.#peaks = new Map(pids.map((pid) => [pid, residentMiB(pid)]));
    this.#timer = setInterval(() => {
      for (const [pid, peak] of this.#peaks) this.#peaks.set(pid, Math.max(peak, residentMiB(pid)));
    }, SAMPLE_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The most that one of these had, in MiB. */
  peakOf(pids: readonly number[]): number {
    return Math.max(...pids.map((pid) => this.#peaks.get(pid) ?? Number.NaN));
  }
}

/** What the servers have done so far; bytes and milliseconds. */
export interface ServerCounts {
  readonly journalBytes: number;
  readonly mongoWireBytes: number;
  readonly redisWireBytes: number;
  readonly mongodCpuMs: number;
  readonly redisCpuMs: number;
}

/** The counters of a MongoDB and a Redis, and a client of each. */
export class ServerUsage {
  readonly mongo: mongoose.mongo.MongoClient;
  readonly #redis: Redis;
  readonly #servers: TestServers;

  constructor(servers: TestServers) {
    this.mongo = new mongoose.mongo.MongoClient(servers.mongodbUri);
    this.#redis = new Redis(servers.redisUrl, { maxRetriesPerRequest: null });
    this.#servers = servers;
  }

  async counts(): Promise<ServerCounts> {
    const [status, stats] = await Promise.all([
      this.mongo.db('admin').command({ serverStatus: 1 }) as Promise<unknown>,
      this.#info('stats'),
    ]);
    const { wiredTiger, network } = status as {
      readonly wiredTiger: { readonly log: Readonly<Record<string, number>> };
      readonly network: { readonly bytesIn: number; readonly bytesOut: number };
    };
    return {
      journalBytes: wiredTiger.log['log bytes written'] ?? Number.NaN,
      mongoWireBytes: network.bytesIn + network.bytesOut,
      redisWireBytes: stats('total_net_input_bytes') + stats('total_net_output_bytes'),
      mongodCpuMs: cpuMs(this.#servers.mongo.pid),
      redisCpuMs: cpuMs(this.#servers.redis.pid),
    };
  }

  /** Bytes that Redis holds its data in; what it has for connections, which come and go, is left out. */
  async redisBytes(): Promise<number> {
    const memory = await this.#info('memory');
    return memory('used_memory') - memory('mem_clients_normal') - memory('mem_aof_buffer');
  }

  /** Mean bytes of a record of a collection, uncompressed, and of its indexes' files for each. */
  async perRecord(
    database: string,
    collection: string,
  ): Promise<{ readonly recordBytes: number; readonly indexBytes: number }> {
    // Indexes have their size once they are on disk.
    await this.mongo.db('admin').command({ fsync: 1 });
    const [stats] = await this.mongo
      .db(database)
      .collection(collection)
      .aggregate<{ storageStats: Readonly<Record<'avgObjSize' | 'totalIndexSize' | 'count', number>> }>([
        { $collStats: { storageStats: {} } },
      ])
      .toArray();
    if (stats === undefined) throw new Error(`${database}.${collection} is not there`);
    const { avgObjSize, totalIndexSize, count } = stats.storageStats;
    return { recordBytes: avgObjSize, indexBytes: totalIndexSize / count };
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
    await this.mongo.close();
  }

  async #info(section: string): Promise<(name: string) => number> {
    const text = await this.#redis.info(section);
    return (name) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN);
  }
}
