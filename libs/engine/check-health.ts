import type { HealthReport, InstanceRecords, SharedLease } from '#domain';
import { ProviderError } from '#provider-sdk';
import { withoutSecrets, type Logger } from '#telemetry';
import type { InstanceCallResult, InstanceCalls } from './instance-calls.js';
import { InstanceRounds } from './instance-rounds.js';
import { checkedHealth } from './plugin-answer.js';
import type { ProviderInstance, ProviderRegistry } from './registry.js';

export interface CheckHealthOptions {
  readonly registry: Pick<ProviderRegistry, 'instances'>;
  readonly calls: InstanceCalls;
  readonly records: Pick<InstanceRecords, 'reportHealth'>;
  /** The lease of this name: one worker asks an instance for all. */
  readonly lease: (name: string) => SharedLease;
  /** This worker, as the leases know it. */
  readonly owner: string;
  readonly log: Logger;
  /** Milliseconds between two checks of an instance, give or take 10 %. Default 60,000. */
  readonly periodMs?: number;
}

const DEFAULT_PERIOD_MS = 60_000;
/** Milliseconds a check may take; what takes longer is not healthy. */
const CHECK_WITHIN_MS = 10_000;

/** Keeps on record how each provider instance fares, by asking its plugin now and then. */
export class CheckHealth {
  readonly #options: CheckHealthOptions;
  readonly #rounds: InstanceRounds;
  readonly #shutdown = new AbortController();
  /** The last report's `ok`, so that only changes are logged. */
  readonly #wasOk = new Map<string, boolean>();

  constructor(options: CheckHealthOptions) {
    this.#options = options;
    const { registry, lease, owner, log, periodMs = DEFAULT_PERIOD_MS } = options;
    this.#rounds = new InstanceRounds({
      what: 'health',
      instances: () => registry.instances.filter(({ provider }) => provider.calls.health !== undefined),
      visit: (instance) => this.check(instance),
      lease,
      owner,
      log,
      periodMs,
      firstToAll: false,
    });
  }

  /** Checks now and every period from then on. */
  start(): void {
    this.#rounds.start();
  }

  /** Asks all instances that no other worker has asked lately; one that hangs holds up no other. */
  pass(): Promise<void> {
    return this.#rounds.go();
  }

  /** Breaks off, and lets another worker go on. */
  async stop(): Promise<void> {
    this.#shutdown.abort();
    await this.#rounds.stop();
  }

  /**
   * Asks one instance now, and keeps what it says.
   * @returns null when its plugin cannot tell, or was not asked: the vendor was not to be called, or this stops
   */
  async check(instance: ProviderInstance): Promise<HealthReport | null> {
    const { health } = instance.provider.calls;
    if (health === undefined) return null;
    const result = await this.#options.calls.run(
      {
        name: 'health',
        instance,
        actionName: '',
        timeoutMs: CHECK_WITHIN_MS,
        shutdown: this.#shutdown.signal,
        facts: {},
      },
      async (context) => checkedHealth(await health(context)),
    );
    const report = this.#reportOf(instance, result);
    if (report === null) return null;
    await this.#options.records.reportHealth(instance.id, report);
    if ((this.#wasOk.get(instance.id) ?? true) !== report.ok)
      this.#options.log[report.ok ? 'info' : 'warn']({ instance: instance.id, ...report }, 'health changed');
    this.#wasOk.set(instance.id, report.ok);
    return report;
  }

  #reportOf(instance: ProviderInstance, result: InstanceCallResult<HealthReport>): HealthReport | null {
    const secrets = Object.values(instance.config.secrets);
    const unwell = (message: string): HealthReport => ({ ok: false, message });
    switch (result.kind) {
      case 'returned':
        return withoutSecrets(result.value, secrets) as HealthReport;
      case 'threw': {
        const { error } = result;
        if (error instanceof ProviderError) return unwell(String(withoutSecrets(error.message, secrets)));
        this.#options.log.error(
          { instance: instance.id, error: withoutSecrets(error, secrets) },
          'plugin failed unexpectedly',
        );
        return unwell("The plugin's health check failed unexpectedly; the log of the worker says how.");
      }
      case 'stopped':
        return result.why === 'deadline'
          ? unwell(`The vendor did not answer within ${CHECK_WITHIN_MS / 1000} s.`)
          : null;
      case 'denied':
        return result.reason === 'breakerOpen'
          ? unwell('The last calls failed, so the vendor is left alone for a while.')
          : null;
    }
  }
}
