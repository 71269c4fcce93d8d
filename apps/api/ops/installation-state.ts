import type { InstanceRecord, VendorPermits } from '#domain';
import type { ProviderRegistry } from '#engine';
import type { Database } from '#persistence';
import type { Metrics } from '#telemetry';
import type { Health } from '../health/health.js';

/** Milliseconds for which what was found is told again: several may scrape, and it is the same at each API process. */
const KEPT_MS = 5000;
/** Milliseconds after which what is not found is left out. */
const WITHIN_MS = 3000;
/** Milliseconds since the last sign of life of a worker that counts. */
const WORKER_ALIVE_MS = 15_000;
/** Where what is unresolved is counted no further. */
const MOST_UNRESOLVED = 10_000;
/** Of actions whose provider instance was taken out of the configuration. */
const UNCONFIGURED = 'unconfigured';

const BREAKER_STATES = { closed: 'closed', open: 'open', halfOpen: 'half_open' } as const;

export interface InstallationStateParts {
  readonly metrics: Metrics;
  readonly registry: ProviderRegistry;
  readonly store: Pick<Database['actions'], 'countWaiting' | 'oldestWaiting' | 'countUnresolved'>;
  readonly records: Pick<Database['instances'], 'list'>;
  readonly workers: Pick<Database['workers'], 'countAlive'>;
  readonly permits: Pick<VendorPermits, 'state'>;
  readonly health: Pick<Health, 'readiness'>;
  /** Per provider instance, how many of its actions may wait to be started. */
  readonly bounds: ReadonlyMap<string, number>;
}

/**
 * The state of the whole installation, as metrics: read from what is shared when somebody scrapes, at most every five
 * seconds and for three. What could not be read is left out rather than told as it was: `riposte_state_complete` says so.
 */
export class InstallationState {
  readonly #parts: InstallationStateParts;
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | null = null;

  constructor(parts: InstallationStateParts) {
    this.#parts = parts;
  }

  /** Brings the metrics up to date. Never rejects. */
  look(): Promise<void> {
    if (performance.now() - this.#readAt < KEPT_MS) return Promise.resolve();
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null;
      this.#readAt = performance.now();
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    const { metrics, bounds } = this.#parts;
    const isComplete = (
      await Promise.all([
        this.#dependencies(),
        this.#workersAlive(),
        this.#waiting(),
        this.#unresolved(),
        this.#conditions(),
        this.#onRecord(),
      ])
    ).every(Boolean);
    metrics.backlogLimit.show([...bounds].map(([id, bound]) => [bound, id]));
    metrics.stateComplete.show([[isComplete ? 1 : 0]]);
  }

  async #dependencies(): Promise<boolean> {
    const { health, metrics } = this.#parts;
    const found = await inTime(health.readiness());
    const isKnown = found !== null && found.status !== 'stopping';
    const up = (name: string): number => (found?.missing.some((one) => one.startsWith(name)) ? 0 : 1);
    const rows = (['mongodb', 'redis'] as const).map((name) => [up(name), name] as const);
    // Without MongoDB nothing is said of Redis.
    metrics.dependencyUp.show(isKnown ? rows.slice(0, found.status === 'unavailable' ? 1 : 2) : []);
    return isKnown;
  }

  async #workersAlive(): Promise<boolean> {
    const { workers, metrics } = this.#parts;
    const alive = await inTime(workers.countAlive(WORKER_ALIVE_MS));
    metrics.workersAlive.show(alive === null ? [] : [[alive]]);
    return alive !== null;
  }

  async #waiting(): Promise<boolean> {
    const { bounds, store, metrics } = this.#parts;
    const now = Date.now();
    const found = await this.#ofEach(async (id) => ({
      // One more than may wait tells that there are too many.
      waiting: await store.countWaiting(id, (bounds.get(id) ?? 0) + 1),
      oldest: await store.oldestWaiting(id),
    }));
    metrics.backlog.show(found.known.map(([id, { waiting }]) => [waiting, id]));
    metrics.backlogOldest.show(
      found.known.map(([id, { oldest }]) => [
        oldest === null ? 0 : Math.max(0, now - oldest.getTime()) / 1000,
        id,
      ]),
    );
    return found.isComplete;
  }

  async #unresolved(): Promise<boolean> {
    const { store, metrics } = this.#parts;
    const counted = await inTime(store.countUnresolved(MOST_UNRESOLVED));
    const configured = this.#ids();
    const rows = new Map(configured.map((id) => [id, 0]));
    for (const [id, count] of counted ?? []) {
      const shown = rows.has(id) ? id : UNCONFIGURED;
      rows.set(shown, (rows.get(shown) ?? 0) + count);
    }
    metrics.unresolved.show(counted === null ? [] : [...rows].map(([id, count]) => [count, id]));
    return counted !== null;
  }

  /** Breakers and quotas. */
  async #conditions(): Promise<boolean> {
    const { permits, metrics } = this.#parts;
    const { known, isComplete } = await this.#ofEach((id) => permits.state(id));
    metrics.breaker.show(
      known.flatMap(([id, { breaker }]) =>
        Object.entries(BREAKER_STATES).map(
          ([state, shown]) => [state === breaker ? 1 : 0, id, shown] as const,
        ),
      ),
    );
    const windows = known.flatMap(([id, state]) =>
      (state.windows ?? []).map(({ calls, left, perSeconds, actions = [] }) => ({
        calls,
        left,
        labels: [id, `${perSeconds}s`, actions.join(',')] as const,
      })),
    );
    metrics.quotaLeft.show(windows.map(({ left, labels }) => [left, ...labels]));
    metrics.quotaLimit.show(windows.map(({ calls, labels }) => [calls, ...labels]));
    return isComplete && known.every(([, state]) => state.windows !== null);
  }

  async #onRecord(): Promise<boolean> {
    const { records, metrics } = this.#parts;
    const found = await inTime(records.list());
    const byId = new Map<string, InstanceRecord>(found?.map((record) => [record.instance, record]));
    const known = found === null ? [] : this.#ids().map((id) => [id, byId.get(id)] as const);
    metrics.paused.show(known.map(([id, record]) => [(record?.paused ?? null) === null ? 0 : 1, id]));
    metrics.healthy.show(
      known.flatMap(([id, record]) =>
        record === undefined || record.health === null ? [] : [[record.health.ok ? 1 : 0, id] as const],
      ),
    );
    return found !== null;
  }

  /** What could be found in time of each provider instance. */
  async #ofEach<Found>(find: (id: string) => Promise<Found>) {
    const found = await Promise.all(this.#ids().map(async (id) => [id, await inTime(find(id))] as const));
    const known = found.flatMap(([id, one]) => (one === null ? [] : [[id, one] as const]));
    return { known, isComplete: known.length === found.length };
  }

  #ids(): readonly string[] {
    return this.#parts.registry.instances.map(({ id }) => id);
  }
}

/** Null: it failed, or took too long. */
async function inTime<Found>(finding: Promise<Found>): Promise<Found | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), WITHIN_MS);
  });
  try {
    return await Promise.race([finding, late]);
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}
