import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';
import type { Fault, Outcome, Scene } from './fault.js';
import type { ActionRow } from './open-actions.js';

const { UUID } = mongoose.mongo;
/** Milliseconds a worker's claim holds without a heartbeat; what is paused longer is fenced out. */
const LEASE_MS = 15_000;
const SKEW_MS = 300_000;
/** Milliseconds for which a successor has to be at work when the first one, slow to come to itself, goes on. */
const LONG_ENOUGH_MS = 3000;

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
  {
    id: 'F3',
    kind: 'worker',
    title: "a worker's event loop blocked between claim and intent, until its successor has issued",
    weight: 2,
    run: overtaken,
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

/**
 * The interleaving that fencing is for: a worker has claimed, and stands still with its intent in hand; another takes
 * over and issues; then the first one's intent goes out. Only modes `lookup` and `none` write the two separately.
 */
async function overtaken(scene: Scene): Promise<Outcome> {
  const {
    cluster,
    node: { node },
    open,
    heldUp,
  } = scene;
  const what = `event loop of ${node.name} blocked between claim and intent`;
  const actions = cluster.db.collection<ActionRow>('actions');
  const victim = await within(20_000, () => victimOf(scene, actions));
  if (victim === null) return { what: `${what}: it wrote none`, heldUp: 'none' };
  heldUp(await open.heldBy(node.pid));
  const { _id, epoch } = victim.action;
  const successor = await within(LEASE_MS + 6000, () =>
    actions.findOne({ _id, epoch: { $gt: epoch }, intent: { $ne: null } }),
  );
  await victim.release();
  await sleep(500);
  const met = successor === null ? ', its successor was not met' : ' until its successor had issued';
  return { what: `${what}${met}`, heldUp: 'none' };
}

/** Stops the process at its next intent. Null, and it goes on, when that is of an action that would be over too soon. */
async function victimOf(
  { cluster, node: { node }, random }: Scene,
  actions: mongoose.mongo.Collection<ActionRow>,
): Promise<{ readonly action: ActionRow; release(): Promise<void> } | null> {
  const file = path.join(cluster.dir, `victim-${random.between(0, 1_000_000_000)}`);
  const [untilFile, idFile] = [`${file}.go`, `${file}.id`];
  const release = (): Promise<void> => writeFile(untilFile, '');
  node.tell({ blockBeforeIntent: { untilFile, idFile, mostMs: LEASE_MS + 8000 } });
  const id = await within(5000, () => readFile(idFile, 'utf8'));
  const action = id === null ? null : await actions.findOne({ _id: new UUID(id) });
  const duration = action?.parameters.find(({ name }) => name === 'durationMs')?.value ?? 0;
  if (action !== null && Number(duration) > LONG_ENOUGH_MS) return { action, release };
  await release();
  return null;
}

/** What the condition gives once it gives something; null when it does not in time. */
async function within<T>(ms: number, condition: () => Promise<T | null>): Promise<T | null> {
  const until = performance.now() + ms;
  while (performance.now() < until) {
    const value = await condition().catch(() => null);
    if (value !== null) return value;
    await sleep(10);
  }
  return null;
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
