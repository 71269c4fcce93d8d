import { randomUUID } from 'node:crypto';
import type {
  ActionQueue,
  ActionStore,
  Claim,
  EntryLedger,
  HintAnswer,
  Permit,
  PermitAnswer,
  SecretSeal,
  VendorPermits,
} from '#domain';
import { NO_METRICS, type Logger, type Metrics } from '#telemetry';
import { ActionRun } from './action-run.js';
import { withDispatchSpan } from './action-spans.js';
import { InstanceCalls } from './instance-calls.js';
import { PollGroups } from './poll-groups.js';
import type { ProviderInstance, ProviderRegistry } from './registry.js';
import { StartRates } from './start-rates.js';
import type { Load } from './tell-overload.js';

export interface RunActionOptions {
  readonly store: ActionStore;
  readonly queue: ActionQueue;
  readonly registry: ProviderRegistry;
  /** Opens the values of secret parameters. */
  readonly seal: SecretSeal;
  readonly log: Logger;
  readonly workerId: string;
  /** Who may call a vendor, and when. Default: anybody, at any time. */
  readonly permits?: VendorPermits;
  /** For the calls that ask about many actions at once. Default: nobody limits them. */
  readonly calls?: InstanceCalls;
  /** The entries of an instance's device. Default: plugins have none. */
  readonly ledger?: (instance: string) => EntryLedger;
  /** Milliseconds a claim holds without a heartbeat. Default 15,000; heartbeats come three times as often. */
  readonly leaseMs?: number;
  /** Whether vendors are told of the trace that a request is part of. Default false. */
  readonly propagatesTrace?: boolean;
  /** Default: nothing is counted. */
  readonly metrics?: Metrics;
}

const DEFAULT_LEASE_MS = 15_000;
/** Milliseconds after which a vendor's quota is asked again at the latest: an instance may be resumed meanwhile. */
const ASK_AGAIN_MS = 1000;
/** Milliseconds after which what is under way at a vendor asks again at the latest, and what a pause holds of the urgent. */
const FOLLOW_AGAIN_MS = 5000;

/** "Look at this action", as it comes out of a queue. */
export interface HintInHand {
  readonly actionId: string;
  readonly actionName: string;
  readonly instance: string;
  /** `start`: it was not begun, as far as the hint knows. `follow`: it was. `cancel`: somebody wants it stopped. */
  readonly why: 'start' | 'follow' | 'cancel';
  /** A start that lets something go: it may use all of a quota. A pause holds it as any. */
  readonly isRelease: boolean;
  /** The vendor is to be asked how far it is. */
  readonly polls: boolean;
  /** From when on the vendor is to be told to stop it instead. Default null: never, as far as the hint knows. */
  readonly stopAt?: Date | null;
}

/** The worker's side of the story: hint → permit → claim → run → settle. */
export class RunAction {
  readonly #options: RunActionOptions;
  readonly #metrics: Metrics;
  readonly #leaseMs: number;
  readonly #polls: PollGroups;
  readonly #running = new Map<string, ActionRun>();
  readonly #lookedAt = new Map<string, number>();
  /** Starts in hand, by instance. */
  readonly #inHand = new Map<string, number>();
  readonly #starts = new StartRates();
  readonly #startedAt = performance.now();
  #draining = false;

  constructor(options: RunActionOptions) {
    this.#options = options;
    this.#metrics = options.metrics ?? NO_METRICS;
    this.#leaseMs = options.leaseMs ?? DEFAULT_LEASE_MS;
    this.#polls = new PollGroups(options.calls ?? new InstanceCalls({ log: options.log }));
  }

