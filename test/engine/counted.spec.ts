import { beforeAll, describe, expect, it } from 'vitest';
import { PHASES, type PermitRequest, type VendorPermits } from '#domain';
import { beginCounts } from '#engine';
import { ProviderError } from '#provider-sdk';
import { openMetrics, type MetricsRegistry } from '#telemetry';
import { eventually } from '../support/eventually.js';
import { samplesIn } from '../support/metrics.js';
import { raceTrack, type Race, type RaceOptions } from '../support/race.js';

/** What is counted of an action, and that each thing is counted once. */

let track: (options?: RaceOptions) => Promise<Race>;
beforeAll(async () => {
  track = await raceTrack();
});

async function counted(options: RaceOptions = {}) {
  const registry = await openMetrics({ process: 'worker', version: '1', tenantLabel: false });
  const race = await track({ ...options, metrics: registry.metrics });
  return { race, registry };
}

/** Our samples but those of buckets and sums, without the instance, which is the same in all. */
async function countsOf(registry: MetricsRegistry): Promise<Record<string, number>> {
  const samples = [...samplesIn(await registry.text())];
  return Object.fromEntries(
    samples
      .filter(([name]) => /^riposte_(?!process_|sweep_|notif)/.test(name) && !/_(?:bucket|sum)\b/.test(name))
      .map(([name, value]) => [
        name
          .replace(/provider_instance="scripted",?/, '')
          .replace('{}', '')
          .replace(/^riposte_/, ''),
        value,
      ]),
  );
}

describe('an action that is carried out', () => {
  it('is dispatched, called for and ended once, with the times it took', async () => {
    const { race, registry } = await counted();
    const looked = race.look();
    (await race.call('execute')).answer({ kind: 'completed' });
    await looked;
    expect(await countsOf(registry)).toEqual({
      'actions_ended_total{phase="done"}': 1,
      action_duration_seconds_count: 1,
      action_dispatch_seconds_count: 1,
      'vendor_calls_total{call="execute",result="answered"}': 1,
      'vendor_call_duration_seconds_count{call="execute"}': 1,
    });
    const seconds = samplesIn(await registry.text());
    const sum = seconds.get('riposte_action_duration_seconds_sum{provider_instance="scripted"}') ?? -1;
    expect(sum).toBeGreaterThan(0);
    expect(sum).toBeLessThan(60);
  });

  it('is counted for each attempt, and dispatched the first time alone', async () => {
    const { race, registry } = await counted({ idempotency: 'natural' });
    for (const error of [new ProviderError('transient', 'busy'), new ProviderError('rateLimited', 'no')]) {
      const looked = race.look();
      (await race.call('execute')).fail(error);
      await looked;
    }
    const looked = race.look();
    (await race.call('execute')).fail(new ProviderError('unknownOutcome', 'no answer'));
    await looked;
    const last = race.look();
    (await race.call('execute')).fail(new ProviderError('permanent', 'never'));
    await last;
    expect(await countsOf(registry)).toMatchObject({
      action_dispatch_seconds_count: 1,
      'attempts_repeated_total{reason="failed"}': 1,
      'attempts_repeated_total{reason="throttled"}': 1,
      'attempts_repeated_total{reason="unknown"}': 1,
      'vendor_calls_total{call="execute",result="transient"}': 1,
      'vendor_calls_total{call="execute",result="rateLimited"}': 1,
      'vendor_calls_total{call="execute",result="unknownOutcome"}': 1,
      'vendor_calls_total{call="execute",result="permanent"}': 1,
      // The attempt before may have been applied.
      'actions_ended_total{phase="outcomeUnknown"}': 1,
    });
  });

  it('is counted as taken over by the next worker, and as lost by the one before', async () => {
    const { race, registry } = await counted({ idempotency: 'natural', obeys: false });
    const frozen = race.worker();
    const before = race.look(frozen);
    const first = await race.call('execute');
    await race.age({ leaseUntil: new Date(0) });
    const after = race.look();
    (await race.call('execute')).answer({ kind: 'completed' });
    await after;
    frozen.hearCancel(race.id);
    await eventually(async () => (await countsOf(registry))['leases_lost_total'] === 1);
    first.answer({ kind: 'completed' });
    await before;
    expect(await countsOf(registry)).toMatchObject({
      lease_takeovers_total: 1,
      leases_lost_total: 1,
      'actions_ended_total{phase="done"}': 1,
      action_duration_seconds_count: 1,
    });
  });
});

