import { setTimeout as sleep } from 'node:timers/promises';
import type mongoose from 'mongoose';
import type { Fault, Outcome, Scene } from './fault.js';

/** Milliseconds a worker's claim holds without a heartbeat; what is paused longer is fenced out. */
const LEASE_MS = 15_000;
const SKEW_MS = 300_000;

/** Faults of API and worker processes: F1, F2, F3, F14, F16, F19, F21. */
export const PROCESS_FAULTS: readonly Fault[] = [
  { id: 'F1', kind: 'worker', title: 'kill -9 of a worker', weight: 5, run: killed },
  { id: 'F1', kind: 'api', title: 'kill -9 of an API', weight: 3, run: killed },
  {
    id: 'F2',
    kind: 'worker',
    title: 'a worker paused past its lease',
    weight: 3,
    async run({ node: { node }, open, began }) {
      const held = await open.heldBy(node.pid);
      began();
      node.signal('SIGSTOP');
      await sleep(1.5 * LEASE_MS);
      node.signal('SIGCONT');
      return { what: `SIGSTOP ${node.name} for ${1.5 * LEASE_MS} ms`, affected: held, recoversFrom: 'began' };
    },
  },
  {
    id: 'F2',
    kind: 'api',
    title: 'an API paused',
    weight: 1,
    async run({ node: { node }, random, began }) {
      const ms = random.between(2000, 8000);
      began();
      node.signal('SIGSTOP');
      await sleep(ms);
      node.signal('SIGCONT');
      return { what: `SIGSTOP ${node.name} for ${ms} ms`, affected: 'none', recoversFrom: 'healed' };
    },
  },
  {
    id: 'F3',
    kind: 'worker',
    title: "a worker's event loop blocked past its lease",
    weight: 2,
    async run({ node: { node }, open, began }) {
      const held = await open.heldBy(node.pid);
      began();
      node.tell({ blockMs: 20_000 });
      await sleep(20_500);
      return { what: `event loop of ${node.name} blocked for 20 s`, affected: held, recoversFrom: 'began' };
    },
  },
  { id: 'F14', kind: 'worker', title: "a worker's clock jumps by five minutes", weight: 2, run: skewed },
  { id: 'F14', kind: 'api', title: "an API's clock jumps by five minutes", weight: 1, run: skewed },
  {
    id: 'F16',
    kind: 'worker',
    title: 'a plugin that throws, never returns, or takes its worker along',
    weight: 2,
    async run({ workload, mode, random, began }) {
      const how = random.pick(['throw', 'exit', 'outOfMemory', 'block']);
      began();
      const id = await workload.create(TENANT, mode, 'Crash', { how });
      return { what: `action ${id ?? '(not acknowledged)'} crashes by ${how}`, affected: 'none', recoversFrom: 'healed' };
    },
  },
  {
    id: 'F19',
    kind: 'all',
    title: 'a rolling restart',
    weight: 1,
    async run({ cluster, began }) {
      began();
      for (const { node } of cluster.nodes) {
        const code = await node.stop();
        if (code !== 0) throw new Error(`${node.name} ended with code ${code} when it was asked to stop`);
        await node.start();
      }
      return { what: 'every process stopped and started, one after the other', affected: 'due', recoversFrom: 'healed' };
    },
  },
  {
    id: 'F21',
    kind: 'all',
    title: 'everything restored from a copy of the database, with an empty Redis',
    weight: 0,
    run: restored,
  },
];

const TENANT = '11111111-1111-4111-8111-111111111111';

async function killed({ node: { node }, open, random, began }: Scene): Promise<Outcome> {
  const times = random.between(1, 3);
  let held: readonly string[] = [];
  for (let kill = 1; kill <= times; kill += 1) {
    held = await open.heldBy(node.pid);
    began();
    node.signal('SIGKILL');
    await sleep(random.between(600, 2000));
    if (kill < times) await node.ready();
  }
  await node.ready();
  return { what: `kill -9 ${node.name}, ${times} times`, affected: held, recoversFrom: 'began' };
}

async function skewed({ node: { node }, random, began }: Scene): Promise<Outcome> {
  const skewMs = random.pick([-SKEW_MS, SKEW_MS]);
  began();
  node.tell({ skewMs });
  await sleep(random.between(5000, 15_000));
  node.tell({ skewMs: 0 });
  return { what: `clock of ${node.name} off by ${skewMs} ms, and back`, affected: 'due', recoversFrom: 'healed' };
}

/** Everything stops, the records go to another database, Redis is new: as after a disaster. */
async function restored({ cluster, workload, began }: Scene): Promise<Outcome> {
  workload.pause(true);
  await Promise.all(cluster.nodes.map(({ node }) => node.stop()));
  const from = cluster.db;
  const name = `restored_${Date.now()}`;
  cluster.useDatabase(name);
  await copy(from, cluster.db);
  const old = cluster.redis;
  cluster.useRedis(await cluster.startRedis());
  await old.kill();
  began();
  await cluster.startNodes();
  workload.pause(false);
  return { what: `records restored into ${name}, Redis empty`, affected: 'due', recoversFrom: 'healed' };
}

async function copy(from: mongoose.mongo.Db, to: mongoose.mongo.Db): Promise<void> {
  const documents = from.collection('actions').find();
  let batch: mongoose.mongo.BSON.Document[] = [];
  const flush = async (): Promise<void> => {
    if (batch.length > 0) await to.collection('actions').insertMany(batch, { writeConcern: { w: 'majority' } });
    batch = [];
  };
  for await (const document of documents) {
    batch.push(document);
    if (batch.length === 500) await flush();
  }
  await flush();
}

