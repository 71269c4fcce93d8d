import {
  ArchiveError,
  type ActionArchive,
  type ListPosition,
  type RetentionStore,
  type SharedLease,
} from '#domain';
import { Rounds } from '#rounds';
import type { Logger } from '#telemetry';

/** For how long a tenant's finished actions are kept. */
interface RetentionRules {
  /** Milliseconds since their end; null: for ever. */
  keepMs(tenantId: string): number | null;
}

export interface RetentionOptions {
  readonly store: RetentionStore;
  readonly lease: SharedLease;
  /** This worker, as the lease knows it. */
  readonly owner: string;
  readonly rules: RetentionRules;
  /** Null: what is removed is gone. */
  readonly archive: ActionArchive | null;
  /** Of these actions those of which the audit record has all: no other may be removed, for it is read out of them. */
  readonly audited: (ids: readonly string[]) => Promise<readonly string[]>;
  readonly log: Logger;
  /** Milliseconds between passes, give or take 30 %. Default 60,000. */
  readonly periodMs?: number;
}

/** What a pass did. */
export interface RetentionPass {
  /** False: another worker does it. */
  readonly ours: boolean;
  readonly removed: number;
  readonly archived: number;
  /** Tenants of which nothing could be archived, and so nothing was removed. */
  readonly failed: number;
  /** True when it stopped at its bound: there may be more. */
  readonly more: boolean;
}

const DEFAULT_PERIOD_MS = 60_000;
/** Milliseconds until the first pass, and until the next one where there is more to do. */
const SOON_MS = 1000;
const BATCH = 500;
/** Batches a pass does of one tenant, so that none waits for another's long history. */
const BATCHES_A_PASS = 10;
/** In periods: a crashed worker's lease keeps the others from it for so long. */
const LEASE_PERIODS = 3;

/**
 * Removes finished actions whose time is over, after they have been archived where that is wanted. One worker
 * does it for all, under a lease; two that believe to hold it do no harm: a removal is conditional, and an
 * archive may hold an action twice.
 */
export class Retention {
  readonly #options: RetentionOptions;
  readonly #leaseMs: number;
  /** Per tenant, where the last pass stopped at its bound. */
  readonly #cursors = new Map<string, ListPosition>();
  readonly #rounds: Rounds;
  #stopped = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
    const { periodMs = DEFAULT_PERIOD_MS, log } = options;
    this.#leaseMs = LEASE_PERIODS * periodMs;
    this.#rounds = new Rounds({
      periodMs,
      firstMs: SOON_MS,
      round: async () => ((await this.pass()).more ? SOON_MS : undefined),
      failed: 'retention failed',
      log,
    });
  }

  start(): void {
    this.#rounds.start();
  }

  /** Ends after the batch in hand, and lets another worker go on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#rounds.stop();
    await this.#options.lease.giveBack(this.#options.owner);
  }

  /** One pass over all tenants, at most 5,000 actions of each. What it could not archive it leaves. */
  async pass(): Promise<RetentionPass> {
    const { store, rules, log } = this.#options;
    const total = { ours: true, removed: 0, archived: 0, failed: 0, more: false };
    if (!(await this.#takeLease())) return { ...total, ours: false };
    const startedAt = performance.now();
    const failures: ArchiveError[] = [];
    for (const tenant of await store.tenants()) {
      const keepMs = rules.keepMs(tenant);
      if (keepMs === null) continue;
      try {
        for (let batch = 0; batch < BATCHES_A_PASS; batch += 1) {
          if (this.#stopped || !(await this.#takeLease())) break;
          const done = await this.#batch(tenant, keepMs);
          total.removed += done.removed;
          total.archived += done.archived;
          if (!done.more) break;
          total.more ||= batch === BATCHES_A_PASS - 1;
        }
      } catch (error) {
        if (!(error instanceof ArchiveError)) throw error;
        failures.push(error);
      }
    }
    total.failed = failures.length;
    const [first] = failures;
    if (first !== undefined) {
      log.error(
        { problem: first.message, error: String(first.cause), tenants: failures.length },
        'retention cannot archive; nothing of these tenants was removed',
      );
    }
    if (total.removed > 0) {
      const { removed, archived } = total;
      const ms = Math.round(performance.now() - startedAt);
      log.info({ removed, archived, ms }, 'finished actions removed');
    }
    return total;
  }

  #takeLease(): Promise<boolean> {
    return this.#options.lease.take(this.#options.owner, this.#leaseMs);
  }

  /** Goes on where the last batch of this tenant ended: those that have to stay are not looked at again first. */
  async #batch(
    tenant: string,
    keepMs: number,
  ): Promise<{ readonly removed: number; readonly archived: number; readonly more: boolean }> {
    const { store, archive, audited } = this.#options;
    const { ids, next } = await store.expired(tenant, keepMs, BATCH, this.#cursors.get(tenant) ?? null);
    let removable = ids.length === 0 ? ids : await audited(ids);
    if (archive !== null && removable.length > 0)
      removable = await archive.append(tenant, store.records(tenant, removable));
    const removed = removable.length === 0 ? 0 : await store.remove(tenant, keepMs, removable);
    if (next === null) this.#cursors.delete(tenant);
    else this.#cursors.set(tenant, next);
    return { removed, archived: archive === null ? 0 : removable.length, more: next !== null };
  }
}
