import { LRUCache } from 'lru-cache';
import type { DueAction } from '#domain';

export interface HintMemoryOptions {
  /** Milliseconds on any steady clock. Default the process's monotonic clock. */
  readonly now?: () => number;
  /** Uniform in [0, 1). Default `Math.random`. */
  readonly random?: () => number;
  /** How many actions are remembered; beyond that the longest untouched is forgotten. Default 200,000: twice an instance's backlog. */
  readonly max?: number;
}

/** Milliseconds until what was hinted once, twice, … and is still due is hinted again; the last one repeats. */
const AGAIN_AFTER_MS = [5000, 15_000, 30_000] as const;
/** Share by which a delay varies, so that several workers do not hint the same at the same time. */
const JITTER = 0.3;

interface Hinted {
  readonly epoch: number;
  readonly nextAtMs: number;
  readonly times: number;
  readonly againAtMs: number;
}

/**
 * Which due actions a sweep has hinted, and when each may be hinted again. A job that waits behind others in a
 * healthy backlog is not lost: hinting it again every second would cost without helping. An action that was looked
 * at since (another epoch or `nextAt`) is new.
 */
export class HintMemory {
  readonly #hinted: LRUCache<string, Hinted>;
  readonly #now: () => number;
  readonly #random: () => number;

  constructor({
    now = () => performance.now(),
    random = Math.random,
    max = 200_000,
  }: HintMemoryOptions = {}) {
    this.#now = now;
    this.#random = random;
    this.#hinted = new LRUCache({ max });
  }

  /** True unless this very due time was hinted and its delay has not passed. */
  mayHint(action: DueAction): boolean {
    const known = this.#known(action);
    return known === undefined || known.againAtMs <= this.#now();
  }

  /** How often this very due time was hinted. */
  timesHinted(action: DueAction): number {
    return this.#known(action)?.times ?? 0;
  }

  /** Notes that these were hinted just now. */
  remember(actions: readonly DueAction[]): void {
    for (const action of actions) {
      const times = this.timesHinted(action) + 1;
      const delayMs = AGAIN_AFTER_MS[Math.min(times, AGAIN_AFTER_MS.length) - 1] ?? 0;
      this.#hinted.set(action.id, {
        epoch: action.epoch,
        nextAtMs: action.nextAt.getTime(),
        times,
        againAtMs: this.#now() + delayMs * (1 + JITTER * (2 * this.#random() - 1)),
      });
    }
  }

  /** Forgets everything: the hints were lost. */
  clear(): void {
    this.#hinted.clear();
  }

  #known({ id, epoch, nextAt }: DueAction): Hinted | undefined {
    const known = this.#hinted.get(id);
    return known?.epoch === epoch && known.nextAtMs === nextAt.getTime() ? known : undefined;
  }
}
