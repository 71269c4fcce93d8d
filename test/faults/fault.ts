import type { Cluster, LinkedNode } from './cluster.js';
import type { FaultKind } from './evidence.js';
import type { OpenActions } from './open-actions.js';
import type { Random } from '../support/random.js';
import type { Mode } from './modes.js';
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
  /** From now on it counts how soon each of these goes on. */
  readonly heldUp: (ids: readonly string[]) => void;
}

export interface Outcome {
  /** For people: what was done to what. */
  readonly what: string;
  /**
   * `due`: the actions that are due and in nobody's hands when it is healed were held up by it, and how soon they go
   * on counts from there. `none` where it said itself which were.
   */
  readonly heldUp: 'due' | 'none';
}