describe('a run that ends', () => {
  it.each(['before', 'after'])(
    'has lost no lease where a heartbeat is refused %s the answer to its last write',
    async (when) => {
      const { race, registry } = await counted();
      let beaten: Promise<unknown> = Promise.resolve();
      const worker = race.worker({
        renew: (...given) => (beaten = race.store.renew(...given)),
        complete: async (...given) => {
          const isEnded = await race.store.complete(...given);
          worker.hearCancel(race.id);
          if (when === 'before') await beaten;
          return isEnded;
        },
      });
      const looked = race.look(worker);
      (await race.call('execute')).answer({ kind: 'completed' });
      await looked;
      expect(await beaten).toBeNull();
      expect(await countsOf(registry)).not.toHaveProperty('leases_lost_total');
    },
  );
});

describe("the vendor's quota", () => {
  /** Grants all, and notes for what, and what was said first of how much was used. */
  function noting() {
    const taken: Partial<PermitRequest>[] = [];
    const used: (number | undefined)[] = [];
    const permits = {
      take: ({ purpose, calls }: PermitRequest) => {
        taken.push({ purpose, calls });
        let isSettled = false;
        const settle = (made?: number): void => {
          if (!isSettled) used.push(made);
          isSettled = true;
        };
        return Promise.resolve({ kind: 'granted', permit: { spend: () => Promise.resolve(), settle } });
      },
      note: () => undefined,
      vendorBusy: () => undefined,
    } as unknown as VendorPermits;
    return { taken, used, permits };
  }

  it('keeps the calls of a run whose last write failed', async () => {
    const { used, permits } = noting();
    const race = await track({ permits });
    const looked = race.look(race.worker({ complete: () => Promise.reject(new Error('away')) }));
    (await race.call('execute')).answer({ kind: 'completed' });
    await expect(looked).rejects.toThrow('away');
    // As many as were asked for: this plugin does not call by `http`, which would count them.
    expect(used).toEqual([undefined]);
  });

  it('is open to the end where an action is to be stopped at its deadline, and is asked for a poll before and after', async () => {
    const { taken, permits } = noting();
    const race = await track({ permits });
    const operation = { id: 'op' };
    const begun = race.look();
    (await race.call('execute')).answer({ kind: 'pending', operation });
    await begun;
    const { deadlineAt } = await race.action();
    expect(race.hints.at(-1)).toMatchObject({ polls: true, stopAt: deadlineAt });
    const polled = race.look(race.worker(), undefined, deadlineAt);
    (await race.call('poll')).answer({ kind: 'pending', operation });
    await polled;

    await race.deadlinePassed();
    await race.age({ nextAt: new Date(0) });
    const due = await race.store.due('begun', 1000, 0, null);
    const { stopAt } = due.find(({ id }) => id === race.id) ?? {};
    expect(stopAt?.getTime()).toBeLessThan(Date.now());
    const stopped = race.look(race.worker(), undefined, stopAt);
    (await race.call('cancel')).answer('requested');
    (await race.call('poll')).answer({ kind: 'pending', operation });
    await stopped;
    expect(race.hints.at(-1)).toMatchObject({ polls: true, stopAt: null });
    expect(taken).toEqual([
      { purpose: 'poll', calls: 1 },
      { purpose: 'poll', calls: 1 },
      { purpose: 'urgent', calls: 1 },
    ]);
  });
});

describe('an action that is cancelled before it is issued', () => {
  it('ends once, however often it is cancelled', async () => {
    const { race, registry } = await counted();
    expect(await race.cancel()).toBe('cancelled');
    expect(await race.cancel()).toBe('cancelled');
    expect(await countsOf(registry)).toEqual({
      'actions_ended_total{phase="cancelled"}': 1,
      action_duration_seconds_count: 1,
    });
  });
});

describe('what alerts look at', () => {
  const instance = (tenants: readonly string[]) => ({ id: 'scripted', config: { tenants } });

  it('is 0 before anything came', async () => {
    const registry = await openMetrics({ process: 'worker', version: '1', tenantLabel: false });
    beginCounts(registry.metrics, [instance(['*'])], { tenantLabel: false });
    const counts = await countsOf(registry);
    expect(counts).toMatchObject({ lease_takeovers_total: 0, leases_lost_total: 0 });
    for (const phase of [...PHASES.Completed, ...PHASES.Failed])
      expect(counts[`actions_ended_total{phase="${phase}"}`]).toBe(0);
    const samples = samplesIn(await registry.text());
    expect(samples.get('riposte_sweep_passes_total{result="failed"}')).toBe(0);
    expect(samples.get('riposte_notifications_total{result="dead"}')).toBe(0);
  });

  it('is so of each tenant that is known', async () => {
    const registry = await openMetrics({ process: 'worker', version: '1', tenantLabel: true });
    beginCounts(registry.metrics, [instance(['*', 'one'])], { tenantLabel: true });
    const counts = await countsOf(registry);
    expect(counts['actions_ended_total{phase="done",tenant="one"}']).toBe(0);
    expect(Object.keys(counts).filter((name) => name.includes('*'))).toEqual([]);
  });
});
