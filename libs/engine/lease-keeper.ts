import type { ActionStore, Claim, ClaimedAction, HeartbeatReport } from '#domain';

/** Part of the lease kept free at its end: no call starts that late. */
const MARGIN = 0.2;

/**
 * Keeps one lease alive by heartbeats, and hears of cancel wishes by their answers.
 *
 * Safety does not rest on timers: after a pause of the process (SIGSTOP, a blocked event loop) the first
 * heartbeat is refused, and until then `mayCall` is false by the clocks.
 */
export class LeaseKeeper {
  readonly #store: ActionStore;
  readonly #claim: Claim;
  readonly #leaseMs: number;
  readonly #onLost: () => void;
  readonly #onCancel: () => void;
  #renewedAt: number;
  #renewedAtWall: number;
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<void> | undefined;
  #latest: ClaimedAction;

  /** @param claimedAt `performance.now()` from before the claim was sent */
  constructor(parts: {
    readonly store: ActionStore;
    readonly claim: Claim;
    readonly leaseMs: number;
    readonly claimedAt: number;
    readonly onLost: () => void;
    readonly onCancel: () => void;
  }) {
    this.#store = parts.store;
    this.#claim = parts.claim;
    this.#leaseMs = parts.leaseMs;
    this.#onLost = parts.onLost;
    this.#onCancel = parts.onCancel;
    this.#renewedAt = parts.claimedAt;
    this.#renewedAtWall = Date.now() - (performance.now() - parts.claimedAt);
    this.#latest = parts.claim.action;
  }

  start(): void {
    this.#timer = setInterval(() => void this.renew(), this.#leaseMs / 3);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** True while the lease is surely still ours for a good while. */
  get mayCall(): boolean {
    // The monotonic clock stands while a machine is suspended, and the wall clock may be set back: the more counts.
    const sinceMs = Math.max(performance.now() - this.#renewedAt, Date.now() - this.#renewedAtWall);
    return sinceMs < this.#leaseMs * (1 - MARGIN);
  }

  /** The record as of the last heartbeat. */
  get latest(): ClaimedAction {
    return this.#latest;
  }

  /** One heartbeat now; several at once become one. */
  renew(): Promise<void> {
    this.#renewing ??= this.#renew({})
      .then(() => undefined)
      .finally(() => {
        this.#renewing = undefined;
      });
    return this.#renewing;
  }

  /**
   * One heartbeat now that brings what the plugin reports.
   * @returns whether that is on record
   */
  report(report: HeartbeatReport): Promise<boolean> {
    return this.#renew(report);
  }

  async #renew(report: HeartbeatReport): Promise<boolean> {
    const startedAt = performance.now();
    const startedAtWall = Date.now();
    let action: ClaimedAction | null;
    try {
      action = await this.#store.renew(this.#claim.lease, this.#leaseMs, report);
    } catch {
      // The database is away. The next beat tries again; `mayCall` turns false in time by itself.
      if (!this.mayCall) this.#onLost();
      return false;
    }
    if (action === null) {
      this.stop();
      this.#onLost();
      return false;
    }
    this.#renewedAt = startedAt;
    this.#renewedAtWall = startedAtWall;
    this.#latest = action;
    if (action.cancel !== null && action.cancel.outcome === null) this.#onCancel();
    return true;
  }
}
