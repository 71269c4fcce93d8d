import type { InstanceRecords, Maintained, SharedLease } from '#domain';
import { ProviderError } from '#provider-sdk';
import { withoutSecrets, type Logger } from '#telemetry';
import type { InstanceCalls } from './instance-calls.js';
import { InstanceRounds } from './instance-rounds.js';
import { checkedMaintained } from './plugin-answer.js';
import type { ProviderInstance, ProviderRegistry } from './registry.js';

export interface MaintainInstancesOptions {
  readonly registry: ProviderRegistry;
  readonly calls: InstanceCalls;
  readonly records: Pick<InstanceRecords, 'reportMaintained'>;
  /** The lease of this name: one worker maintains an instance for all. */
  readonly lease: (name: string) => SharedLease;
  /** This worker, as the leases know it. */
  readonly owner: string;
  readonly log: Logger;
  /** Milliseconds between two passes over an instance, give or take 10 %. Default 300,000. */
  readonly periodMs?: number;
}

const DEFAULT_PERIOD_MS = 300_000;
/** Milliseconds a comparison may take: a device with some ten thousand entries, and as many to be put back. */
const WITHIN_MS = 120_000;

/**
 * Lets plugins that keep entries on a device compare it with what it should have, on start and every few minutes: a
 * device that was restarted or changed by hand gets back what is wanted and loses what is not.
 */
export class MaintainInstances {
  readonly #options: MaintainInstancesOptions;
  readonly #rounds: InstanceRounds;
  readonly #shutdown = new AbortController();

  constructor(options: MaintainInstancesOptions) {
    this.#options = options;
    const { registry, lease, owner, log, periodMs = DEFAULT_PERIOD_MS } = options;
    this.#rounds = new InstanceRounds({
      what: 'maintenance',
      instances: () => registry.instances.filter(({ provider }) => provider.calls.maintain !== undefined),
      visit: (instance) => this.#maintain(instance),
      lease,
      owner,
      log,
      periodMs,
      // A machine that was started anew has lost its lists, whoever compared them before.
      firstToAll: true,
    });
  }

  /** Compares now and every period from then on. */
  start(): void {
    this.#rounds.start();
  }

  /** Breaks off, and lets another worker go on. */
  async stop(): Promise<void> {
    this.#shutdown.abort();
    await this.#rounds.stop();
  }

  async #maintain(instance: ProviderInstance): Promise<void> {
    const { maintain } = instance.provider.calls;
    if (maintain === undefined) return;
    const { log, calls, records } = this.#options;
    const result = await calls.run(
      {
        name: 'maintain',
        instance,
        actionName: '',
        timeoutMs: WITHIN_MS,
        shutdown: this.#shutdown.signal,
        facts: {},
      },
      async (context) => checkedMaintained(await maintain(context)),
    );
    const secrets = Object.values(instance.config.secrets);
    if (result.kind === 'threw') {
      const { error } = result;
      const problem =
        error instanceof ProviderError
          ? String(withoutSecrets(error.message, secrets))
          : 'The plugin failed unexpectedly; the log of the worker says how.';
      log.warn(
        { instance: instance.id, error: withoutSecrets(error, secrets) },
        'the device could not be compared with its ledger',
      );
      await records.reportMaintained(instance.id, { ...NOTHING, problems: [problem] });
      return;
    }
    if (result.kind !== 'returned') {
      if (this.#shutdown.signal.aborted) return;
      const problem = `The device was not compared: ${result.kind === 'denied' ? result.reason : `it took longer than ${WITHIN_MS / 1000} s`}.`;
      await records.reportMaintained(instance.id, { ...NOTHING, problems: [problem] });
      return;
    }
    const report = withoutSecrets(result.value, secrets) as Maintained;
    if (report.added + report.removed + report.problems.length > 0)
      log.warn({ instance: instance.id, ...report }, 'the device differed from its ledger');
    await records.reportMaintained(instance.id, report);
  }
}

const NOTHING: Maintained = { checked: 0, added: 0, removed: 0, problems: [] };
