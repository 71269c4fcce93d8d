import { PHASES, type SecurityAction } from '#domain';
import type { Metrics } from '#telemetry';

/** Counts an action that has ended, once: whoever wrote its end calls this. @param at when it ended, by the database's clock */
export function noteEnd(
  metrics: Metrics,
  {
    instance,
    tenantId,
    phase,
    createdAt,
  }: Pick<SecurityAction, 'instance' | 'tenantId' | 'phase' | 'createdAt'>,
  at: number,
): void {
  metrics.actionsEnded.add(1, instance, phase, tenantId);
  metrics.actionSeconds.observe(at - createdAt.getTime(), instance);
}

/** The counts that alerts look at begin at 0: of one that is not there until it is 1, nobody sees it change. */
export function beginCounts(
  metrics: Metrics,
  instances: Iterable<{ readonly id: string; readonly config: { readonly tenants: readonly string[] } }>,
  { tenantLabel }: { readonly tenantLabel: boolean },
): void {
  for (const { id, config } of instances) {
    metrics.leaseTakeovers.add(0, id);
    metrics.leasesLost.add(0, id);
    // Of `*` nobody knows which they are.
    for (const tenant of tenantLabel ? config.tenants.filter((one) => one !== '*') : [''])
      for (const phase of ENDS) metrics.actionsEnded.add(0, id, phase, tenant);
  }
  for (const result of ['ok', 'failed']) metrics.sweepPasses.add(0, result);
  for (const result of ['delivered', 'failed', 'dead']) metrics.notifications.add(0, result);
}

const ENDS = [...PHASES.Completed, ...PHASES.Failed];
