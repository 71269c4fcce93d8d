import { setTimeout as sleep } from 'node:timers/promises';
import { ACTIONS, type Contestant } from './contestant.js';
import type { Figures } from './figures.js';
import type { LoadPlan } from './load.js';
import { quantile } from './statistics.js';
import { MemoryWatch, cpuMs, type ServerUsage } from './usage.js';

const DRAIN_WITHIN_MS = 180_000;
const POLL_MS = 100;
/** Milliseconds after a load in which what was under way at its end may still be recorded: a create may be held back. */
const LATE_MS = 1500;
/** Milliseconds by which a contestant's clock may be behind ours. */
const CLOCK_DOUBT_MS = 50;

/** A record as every contestant leaves it, as far as it is measured. */
interface EndedRecord {
  readonly createdAt: Date;
  readonly completedAt: Date | null;
  readonly status: string;
  readonly result?: { readonly calledAt: number };
}

/**
 * Puts a contestant under a load, waits until it has finished all of it, and reads from its records what became of
 * each action: what it left over must neither be forgotten nor run in the next round.
 *
 * @throws Error when it refuses, loses or fails an action, or is not done in three minutes
 */
export async function measured(
  contestant: Contestant,
  plan: LoadPlan,
  seconds: number,
  usage: ServerUsage,
): Promise<Figures> {
  const { api, worker } = contestant.pids;
  const cpuOf = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
  const watch = new MemoryWatch([...api, ...worker]);
  const [apiBefore, workerBefore, before] = [cpuOf(api), cpuOf(worker), await usage.counts()];
  const load = await plan.put(contestant, seconds).finally(() => watch.stop());
  const records = await drained(contestant, load.startedAt, usage);
  // Else the next one's round would pay for it.
  await contestant.settled?.(usage.mongo);
  const after = await usage.counts();
  const [apiCpu, workerCpu] = [cpuOf(api) - apiBefore, cpuOf(worker) - workerBefore];
  const accepted = load.latencies.length;
  // A request that was under way at the end may have been recorded, or not.
  if (records.length < accepted || records.length > accepted + load.abandoned)
    throw new Error(`${contestant.name} accepted ${accepted} actions and recorded ${records.length}`);
  const failed = records.filter(({ status }) => status !== 'Completed').length;
  if (failed > 0) throw new Error(`${contestant.name} failed ${failed} of ${records.length} actions`);
  const ends = records.map(({ completedAt }) => completedAt?.getTime() ?? Number.NaN);
  const dispatch = records.map(
    ({ createdAt, result }) => (result?.calledAt ?? Number.NaN) - createdAt.getTime(),
  );
  const total = records.map(({ createdAt }, index) => (ends[index] ?? Number.NaN) - createdAt.getTime());
  const seen = {
    acceptP50Ms: quantile(load.latencies, 0.5),
    acceptP99Ms: quantile(load.latencies, 0.99),
    dispatchP50Ms: quantile(dispatch, 0.5),
    dispatchP99Ms: quantile(dispatch, 0.99),
    totalP50Ms: quantile(total, 0.5),
    totalP99Ms: quantile(total, 0.99),
    apiMiB: watch.peakOf(api),
    workerMiB: watch.peakOf(worker),
  };
  if (!plan.fills) return seen;
  const windowSeconds = (load.endedAt - load.startedAt) / 1000;
  const untilLastSeconds = (ends.reduce((a, b) => Math.max(a, b), 0) - load.startedAt) / 1000;
  const each = (of: number): number => of / records.length;
  return {
    ...seen,
    acceptedPerSecond: accepted / windowSeconds,
    completedPerSecond: ends.filter((end) => end <= load.endedAt).length / windowSeconds,
    drainedPerSecond: records.length / untilLastSeconds,
    apiCpuMs: each(apiCpu) * 1000,
    workerCpuMs: each(workerCpu) * 1000,
    mongodCpuMs: each(after.mongodCpuMs - before.mongodCpuMs) * 1000,
    redisCpuMs: each(after.redisCpuMs - before.redisCpuMs) * 1000,
    journalBytes: each(after.journalBytes - before.journalBytes),
    mongoWireBytes: each(after.mongoWireBytes - before.mongoWireBytes),
    redisWireBytes: each(after.redisWireBytes - before.redisWireBytes),
  };
}

/** Waits until no action is open, and gives the records since then. */
async function drained(
  { name, database, newest: { filter, hint } }: Contestant,
  startedAt: number,
  { mongo }: ServerUsage,
): Promise<readonly EndedRecord[]> {
  const actions = mongo.db(database).collection(ACTIONS);
  const options = hint === undefined ? {} : { hint };
  const open = { ...filter, status: { $in: ['NotStarted', 'Running'] } };
  const since = { ...filter, createdAt: { $gte: new Date(startedAt - CLOCK_DOUBT_MS) } };
  const until = performance.now() + DRAIN_WITHIN_MS;
  await sleep(LATE_MS);
  while (performance.now() < until) {
    await sleep(POLL_MS);
    if ((await actions.findOne(open, { ...options, projection: { _id: 1 } })) !== null) continue;
    const records = await actions
      .find(since, options)
      .project<EndedRecord>({ _id: 0, createdAt: 1, completedAt: 1, status: 1, 'result.calledAt': 1 })
      .toArray();
    // What was under way when the load ended may have come since.
    if (records.every(({ status }) => status !== 'NotStarted' && status !== 'Running')) return records;
  }
  throw new Error(`${name} has not finished its backlog in ${DRAIN_WITHIN_MS / 1000} s`);
}
