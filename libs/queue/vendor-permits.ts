import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type {
  InstanceRecords,
  InstanceState,
  Permit,
  PermitAnswer,
  PermitRequest,
  RecentCalls,
  VendorPermits,
} from '#domain';
import { QuotaWindows, type Quota } from './quota-windows.js';
import {
  patientConnection,
  promptConnection,
  type OnConnectionError,
  type RedisAddress,
} from './redis-connection.js';
import { CONDITION_CHANNEL, VendorConditions } from './vendor-condition.js';

/** Milliseconds between two looks at which instances are paused. */
const PAUSES_MS = 1000;

export interface VendorPermitsOptions {
  readonly redis: RedisAddress;
  readonly quotas: readonly Quota[];
  readonly recentCalls: RecentCalls;
  readonly records: Pick<InstanceRecords, 'list'>;
  readonly onError: OnConnectionError;
  /** How many workers share a quota while they cannot reach each other. Default 2. */
  readonly workers?: () => number;
  /** Told, per instance, when this process has to keep to its share, and (null) when it has not any more. */
  readonly onAlone?: (instance: string, problem: string | null) => void;
  /** Milliseconds: the clock of the windows, where it is not Redis' own. For a simulated time. */
  readonly now?: () => number;
}

/**
 * `VendorPermits` in Redis, for all processes on it. An instance without windows costs no round trip. What is paused
 * stands in MongoDB, and is looked at each second and whenever somebody says that it changed.
 */
export class RedisVendorPermits implements VendorPermits {
  readonly #redis: Redis;
  readonly #subscriber: Redis;
  readonly #windows: QuotaWindows;
  readonly #conditions: VendorConditions;
  readonly #records: Pick<InstanceRecords, 'list'>;
  readonly #timer: NodeJS.Timeout;
  /** Null: not read yet. */
  #paused: ReadonlySet<string> | null = null;
  #firstRead: Promise<void> | null = null;

  constructor(options: VendorPermitsOptions) {
    const { redis, quotas, onError } = options;
    this.#redis = promptConnection(redis, onError);
    this.#subscriber = patientConnection(redis, onError);
    this.#records = options.records;
    const problems = new Map<string, string | null>();
    this.#windows = new QuotaWindows({
      redis: this.#redis,
      quotas,
      recentCalls: (instance, withinMs) => options.recentCalls.recentCalls(instance, withinMs),
      workers: options.workers ?? (() => 2),
      ...(options.now === undefined ? {} : { now: options.now }),
      onProblem: (instance, problem) => {
        if ((problems.get(instance) ?? null) === problem) return;
        problems.set(instance, problem);
        options.onAlone?.(instance, problem);
      },
    });
    this.#conditions = new VendorConditions(
      this.#redis,
      quotas.map(({ instance }) => instance),
      onError,
    );
    this.#subscriber.on('message', (_channel, instance: string) => void this.refresh([instance]));
    this.#subscriber.subscribe(CONDITION_CHANNEL).catch(onError);
    this.#timer = setInterval(() => void this.#readPauses(), PAUSES_MS).unref();
  }

  /** Resolves once Redis was reached and it is known what is paused. */
  async ready(): Promise<void> {
    if (this.#redis.status !== 'ready')
      await new Promise<void>((resolve) => void this.#redis.once('ready', resolve));
    await this.refresh();
  }

  async take(request: PermitRequest): Promise<PermitAnswer> {
    const { instance, purpose } = request;
    if ((purpose === 'start' || purpose === 'release') && (await this.#isPaused(instance)))
      return { kind: 'wait', reason: 'paused', waitMs: PAUSES_MS };
    const condition = await this.#conditions.ask(instance);
    if (condition.kind === 'wait') return { ...condition, waitMs: Math.ceil(condition.waitMs) };
    const taken = await this.#windows.take(request);
    const probe = condition.kind === 'probe' ? condition.id : null;
    if (taken.kind === 'wait') {
      if (probe !== null) this.#conditions.giveBack(instance, probe);
      return { kind: 'wait', reason: 'quota', waitMs: taken.waitMs };
    }
    return { kind: 'granted', permit: this.#permit(request, [...taken.ids], probe) };
  }

  note(instance: string, came: 'answered' | 'failed' | 'unreachable'): void {
    this.#conditions.note(instance, came);
  }

  vendorBusy(instance: string, forMs: number): void {
    if (forMs > 0) this.#conditions.busy(instance, forMs);
  }

  async state(instance: string): Promise<InstanceState> {
    return {
      waiting: await this.#waiting(instance),
      breaker: this.#conditions.breaker(instance),
      windows: await this.#windows.state(instance),
    };
  }

  expectedMs(instance: string, ahead: number, actionName: string | null): Promise<number> {
    return this.#windows.expectedMs(instance, ahead, actionName);
  }

  /** Tells all processes that an instance was paused or resumed. */
  async announce(instance: string): Promise<void> {
    await this.refresh([instance]);
    if (this.#redis.status === 'ready')
      await this.#redis.publish(CONDITION_CHANNEL, instance).catch(() => undefined);
  }

  /** Looks at what is shared, instead of waiting for the next time. */
  async refresh(instances?: readonly string[]): Promise<void> {
    await Promise.all([this.#conditions.refresh(instances), this.#readPauses()]);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#conditions.stop();
    this.#subscriber.disconnect();
    this.#redis.disconnect();
  }

  async #waiting(instance: string): Promise<InstanceState['waiting']> {
    if (await this.#isPaused(instance)) return { reason: 'paused', waitMs: PAUSES_MS };
    const condition = await this.#conditions.ask(instance, true);
    if (condition.kind === 'wait') return { reason: condition.reason, waitMs: Math.ceil(condition.waitMs) };
    if (!this.#windows.limits(instance)) return null;
    const waitMs = await this.#windows.expectedMs(instance, 0, null);
    return waitMs > 0 ? { reason: 'quota', waitMs: Math.ceil(waitMs) } : null;
  }

  #permit(request: PermitRequest, ids: string[], probe: string | null): Permit {
    const { instance } = request;
    let used = 0;
    let settled = false;
    return {
      spend: async (signal) => {
        signal.throwIfAborted();
        if (used >= Math.max(1, request.calls)) ids.push(...(await this.#more(request, signal)));
        used += 1;
      },
      settle: (made = ids.length) => {
        if (settled) return;
        settled = true;
        this.#windows.settle(request, ids, Math.min(made, ids.length));
        if (probe !== null && made === 0) this.#conditions.giveBack(instance, probe);
      },
    };
  }

  /** One call more than was asked for. */
  async #more(request: PermitRequest, signal: AbortSignal): Promise<readonly string[]> {
    for (;;) {
      const taken = await this.#windows.take({ ...request, calls: 1 }, true);
      if (taken.kind === 'taken') return taken.ids;
      try {
        await sleep(Math.min(taken.waitMs, 1000), undefined, { signal });
      } catch (error) {
        throw signal.aborted ? signal.reason : error;
      }
    }
  }

  /** Before it was ever read what is paused, everything is: a process must not start what it was not yet told to hold. */
  async #isPaused(instance: string): Promise<boolean> {
    if (this.#paused === null) {
      this.#firstRead ??= this.#readPauses().finally(() => {
        this.#firstRead = null;
      });
      await this.#firstRead;
    }
    return this.#paused?.has(instance) ?? true;
  }

  async #readPauses(): Promise<void> {
    try {
      const records = await this.#records.list();
      this.#paused = new Set(records.filter(({ paused }) => paused !== null).map(({ instance }) => instance));
    } catch {
      // The database is away: nothing can be claimed either, and the last known stands.
    }
  }
}
