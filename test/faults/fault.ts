import type { Cluster, LinkedNode, Mode } from './cluster.js';
import type { FaultKind } from './evidence.js';
import type { OpenActions } from './open-actions.js';
import type { Random } from './random.js';
import type { Workload } from './workload.js';

/** A kind of fault that can be caused. */
export interface Fault {
  /** F1 … F21, as docs/guarantees.md lists them. */
  readonly id: string;
  readonly kind: FaultKind;
  readonly title: string;
  /** How often it is drawn in a random campaign, beside the others. 0: only when asked for. */
  readonly weight: number;
  /** Why it cannot be caused on this machine; null when it can. */
  readonly impossible?: () => string | null;
  /** Causes it and heals it. */
  readonly run: (scene: Scene) => Promise<Outcome>;
}

/** What a fault may touch: of the processes, only the one it was given. */
export interface Scene {
  readonly cluster: Cluster;
  readonly workload: Workload;
  readonly open: OpenActions;
  readonly random: Random;
  /** The process it is for, where its kind is `worker`, `api` or `network`. */
  readonly node: LinkedNode;
  /** The vendor it is for, where its kind is `vendor`. */
  readonly mode: Mode;
  /** Says what is done, and is the moment from which recovery counts. Called again, it moves the moment. */
  readonly began: () => void;
}

export interface Outcome {
  /** For people: what was done to what. */
  readonly what: string;
  /** Which actions it held up: those of a process, those that are due when it is healed, or none. */
  readonly affected: 'due' | 'none' | readonly string[];
  /** From when recovery counts: the moment it began (what heals by itself), or when it was healed. */
  readonly recoversFrom: 'began' | 'healed';
}
