import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import mongoose from 'mongoose';
import {
  MongoReplicaSet,
  RedisServer,
  findMongod,
  findRedisServer,
  freePort,
  type Report,
} from '#embedded-servers';
import { newKey } from '#secrets';
import { API_COMMAND, WORKER_COMMAND } from '../deploy/start-commands.js';
import { DEFAULT_SECRET } from '../simulators/defender/simulator.js';
import { DIST_DIR } from '../support/project-dir.js';
import { signToken } from '../support/token.js';
import { ProductNode } from './product-node.js';
import { mountSmallDisk, unmountSmallDisk } from './small-disk.js';
import { TcpProxy } from './tcp-proxy.js';
import { DEFENDER_SECRET, DefenderVendor } from './vendor-defender.js';
import { MockVendor } from './vendor-mock.js';
import type { Mode } from './modes.js';
import type { CampaignVendor } from './vendor.js';

const APIS = 2;
const WORKERS = 3;
const DATABASE = 'riposte';
/** Shorter than the defaults, so that what a vendor left unanswered is settled within a campaign. */
const ATTEMPT_TIMEOUT_MS = 5000;
const DEADLINE_MS = 300_000;
const MONGOD_DISK_MIB = 700;
const REDIS_DISK_MIB = 64;

export interface ClusterOptions {
  readonly seed: number;
  readonly modes: readonly Mode[];
  /** Where `dist/` of what is tested lies: this checkout, or a mutant of it. */
  readonly root: string;
  /** Start command of the worker; default the product's. */
  readonly workerCommand?: readonly string[];
  /** Redis and one member of MongoDB on small file systems of their own, which can be filled. */
  readonly smallDisks?: boolean;
  readonly report: Report;
  readonly onCrash: (name: string, how: string) => void;
}

/** The ways of one process to everything it needs, each a proxy that can be hurt by itself. */
export interface Links {
  /** One per member of the replica set, in its order. */
  readonly mongo: readonly TcpProxy[];
  readonly redis: TcpProxy;
  readonly vendors: ReadonlyMap<Mode, TcpProxy>;
}

export interface LinkedNode {
  readonly node: ProductNode;
  readonly links: Links;
}

export interface ApiNode extends LinkedNode {
  readonly url: string;
}

/**
 * Everything a campaign hurts, as real processes: APIs, workers, three MongoDB members, Redis, a mock vendor for each
 * way a vendor may treat a repeat, and Defender.
 */
export class Cluster {
  readonly apis: ApiNode[] = [];
  readonly workers: LinkedNode[] = [];
  readonly vendors = new Map<Mode, CampaignVendor>();
  /** Directories with a file system of their own. */
  readonly smallDisks: string[] = [];
  #redis: RedisServer | undefined;
  #mongo: MongoReplicaSet | undefined;
  #observer: mongoose.mongo.MongoClient | undefined;
  #redisBinary = '';
  #redisCount = 0;
  #database = DATABASE;
  readonly #secretsKey = newKey();

  private constructor(
    readonly dir: string,
    readonly options: ClusterOptions,
  ) {}

