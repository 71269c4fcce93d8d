import { randomUUID } from 'node:crypto';
import type { ActionQueue, ActionStore, HintAnswer } from '#domain';
import type { Logger } from '#telemetry';
import { ActionRun } from './action-run.js';
import { InstanceCalls } from './instance-calls.js';
import { Permits } from './permits.js';
import { PollGroups } from './poll-groups.js';
import type { ProviderRegistry } from './registry.js';

export interface RunActionOptions {
  readonly store: ActionStore;
  readonly queue: ActionQueue;
  readonly registry: ProviderRegistry;
  readonly log: Logger;
  readonly workerId: string;
  /** For the calls that ask about many actions at once. Default: nobody limits them. */
  readonly calls?: InstanceCalls;
  /** Milliseconds a claim holds without a heartbeat. Default 15,000; heartbeats come three times as often. */
  readonly leaseMs?: number;
}

const DEFAULT_LEASE_MS = 15_000;
/** Milliseconds a hint waits in hand for a permit before it is looked at again. */
const PERMIT_WAIT_MS = 1000;

/** The worker's side of the story: hint → permit → claim → run → settle. */
export class RunAction {
  readonly #options: RunActionOptions;
  readonly #leaseMs: number;
  readonly #permits: ReadonlyMap<string, Permits>;
  readonly #polls: PollGroups;
  readonly #running = new Map<string, ActionRun>();
  readonly #lookedAt = new Map<string, number>();
  readonly #startedAt = performance.now();
  #draining = false;

  constructor(options: RunActionOptions) {
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? DEFAULT_LEASE_MS;
    this.#polls = new PollGroups(options.calls ?? new InstanceCalls({ log: options.log }));
    this.#permits = new Map(
      options.registry.instances.map(({ id, config }) => [id, new Permits(config.concurrency)]),
    );
  }

  /**
   * Looks at one action and takes it as far as it goes now. A hint that is stale, early or double does nothing.
   * `shutdown` aborted: what is in hand is handed over to another worker.
   */
  async look(
    hint: { readonly actionId: string; readonly instance: string; readonly isCancel: boolean },
    shutdown: AbortSignal,
  ): Promise<HintAnswer> {
    const { actionId } = hint;
    this.#lookedAt.set(hint.instance, performance.now());
    if (this.#running.has(actionId)) {
      this.hearCancel(actionId);
      return undefined;
    }
    // A cancel does not wait behind the work it is to stop.
    const release = hint.isCancel
      ? () => undefined
      : await this.#permits.get(hint.instance)?.acquire(PERMIT_WAIT_MS);
    if (release === undefined) return undefined;
    if (release === null) return { lookAgainMs: PERMIT_WAIT_MS };
    try {
      // Another worker may look at it now.
      if (this.#draining) return { lookAgainMs: 0 };
      return await this.#claimAndRun(hint, shutdown);
    } finally {
      release();
    }
  }

  /** This process is about to stop: nothing is claimed or issued any more, what is at a provider goes on. */
  drain(): void {
    this.#draining = true;
    for (const run of this.#running.values()) run.drain();
  }

  /** A cancel was announced: if the action runs here, its heartbeat is due now. */
  hearCancel(actionId: string): void {
    void this.#running.get(actionId)?.heartbeat();
  }

  /**
   * Milliseconds since an action of this instance was last looked at, 0 while there is no permit for another or the
   * instance is not known.
   */
  idleMs(instance: string): number {
    if (this.#permits.get(instance)?.anyFree !== true) return 0;
    return performance.now() - (this.#lookedAt.get(instance) ?? this.#startedAt);
  }

  /** How many actions this worker holds. */
  get running(): number {
    return this.#running.size;
  }

  async #claimAndRun(
    { actionId, instance }: { readonly actionId: string; readonly instance: string },
    shutdown: AbortSignal,
  ): Promise<HintAnswer> {
    const { store, workerId } = this.#options;
    if (shutdown.aborted) return undefined;
    const claimedAt = performance.now();
    const version = this.#options.registry.byId(instance)?.provider.manifest.version ?? 'unknown';
    const answer = await store.claim(actionId, `${workerId}/${randomUUID()}`, this.#leaseMs, version);
    if (answer.kind !== 'claimed') return undefined;
    const { claim } = answer;
    const run = new ActionRun({
      ...this.#options,
      polls: this.#polls,
      claim,
      claimedAt,
      leaseMs: this.#leaseMs,
    });
    this.#running.set(actionId, run);
    if (this.#draining) run.drain();
    const stop = (): void => run.stop();
    shutdown.addEventListener('abort', stop, { once: true });
    // An abort while the claim was under way fires no more.
    if (shutdown.aborted) stop();
    try {
      await run.proceed();
    } finally {
      shutdown.removeEventListener('abort', stop);
      this.#running.delete(actionId);
    }
    return undefined;
  }
}
