import {
  UserError,
  type Caller,
  type InstanceRecord,
  type InstanceRecords,
  type InstanceState,
  type VendorPermits,
  type WaitingCounter,
} from '#domain';
import type { ProviderRegistry } from '#engine';
import type { ActionFigures, Percentiles } from '#persistence';
import type { Logger } from '#telemetry';
import { WINDOWS, latenciesOf } from './overview.dto.js';

/** Waiting actions are counted up to here: enough to tell a backlog, and cheap. */
export const BACKLOG_COUNTED = 10_000;

/** Milliseconds after which nothing more is begun to be counted. */
const LATENCY_WITHIN_MS = 300;

type Latencies = ReadonlyMap<string, Percentiles | null>;
type Instance = ProviderRegistry['instances'][number];

/** A configured instance with how it fares now. */
export interface ProviderView {
  readonly instance: Instance;
  readonly record: InstanceRecord;
  readonly state: InstanceState;
  /** Null: it could not be counted. */
  readonly waiting: number | null;
  /** From creation to end, of the viewer's tenant in the last hour. Null: none ended, or it could not be told. */
  readonly latency: Percentiles | null;
}

/** Who looks: an operator of the installation, or a caller of this tenant. */
export type Viewer = { readonly tenantId: string; readonly operates: boolean };

/** The configured provider instances, how they fare, and whether they are paused. */
export class Providers {
  readonly #registry: ProviderRegistry;
  readonly #permits: Pick<VendorPermits, 'state'> & { announce(instance: string): Promise<void> };
  readonly #records: InstanceRecords;
  readonly #counter: WaitingCounter;
  readonly #figures: Pick<ActionFigures, 'over'>;
  readonly #log: Logger;

  constructor(parts: {
    readonly registry: ProviderRegistry;
    readonly permits: Pick<VendorPermits, 'state'> & { announce(instance: string): Promise<void> };
    readonly records: InstanceRecords;
    readonly counter: WaitingCounter;
    readonly figures: Pick<ActionFigures, 'over'>;
    readonly log: Logger;
  }) {
    this.#registry = parts.registry;
    this.#permits = parts.permits;
    this.#records = parts.records;
    this.#counter = parts.counter;
    this.#figures = parts.figures;
    this.#log = parts.log;
  }

  /** Those that serve the viewer's tenant; all for an operator. */
  async list(viewer: Viewer): Promise<readonly ProviderView[]> {
    const seen = this.#seenBy(viewer);
    const [records, latencies] = await Promise.all([this.#records.list(), this.#latencies(viewer)]);
    return Promise.all(seen.map((instance) => this.#view(instance, records, latencies)));
  }

  /** Whether it is one of those that {@link list} gives. */
  shows(viewer: Viewer, id: string): boolean {
    const instance = this.#registry.byId(id);
    return instance !== null && isSeenBy(viewer, instance);
  }

  /** @throws UserError `itemNotFound`, also for one that does not serve the viewer's tenant */
  async get(viewer: Viewer, id: string): Promise<ProviderView> {
    const instance = this.#registry.byId(id);
    if (instance === null || !isSeenBy(viewer, instance)) throw unknownInstance(id, this.#seenBy(viewer));
    const [records, latencies] = await Promise.all([this.#records.list(), this.#latencies(viewer)]);
    return this.#view(instance, records, latencies);
  }

  /**
   * Nothing is started there until it is resumed. Who paused it first, and why, stands.
   * @throws UserError `itemNotFound`
   */
  async pause(caller: Caller, id: string, reason: string): Promise<ProviderView> {
    const instance = this.#configured(id);
    const record = await this.#records.pause(id, caller, reason);
    this.#log.info({ instance: id, appId: caller.appId, user: caller.user, reason }, 'provider paused');
    return this.#changed(caller, instance, record);
  }

  /** Harmless when it is not paused. @throws UserError `itemNotFound` */
  async resume(caller: Caller, id: string): Promise<ProviderView> {
    const instance = this.#configured(id);
    const record = await this.#records.resume(id);
    this.#log.info({ instance: id, appId: caller.appId, user: caller.user }, 'provider resumed');
    return this.#changed(caller, instance, record);
  }

  async #changed(caller: Caller, instance: Instance, record: InstanceRecord): Promise<ProviderView> {
    await this.#permits.announce(instance.id);
    return this.#view(instance, [record], await this.#latencies(caller));
  }

  #configured(id: string): Instance {
    const instance = this.#registry.byId(id);
    if (instance === null) throw unknownInstance(id, this.#registry.instances);
    return instance;
  }

  #seenBy(viewer: Viewer): readonly Instance[] {
    return this.#registry.instances.filter((instance) => isSeenBy(viewer, instance));
  }

  async #latencies({ tenantId }: Pick<Viewer, 'tenantId'>): Promise<Latencies> {
    const { seconds, spans } = WINDOWS['1h'];
    return this.#figures.over(tenantId, seconds, spans, LATENCY_WITHIN_MS).then(latenciesOf, () => new Map());
  }

  async #view(
    instance: Instance,
    records: readonly InstanceRecord[],
    latencies: Latencies,
  ): Promise<ProviderView> {
    const { id } = instance;
    const [state, waiting] = await Promise.all([
      this.#permits.state(id),
      this.#counter.countWaiting(id, BACKLOG_COUNTED).catch(() => null),
    ]);
    const record = records.find((one) => one.instance === id) ?? {
      instance: id,
      paused: null,
      health: null,
      maintained: null,
    };
    return { instance, record, state, waiting, latency: latencies.get(id) ?? null };
  }
}

function isSeenBy({ operates, tenantId }: Viewer, instance: Instance): boolean {
  return operates || instance.serves(tenantId);
}

/** @param seen those that the caller may know of */
function unknownInstance(id: string, seen: readonly Instance[]): UserError {
  const known = seen.map((instance) => instance.id).join(', ') || 'none';
  return new UserError('itemNotFound', `No provider instance "${id}" is configured; known: ${known}.`);
}
