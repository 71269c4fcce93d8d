import { PHASES, STATUSES, type ActionPhase, type ActionStatus } from './action.js';

/**
 * Every change an action's record can go through: from which statuses, to which, and in which phases it may
 * end. The store builds each conditional write from this table, so what is not here cannot be written; the
 * diagram in `libs/engine/README.md` draws it.
 *
 * `lease: true` means that only the holder of the current lease and epoch may do it.
 */
export const TRANSITIONS = {
  claim: {
    from: ['NotStarted', 'Running'],
    to: 'Running',
    phases: ['executing', 'waitingOnVendor', 'cancelling'],
    lease: false,
  },
  throttle: { from: ['NotStarted'], to: 'NotStarted', phases: ['throttled'], lease: false },
  renew: { from: ['Running'], to: 'Running', phases: PHASES.Running, lease: true },
  recordIntent: { from: ['Running'], to: 'Running', phases: ['executing'], lease: true },
  takeBack: { from: ['Running'], to: 'Running', phases: ['retrying', 'cancelling'], lease: true },
  saveOperation: { from: ['Running'], to: 'Running', phases: PHASES.Running, lease: true },
  noteCancelOutcome: { from: ['Running'], to: 'Running', phases: PHASES.Running, lease: true },
  wishCancelAtDeadline: { from: ['Running'], to: 'Running', phases: ['cancelling'], lease: true },
  park: {
    from: ['Running'],
    to: 'Running',
    phases: ['waitingOnVendor', 'throttled', 'cancelling'],
    lease: true,
  },
  retry: { from: ['Running'], to: 'Running', phases: ['retrying', 'throttled', 'cancelling'], lease: true },
  handOver: { from: ['Running'], to: 'Running', phases: PHASES.Running, lease: true },
  complete: { from: ['Running'], to: 'Completed', phases: ['done'], lease: true },
  fail: { from: ['Running'], to: 'Failed', phases: PHASES.Failed, lease: true },
  wishCancel: { from: ['Running'], to: 'Running', phases: ['cancelling'], lease: false },
  cancelBeforeIssue: { from: ['NotStarted', 'Running'], to: 'Failed', phases: ['cancelled'], lease: false },
  expire: { from: ['NotStarted'], to: 'Failed', phases: ['expired'], lease: false },
  timeOut: { from: ['NotStarted', 'Running'], to: 'Failed', phases: ['timedOut'], lease: false },
  // What was open in a backup may have been carried out since: nobody knows.
  restoreAsUnknown: {
    from: ['NotStarted', 'Running'],
    to: 'Failed',
    phases: ['outcomeUnknown'],
    lease: false,
  },
  giveUp: { from: ['Running'], to: 'Failed', phases: ['outcomeUnknown'], lease: false },
} as const satisfies Record<string, Transition>;

export interface Transition {
  readonly from: readonly ActionStatus[];
  readonly to: ActionStatus;
  readonly phases: readonly ActionPhase[];
  readonly lease: boolean;
}

export type TransitionName = keyof typeof TRANSITIONS;

/** True when some transition leads from one status to the other: the legal steps of a history. */
export function isLegalStep(from: ActionStatus, to: ActionStatus): boolean {
  return Object.values(TRANSITIONS).some(
    (transition) =>
      transition.to === to && (transition.from as readonly ActionStatus[]).includes(from) && from !== to,
  );
}

/** True when the list of statuses starts at `NotStarted` and takes legal steps only. */
export function isLegalHistory(statuses: readonly ActionStatus[]): boolean {
  if (statuses[0] !== 'NotStarted') return false;
  return statuses.every((status, index) => {
    const before = statuses[index - 1];
    return before === undefined || isLegalStep(before, status);
  });
}

/** True when a record may show this phase under this status. */
export function phaseFits(status: ActionStatus, phase: ActionPhase): boolean {
  return STATUSES.includes(status) && (PHASES[status] as readonly ActionPhase[]).includes(phase);
}
