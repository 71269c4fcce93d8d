import { setTimeout as sleep } from 'node:timers/promises';
import { placesOf } from './catalogue.js';
import type { Cluster, LinkedNode } from './cluster.js';
import type { FaultKind, FaultRecord } from './evidence.js';
import type { Fault, Scene } from './fault.js';
import type { OpenActions } from './open-actions.js';
import type { Random } from '../support/random.js';
import type { Mode } from './modes.js';
import type { Workload } from './workload.js';

/** Of each, how many may be hurt at once: somebody has to be left for recovery to be a matter of time. */
const HURT_AT_ONCE = { worker: 2, api: 1 };

export interface DirectorOptions {
  readonly cluster: Cluster;
  readonly workload: Workload;
  readonly open: OpenActions;
  readonly random: Random;
  readonly faults: readonly Fault[];
  readonly count: number;
  readonly spacingMs: number;
  readonly onFault: (record: FaultRecord) => void;
}

/**
 * Causes faults, one about every `spacingMs`, overlapping as they come; of two that need the same place the later
 * waits. Resolves when the last one is healed.
 * @throws the first failure to cause or heal one, when all others have ended
 */
export async function direct(options: DirectorOptions): Promise<readonly FaultRecord[]> {
  const { cluster, random, faults, count, spacingMs } = options;
  const places = new Places(cluster);
  const records: FaultRecord[] = [];
  const running: Promise<void>[] = [];
  const startedAt = performance.now();
  for (let number = 1; number <= count; number += 1) {
    // Each choice is drawn before anything is waited for, so that the seed alone decides it.
    const fault = weighted(faults, random);
    const own = random.fork();
    const at = startedAt + (number - 1) * spacingMs + own.between(0, spacingMs / 2);
    await sleep(Math.max(0, at - performance.now()));
    const place = await places.take(fault, own);
    options.workload.allow(number / count);
    running.push(
      cause(options, { number, fault, place, random: own }, records).finally(() => places.leave(place)),
    );
  }
  const ended = await Promise.allSettled(running);
  const failed = ended.find((one) => one.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return records;
}

async function cause(
  { cluster, workload, open, onFault }: DirectorOptions,
  { number, fault, place, random }: { number: number; fault: Fault; place: string; random: Random },
  records: FaultRecord[],
): Promise<void> {
  const { id } = fault;
  const label = `${id} ${fault.title}`;
  const beganAt = Date.now();
  const scene: Scene = {
    cluster,
    workload,
    open,
    random,
    node: cluster.nodes.find(({ node }) => node.name === place) ?? (cluster.nodes[0] as LinkedNode),
    mode: modeIn(place, cluster.options.modes),
    heldUp: (ids) => open.track({ number, label, from: Date.now() }, ids),
  };
  const outcome = await fault.run(scene).catch((error: unknown) => {
    throw new Error(`${id} ${fault.title}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  });
  const healedAt = Date.now();
  if (outcome.heldUp === 'due') open.track({ number, label, from: healedAt }, await open.due());
  const record = { number, id, kind: fault.kind, what: outcome.what, beganAt, healedAt };
  records.push(record);
  onFault(record);
}

function modeIn(place: string, modes: readonly Mode[]): Mode {
  return modes.find((mode) => place.endsWith(` ${mode}`)) ?? (modes[0] as Mode);
}

function weighted(faults: readonly Fault[], random: Random): Fault {
  // What is only drawn when asked for weighs one then.
  const weights = faults.map(({ weight }) => Math.max(1, weight));
  let rest = random.between(
    1,
    weights.reduce((sum, weight) => sum + weight, 0),
  );
  const index = weights.findIndex((weight) => (rest -= weight) <= 0);
  return faults[index] as Fault;
}

/** Who is being hurt. */
class Places {
  readonly #taken = new Map<string, FaultKind>();
  readonly #names: Parameters<typeof placesOf>[1];

  constructor({ apis, workers, options }: Cluster) {
    const names = (nodes: readonly LinkedNode[]): string[] => nodes.map(({ node }) => node.name);
    this.#names = { apis: names(apis), workers: names(workers), modes: options.modes };
  }

  async take(fault: Fault, random: Random): Promise<string> {
    for (;;) {
      const free = placesOf(fault, this.#names).filter((place) => this.#isFree(place));
      if (free.length > 0) {
        const place = random.pick(free);
        this.#taken.set(place, fault.kind);
        return place;
      }
      await sleep(50);
    }
  }

  leave(place: string): void {
    this.#taken.delete(place);
  }

  #isFree(place: string): boolean {
    if (this.#taken.has('all') || this.#taken.has(place)) return false;
    if (place === 'all') return this.#taken.size === 0;
    return (
      this.#fewerThan(HURT_AT_ONCE.worker, place, this.#names.workers) &&
      this.#fewerThan(HURT_AT_ONCE.api, place, this.#names.apis)
    );
  }

  /** Whether one more of these may be hurt, if the place is one of them. */
  #fewerThan(most: number, place: string, group: readonly string[]): boolean {
    return !group.includes(place) || group.filter((name) => this.#taken.has(name)).length < most;
  }
}