  /**
   * Looks at one action and takes it as far as it goes now. A hint that is stale, early or double does nothing.
   * `shutdown` aborted: what is in hand is handed over to another worker.
   */
  async look(hint: HintInHand, shutdown: AbortSignal): Promise<HintAnswer> {
    const { actionId } = hint;
    const lookedAt = performance.now();
    this.#lookedAt.set(hint.instance, lookedAt);
    if (this.#running.has(actionId)) {
      this.hearCancel(actionId);
      return undefined;
    }
    const instance = this.#options.registry.byId(hint.instance);
    // A cancel is told truthfully also where the instance was taken out of the configuration.
    if (instance === null && hint.why !== 'cancel') return undefined;
    // Another worker may look at it now.
    if (this.#draining) return { lookAgainMs: 0 };
    this.#countInHand(hint, 1);
    try {
      const permit = instance === null ? null : await this.#permit(hint, instance);
      if (permit !== null && 'waitMs' in permit) return waitFor(hint, permit);
      return await this.#claimAndRun(hint, instance, permit, shutdown, lookedAt);
    } finally {
      this.#countInHand(hint, -1);
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
   * Milliseconds since an action of this instance was last looked at, 0 while as many are in hand as may be or the
   * instance is not known.
   */
  idleMs(instance: string): number {
    const most = this.#options.registry.byId(instance)?.concurrency ?? 0;
    if ((this.#inHand.get(instance) ?? 0) >= most) return 0;
    return performance.now() - (this.#lookedAt.get(instance) ?? this.#startedAt);
  }

  /** What this worker has in hand of an instance. */
  load(instance: string): Load {
    let atVendor = 0;
    for (const run of this.#running.values()) if (run.instance === instance && run.isAtVendor) atVendor += 1;
    return { inHand: this.#inHand.get(instance) ?? 0, atVendor };
  }

  /** How many actions of an instance this worker holds. */
  held(instance: string): number {
    let held = 0;
    for (const run of this.#running.values()) if (run.instance === instance) held += 1;
    return held;
  }

  /** How many actions of an instance this worker starts a minute, lately. */
  startsPerMinute(instance: string): number {
    return this.#starts.perMinute(instance);
  }

  /** How many actions this worker holds. */
  get running(): number {
    return this.#running.size;
  }

  #countInHand({ instance, why, isRelease }: HintInHand, by: number): void {
    if (why === 'start' && !isRelease) this.#inHand.set(instance, (this.#inHand.get(instance) ?? 0) + by);
  }

  /** Null: it needs none. */
  async #permit(
    { actionName, why, isRelease, polls, stopAt = null }: HintInHand,
    instance: ProviderInstance,
  ): Promise<Permit | Extract<PermitAnswer, { kind: 'wait' }> | null> {
    const { permits } = this.#options;
    if (permits === undefined) return null;
    const manifest = instance.findAction(actionName)?.manifest;
    // What is begun at the vendor has its deadline to be stopped by, however many others are asked about.
    const isDueToStop =
      why === 'follow' && stopAt !== null && stopAt.getTime() <= Date.now() && manifest?.cancellable === true;
    const tells = why === 'cancel' || isDueToStop;
    // Operations that are asked about together take one for all of them.
    if (polls && why === 'follow' && !tells && instance.provider.calls.pollMany !== undefined) return null;
    const answer = await permits.take({
      instance: instance.id,
      actionName,
      purpose: tells ? 'urgent' : isRelease ? 'release' : polls ? 'poll' : 'start',
      calls: polls || tells ? 1 : (manifest?.calls ?? 1),
    });
    return answer.kind === 'granted' ? answer.permit : answer;
  }

  async #claimAndRun(
    { actionId, actionName, why }: HintInHand,
    instance: ProviderInstance | null,
    permit: Permit | null,
    shutdown: AbortSignal,
    lookedAt: number,
  ): Promise<HintAnswer> {
    const { store, workerId } = this.#options;
    try {
      if (shutdown.aborted) return undefined;
      if (this.#draining) return { lookAgainMs: 0 };
      const claimedAt = performance.now();
      const answer = await store.claim(
        actionId,
        `${workerId}/${randomUUID()}`,
        this.#leaseMs,
        instance?.provider.manifest.version ?? 'unknown',
        { inTurn: (instance?.findAction(actionName)?.manifest.mutexKey ?? []).length > 0 },
      );
      if (answer.kind !== 'claimed') return undefined;
      const { claim } = answer;
      if (claim.lease.epoch === 1 && instance !== null) {
        this.#starts.note(instance.id);
        const { createdAt, leaseUntil } = claim.action;
        if (leaseUntil !== null)
          this.#metrics.dispatchSeconds.observe(
            leaseUntil.getTime() - this.#leaseMs - createdAt.getTime(),
            instance.id,
          );
      }
      await withDispatchSpan(claim.action, why, { lookedAt, claimedAt }, () =>
        this.#run(claim, claimedAt, permit, shutdown),
      );
    } finally {
      // Where there was a run, it has told already what it used.
      permit?.settle(0);
    }
    return undefined;
  }

  async #run(claim: Claim, claimedAt: number, permit: Permit | null, shutdown: AbortSignal): Promise<void> {
    const { actionId } = claim.lease;
    const run = new ActionRun({
      ...this.#options,
      permit,
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
      permit?.settle(run.callsMade);
    }
  }
}

/** A start keeps its place, and nothing behind it is taken either; what is under way is looked at alone. */
function waitFor(
  { why, isRelease }: HintInHand,
  { reason, waitMs }: Extract<PermitAnswer, { kind: 'wait' }>,
): HintAnswer {
  if (why === 'start' && !isRelease) return { holdMs: Math.min(waitMs, ASK_AGAIN_MS) };
  const mostMs = why === 'follow' ? FOLLOW_AGAIN_MS : ASK_AGAIN_MS;
  // They may be thousands, beside which cancels and polls have to get through.
  const againMs = reason === 'paused' ? FOLLOW_AGAIN_MS : Math.min(waitMs, mostMs);
  return { lookAgainMs: againMs * (0.8 + 0.4 * Math.random()) };
}
