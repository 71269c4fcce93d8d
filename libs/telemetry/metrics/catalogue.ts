/**
 * Every metric of our own, one line each: a new one is a line here and a row in docs/metrics.md, which a test keeps equal.
 * Names and units follow Prometheus (https://prometheus.io/docs/practices/naming/). Every label has to take few values:
 * what is configured, what a plugin declares, or a list in the code; never an id, an address or a path.
 *
 * A provider instance is `provider_instance`: `instance` and `job` are Prometheus' own labels of whom it scrapes.
 */

/** Which process has it. */
type Process = 'api' | 'worker';

interface Definition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly name: string;
  readonly help: string;
  /** `tenant` is there only where `metrics.tenantLabel` is on, and comes last. */
  readonly labels: readonly string[];
  readonly of: readonly Process[];
  /** Upper bounds in seconds. */
  readonly buckets?: readonly number[];
}

const API = ['api'] as const;
const WORKER = ['worker'] as const;
const BOTH = ['api', 'worker'] as const;

/** A request, a call, a pass. */
const SHORT = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;
/** What waits for a vendor: up to a day. */
const LONG = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400] as const;

const NONE = [] as const;
const INSTANCE = ['provider_instance'] as const;

// One line each is easier to read here than what the formatter would make of them.
// prettier-ignore
export const CATALOGUE = {
  processInfo: { type: 'gauge', name: 'riposte_process_info', help: 'Always 1; tells which process it is, and its version.', labels: ['process', 'version'], of: BOTH },

  httpRequestSeconds: { type: 'histogram', name: 'riposte_http_request_duration_seconds', help: 'Time from a request to the end of its answer.', labels: ['method', 'route', 'status'], of: API, buckets: SHORT },
  eventListeners: { type: 'gauge', name: 'riposte_event_listeners', help: 'Open event streams.', labels: NONE, of: API },
  changesInterrupted: { type: 'counter', name: 'riposte_change_stream_interruptions_total', help: 'Times that the change stream broke which event streams are told from.', labels: NONE, of: API },

  actionsCreated: { type: 'counter', name: 'riposte_actions_created_total', help: 'Actions put on record.', labels: ['provider_instance', 'action', 'tenant'], of: BOTH },
  actionsEnded: { type: 'counter', name: 'riposte_actions_ended_total', help: 'Actions that ended, by the phase they ended in.', labels: ['provider_instance', 'phase', 'tenant'], of: BOTH },
  actionSeconds: { type: 'histogram', name: 'riposte_action_duration_seconds', help: 'Time from an action\'s record to its end.', labels: INSTANCE, of: BOTH, buckets: LONG },
  dispatchSeconds: { type: 'histogram', name: 'riposte_action_dispatch_seconds', help: 'Time from an action\'s record until a worker first took it up.', labels: INSTANCE, of: WORKER, buckets: LONG },
  attemptsRepeated: { type: 'counter', name: 'riposte_attempts_repeated_total', help: 'Attempts that ended with another to follow.', labels: ['provider_instance', 'reason'], of: WORKER },
  leaseTakeovers: { type: 'counter', name: 'riposte_lease_takeovers_total', help: 'Actions taken over from a worker that was gone, or had stopped in the middle.', labels: INSTANCE, of: WORKER },
  leasesLost: { type: 'counter', name: 'riposte_leases_lost_total', help: 'Actions that another worker took over from this one.', labels: INSTANCE, of: WORKER },
  actionsInHand: { type: 'gauge', name: 'riposte_worker_actions_in_hand', help: 'Actions that this worker holds.', labels: INSTANCE, of: WORKER },
  actionsAtVendor: { type: 'gauge', name: 'riposte_worker_actions_at_vendor', help: 'Those of them whose plugin is being called.', labels: INSTANCE, of: WORKER },

  vendorCalls: { type: 'counter', name: 'riposte_vendor_calls_total', help: 'Calls of plugins, by what they came to.', labels: ['provider_instance', 'call', 'result'], of: WORKER },
  vendorCallSeconds: { type: 'histogram', name: 'riposte_vendor_call_duration_seconds', help: 'Time that calls of plugins took.', labels: ['provider_instance', 'call'], of: WORKER, buckets: SHORT },

  sweepPasses: { type: 'counter', name: 'riposte_sweep_passes_total', help: 'Passes of the sweep.', labels: ['result'], of: WORKER },
  sweepSeconds: { type: 'histogram', name: 'riposte_sweep_duration_seconds', help: 'Time that a pass of the sweep took.', labels: NONE, of: WORKER, buckets: SHORT },
  sweepHinted: { type: 'counter', name: 'riposte_sweep_hinted_actions_total', help: 'Due actions that the sweep had to hint again.', labels: NONE, of: WORKER },
  sweepClosed: { type: 'counter', name: 'riposte_sweep_closed_actions_total', help: 'Actions that the sweep ended because their time was over.', labels: NONE, of: WORKER },
  notifications: { type: 'counter', name: 'riposte_notifications_total', help: 'Tries to deliver a change notification, by what they came to.', labels: ['result'], of: WORKER },

  stateComplete: { type: 'gauge', name: 'riposte_state_complete', help: '1 while all of the installation\'s state below could be read in time; what could not is left out.', labels: NONE, of: API },
  dependencyUp: { type: 'gauge', name: 'riposte_dependency_up', help: '1 while readiness finds nothing wrong with it: MongoDB takes majority writes, Redis takes hints and drops none.', labels: ['dependency'], of: API },
  workersAlive: { type: 'gauge', name: 'riposte_workers_alive', help: 'Workers heard of in the last 15 seconds.', labels: NONE, of: API },
  backlog: { type: 'gauge', name: 'riposte_backlog_actions', help: 'Actions that wait to be started.', labels: INSTANCE, of: API },
  backlogLimit: { type: 'gauge', name: 'riposte_backlog_limit_actions', help: 'How many may wait.', labels: INSTANCE, of: API },
  backlogOldest: { type: 'gauge', name: 'riposte_backlog_oldest_age_seconds', help: 'Age of the longest waiting action; 0: none waits.', labels: INSTANCE, of: API },
  unresolved: { type: 'gauge', name: 'riposte_unresolved_actions', help: 'Ended actions of which nobody can say yet whether they were applied; counted up to 10,000 in all.', labels: INSTANCE, of: API },
  quotaLeft: { type: 'gauge', name: 'riposte_quota_left_calls', help: 'Calls that are left of a window of the vendor\'s quota.', labels: ['provider_instance', 'window', 'actions'], of: API },
  quotaLimit: { type: 'gauge', name: 'riposte_quota_limit_calls', help: 'Calls that the window allows.', labels: ['provider_instance', 'window', 'actions'], of: API },
  breaker: { type: 'gauge', name: 'riposte_breaker_state', help: '1 for the state that the circuit breaker is in.', labels: ['provider_instance', 'state'], of: API },
  paused: { type: 'gauge', name: 'riposte_provider_instance_paused', help: '1 while nothing is started there.', labels: INSTANCE, of: API },
  healthy: { type: 'gauge', name: 'riposte_provider_instance_healthy', help: '1 where its plugin last said that all is well; absent where it cannot say.', labels: INSTANCE, of: API },
} as const satisfies Readonly<Record<string, Definition>>;

export type MetricName = keyof typeof CATALOGUE;
export type Catalogue = typeof CATALOGUE;
export type { Definition as MetricDefinition, Process as MetricsProcess };
