import { setTimeout as sleep } from 'node:timers/promises';
import type { SecurityAction } from '#domain';
import { auditBreaks } from './audit-breaks.js';
import { check, type Verdict } from './checker.js';
import { Cluster } from './cluster.js';
import { direct } from './director.js';
import type { Evidence, FaultRecord } from './evidence.js';
import type { Fault } from './fault.js';
import { OpenActions, type ActionRow } from './open-actions.js';
import { Random } from '../support/random.js';
import type { Mode } from './modes.js';
import { TENANTS, Workload } from './workload.js';

/** Milliseconds after the last fault and the last acknowledgement by which everything has to have ended. */
const DRAIN_WITHIN_MS = 180_000;
const TENANT_SAMPLE = 50;

export interface CampaignOptions {
  readonly seed: number;
  readonly actions: number;
  readonly faultCount: number;
  readonly faults: readonly Fault[];
  /** Milliseconds between two faults, on average. */
  readonly spacingMs: number;
  readonly modes: readonly Mode[];
  readonly root: string;
  readonly workerCommand?: readonly string[];
  readonly drainWithinMs?: number;
  readonly say: (line: string) => void;
}

/** What came of it. */
export interface Campaign {
  readonly verdict: Verdict;
  readonly evidence: Evidence;
  readonly crashes: number;
  readonly seconds: number;
  /** Logs and acknowledgements. */
  readonly dir: string;
}

/** Runs one campaign on servers of its own, and judges it. */
export async function runCampaign(options: CampaignOptions): Promise<Campaign> {
  const { seed, modes, say } = options;
  const startedAt = performance.now();
  const random = new Random(seed);
  let crashes = 0;
  say('Starting three members of MongoDB, Redis, vendors, two APIs and three workers …');
  const cluster = await Cluster.start({
    seed,
    modes,
    root: options.root,
    ...(options.workerCommand === undefined ? {} : { workerCommand: options.workerCommand }),
    smallDisks: options.faults.some(({ id }) => id === 'F18'),
    report: say,
    onCrash: () => (crashes += 1),
  });
  try {
    const tokens = new Map(
      await Promise.all(TENANTS.map(async (tenant) => [tenant, await cluster.token(tenant)] as const)),
    );
    const open = new OpenActions(() => cluster.db.collection<ActionRow>('actions'));
    const workload = new Workload({
      apis: cluster.apis,
      vendors: cluster.vendors,
      tokens,
      random: random.fork(),
      actions: options.actions,
      spreadMs: Math.max(1, options.faultCount) * options.spacingMs,
      dir: cluster.dir,
    });
    for (const vendor of cluster.vendors.values()) await vendor.ordinaryDay();
    open.start();
    workload.start();
    const faults = await direct({
      cluster,
      workload,
      open,
      random: random.fork(),
      faults: options.faults,
      count: options.faultCount,
      spacingMs: options.spacingMs,
      onFault: (record) => say(lineOf(record, workload.acknowledged, open.count)),
    });
    await workload.finish();
    say(
      `All ${options.faultCount} faults healed, ${workload.acknowledged} actions acknowledged; waiting for the rest to end …`,
    );
    await drained(open, options.drainWithinMs ?? DRAIN_WITHIN_MS);
    await open.stop();
    const records = await recordsOf(cluster);
    const evidence: Evidence = {
      creations: workload.creations,
      cancels: workload.cancels,
      faults,
      records,
      recoveries: open.recoveries,
      firstFinals: open.firstFinals,
      ledger: [...cluster.vendors.values()].flatMap((vendor) => vendor.ledger()),
      leaked: await leaked(workload),
      // A worker as people write one by hand keeps none.
      auditBreaks:
        options.workerCommand === undefined
          ? await auditBreaks(
              cluster.mongodbUri,
              records.map(({ id }) => id),
            )
          : [],
    };
    await workload.close();
    return {
      verdict: check(evidence),
      evidence,
      crashes,
      seconds: (performance.now() - startedAt) / 1000,
      dir: cluster.dir,
    };
  } finally {
    await cluster.stop();
  }
}

function lineOf(
  { number, id, what, beganAt, healedAt }: FaultRecord,
  acknowledged: number,
  open: number,
): string {
  return `fault ${String(number).padStart(3)} ${id.padEnd(3)} ${what} (${((healedAt - beganAt) / 1000).toFixed(1)} s)  acknowledged ${acknowledged}, open ${open}`;
}

async function drained(open: OpenActions, withinMs: number): Promise<void> {
  const until = performance.now() + withinMs;
  // Two looks: what was created a moment ago may not have been seen yet.
  let empty = 0;
  while (empty < 2 && performance.now() < until) {
    await sleep(500);
    empty = open.count === 0 ? empty + 1 : 0;
  }
}

async function recordsOf(cluster: Cluster): Promise<readonly SecurityAction[]> {
  const rows = await cluster.db.collection<ActionRow>('actions').find().toArray();
  return rows.map(({ _id, ...row }) => ({ id: _id.toString(), ...row }));
}

/** Ids of one tenant that the other is shown, of a sample. */
async function leaked(workload: Workload): Promise<readonly string[]> {
  const sample = workload.creations.filter(({ id }) => id !== null).slice(-TENANT_SAMPLE);
  const shown: string[] = [];
  for (const { id, tenant } of sample) {
    const other = TENANTS.find((one) => one !== tenant);
    if (id !== null && other !== undefined && (await workload.sees(other, id))) shown.push(id);
  }
  return shown;
}