  /** Starts all of it and waits until it is ready. What was started ends with a failure. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(await mkdtemp(path.join(tmpdir(), 'riposte-faults-')), options);
    try {
      await cluster.#start();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get mongo(): MongoReplicaSet {
    return present(this.#mongo);
  }

  get redis(): RedisServer {
    return present(this.#redis);
  }

  /** The database as it is, past all proxies. */
  get db(): mongoose.mongo.Db {
    return present(this.#observer).db(this.#database);
  }

  /** The same, as an address. */
  get mongodbUri(): string {
    return this.mongo.uri.replace('/?', `/${this.#database}?`);
  }

  get nodes(): readonly LinkedNode[] {
    return [...this.apis, ...this.workers];
  }

  token(tenant: string): Promise<string> {
    return signToken(this.dir, { tenant, expiresInSeconds: 12 * 3600 });
  }

  /** Another Redis on data of its own, not used by anybody yet. */
  startRedis(): Promise<RedisServer> {
    this.#redisCount += 1;
    return RedisServer.start({
      binary: this.#redisBinary,
      dir: path.join(this.dir, `redis-${this.#redisCount}`),
      report: this.options.report,
    });
  }

  /** From now on everybody's Redis is this one, under the address they know. */
  useRedis(redis: RedisServer): void {
    this.#redis = redis;
    for (const { links } of this.nodes) links.redis.retarget(redis.port);
  }

  /** From now on processes that are started use this database of the same servers. */
  useDatabase(name: string): void {
    this.#database = name;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(({ node }) => node.stop()));
    await Promise.all(
      this.nodes.flatMap(({ links }) =>
        [...links.mongo, links.redis, ...links.vendors.values()].map((proxy) => proxy.stop()),
      ),
    );
    await this.#observer?.close();
    await Promise.all([...this.vendors.values()].map((vendor) => vendor.stop()));
    await this.#redis?.stop();
    await this.#mongo?.stop();
    for (const disk of this.smallDisks) await unmountSmallDisk(disk);
  }

  async #start(): Promise<void> {
    const { report, modes, seed } = this.options;
    const [mongod, redisServer] = [await findMongod(report), await findRedisServer(report)];
    this.#redisBinary = redisServer;
    await mkdir(this.#logDir, { recursive: true });
    if (this.options.smallDisks === true) {
      await this.#mount('mongo/member-0', MONGOD_DISK_MIB);
      await this.#mount('redis-1', REDIS_DISK_MIB);
    }
    for (const mode of modes)
      this.vendors.set(
        mode,
        mode === 'defender'
          ? await DefenderVendor.start({ seed, dir: this.dir })
          : await MockVendor.start(mode, seed),
      );
    this.#redis = await this.startRedis();
    this.#mongo = await MongoReplicaSet.start({
      binary: mongod,
      dir: path.join(this.dir, 'mongo'),
      cacheSizeGB: 0.25,
      report,
    });
    this.#observer = new mongoose.mongo.MongoClient(this.#mongo.uri, {
      readConcern: { level: 'majority' },
      connectTimeoutMS: 2000,
      socketTimeoutMS: 10_000,
      serverSelectionTimeoutMS: 30_000,
      heartbeatFrequencyMS: 1000,
    });
    await this.#observer.connect();
    await this.#writeConfig();
    for (let index = 1; index <= APIS; index += 1) {
      const port = await freePort();
      const linked = await this.#node(`api-${index}`, API_COMMAND, { PORT: String(port), HOST: '127.0.0.1' });
      this.apis.push({ ...linked, url: `http://127.0.0.1:${port}` });
    }
    const workerCommand = this.options.workerCommand ?? WORKER_COMMAND;
    for (let index = 1; index <= WORKERS; index += 1)
      this.workers.push(await this.#node(`worker-${index}`, workerCommand, {}));
    await this.startNodes();
  }

  async startNodes(): Promise<void> {
    await Promise.all(this.nodes.map(({ node }) => node.start()));
  }

  async #node(
    name: string,
    command: readonly string[],
    env: Readonly<Record<string, string>>,
  ): Promise<LinkedNode> {
    const links: Links = {
      mongo: await Promise.all(this.mongo.members.map(({ port }) => TcpProxy.start(port))),
      redis: await TcpProxy.start(this.redis.port),
      vendors: new Map(
        await Promise.all(
          [...this.vendors].map(
            async ([mode, vendor]) =>
              [mode, await TcpProxy.start(Number(new URL(vendor.baseUrl).port))] as const,
          ),
        ),
      ),
    };
    const reroute = Object.fromEntries([
      ...this.mongo.members.map(({ port }, index) => [port, links.mongo[index]?.port] as const),
      ...[...this.vendors].map(
        ([mode, { baseUrl }]) => [new URL(baseUrl).port, links.vendors.get(mode)?.port] as const,
      ),
    ]);
    const [file = 'node', ...args] = command;
    const node = new ProductNode({
      name,
      command: [file, '--import', path.join(DIST_DIR, 'test/faults/preload.js'), ...args],
      cwd: this.options.root,
      env: () => ({
        MONGODB_URI: this.mongodbUri,
        REDIS_URL: `redis://127.0.0.1:${links.redis.port}`,
        RIPOSTE_DATA_DIR: this.dir,
        RIPOSTE_SECRETS_KEY: this.#secretsKey,
        RIPOSTE_CONFIG: this.#configFile,
        FAULTS_REROUTE: JSON.stringify(reroute),
        [DEFENDER_SECRET]: DEFAULT_SECRET,
        ...env,
      }),
      logDir: this.#logDir,
      onCrash: this.options.onCrash,
    });
    return { node, links };
  }

  async #mount(name: string, mebibytes: number): Promise<void> {
    const disk = path.join(this.dir, name);
    await mountSmallDisk(disk, mebibytes);
    this.smallDisks.push(disk);
  }

  get #logDir(): string {
    return path.join(this.dir, 'logs');
  }

  get #configFile(): string {
    return path.join(this.dir, 'riposte.config.yaml');
  }

  async #writeConfig(): Promise<void> {
    const instances = [...this.vendors].map(([mode, { instance }]) => ({
      id: mode,
      ...instance,
      attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
      deadlineMs: DEADLINE_MS,
      network: { allow: ['127.0.0.0/8'] },
    }));
    // JSON is YAML.
    await writeFile(
      this.#configFile,
      JSON.stringify({ providers: instances, limits: { perApp: 0 } }, null, 2),
    );
  }
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the cluster is not up');
  return value;
}
