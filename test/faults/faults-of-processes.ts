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
    weight: 2,
    async run({ node: { node }, open, random, heldUp }) {
      // From just past it, while whoever took over is in the middle of it, to long after.
      const ms = random.between(1.05 * LEASE_MS, 1.6 * LEASE_MS);
      heldUp(await open.heldBy(node.pid));
      node.signal('SIGSTOP');
      await sleep(ms);
      node.signal('SIGCONT');
      return { what: `SIGSTOP ${node.name} for ${ms} ms`, heldUp: 'none' };
    },
  },
  {
    id: 'F2',
    kind: 'worker',
    title: 'a worker with a slow way to MongoDB, paused past its lease',
    weight: 2,
    async run({ node: { node, links }, open, random, heldUp }) {
      // Much of what it holds is then between its claim and its intent.
      for (const proxy of links.mongo) proxy.slow(150, 150);
      await sleep(3000);
      const ms = random.between(1.05 * LEASE_MS, 1.4 * LEASE_MS);
      heldUp(await open.heldBy(node.pid));
      node.signal('SIGSTOP');
      await sleep(ms);
      node.signal('SIGCONT');
      for (const proxy of links.mongo) proxy.heal();
      return { what: `SIGSTOP ${node.name}, slow to MongoDB, for ${ms} ms`, heldUp: 'none' };
    },
  },
  {
    id: 'F2',
    kind: 'api',
    title: 'an API paused',
    weight: 1,
    async run({ node: { node }, random }) {
      const ms = random.between(2000, 8000);
      node.signal('SIGSTOP');
      await sleep(ms);
      node.signal('SIGCONT');
      return { what: `SIGSTOP ${node.name} for ${ms} ms`, heldUp: 'none' };
    },
  },
  {
    id: 'F3',
    kind: 'worker',
    title: "a worker's event loop blocked past its lease",
    weight: 2,
    async run({ node: { node }, open, heldUp }) {
      heldUp(await open.heldBy(node.pid));
      node.tell({ blockMs: 20_000 });
      await sleep(20_500);
      return { what: `event loop of ${node.name} blocked for 20 s`, heldUp: 'none' };
    },
  },
  { id: 'F14', kind: 'worker', title: "a worker's clock jumps by five minutes", weight: 2, run: skewed },
  { id: 'F14', kind: 'api', title: "an API's clock jumps by five minutes", weight: 1, run: skewed },
  {
    id: 'F16',
    kind: 'worker',
    title: 'a plugin that throws, never returns, or takes its worker along',
    weight: 2,
    async run({ workload, mode, random }) {
      const how = random.pick(['throw', 'exit', 'outOfMemory', 'block']);
      const id = await workload.create(TENANT, mode, 'Crash', { how });
      return { what: `action ${id ?? '(not acknowledged)'} crashes by ${how}`, heldUp: 'none' };
    },
  },
  {
    id: 'F19',
    kind: 'all',
    title: 'a rolling restart',
    weight: 1,
    async run({ cluster }) {
      for (const { node } of cluster.nodes) {
        const code = await node.stop();
        if (code !== 0) throw new Error(`${node.name} ended with code ${code} when it was asked to stop`);
        await node.start();
      }
      return { what: 'every process stopped and started, one after the other', heldUp: 'due' };
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

async function killed({ node: { node }, open, random, heldUp }: Scene): Promise<Outcome> {
  const times = random.between(1, 3);
  for (let kill = 1; kill <= times; kill += 1) {
    heldUp(await open.heldBy(node.pid));
    node.signal('SIGKILL');
    await sleep(random.between(600, 2000));
    if (kill < times) await node.ready();
  }
  await node.ready();
  return { what: `kill -9 ${node.name}, ${times} times`, heldUp: 'none' };
}

async function skewed({ node: { node }, random }: Scene): Promise<Outcome> {
  const skewMs = random.pick([-SKEW_MS, SKEW_MS]);
  node.tell({ skewMs });
  await sleep(random.between(5000, 15_000));
  node.tell({ skewMs: 0 });
  return { what: `clock of ${node.name} off by ${skewMs} ms, and back`, heldUp: 'due' };
}

/** Everything stops, the records go to another database, Redis is new: as after a disaster. */
async function restored({ cluster, workload }: Scene): Promise<Outcome> {
  workload.pause(true);
  await Promise.all(cluster.nodes.map(({ node }) => node.stop()));
  const from = cluster.db;
  const name = `restored_${Date.now()}`;
  cluster.useDatabase(name);
  await copy(from, cluster.db);
  const old = cluster.redis;
  cluster.useRedis(await cluster.startRedis());
  await old.kill();
  await cluster.startNodes();
  workload.pause(false);
  return { what: `records restored into ${name}, Redis empty`, heldUp: 'due' };
}

async function copy(from: mongoose.mongo.Db, to: mongoose.mongo.Db): Promise<void> {
  const documents = from.collection('actions').find();
  let batch: mongoose.mongo.BSON.Document[] = [];
  const flush = async (): Promise<void> => {
    if (batch.length > 0)
      await to.collection('actions').insertMany(batch, { writeConcern: { w: 'majority' } });
    batch = [];
  };
  for await (const document of documents) {
    batch.push(document);
    if (batch.length === 500) await flush();
  }
  await flush();
}
