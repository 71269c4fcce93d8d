import { TRANSITIONS, type ActionPhase, type Lease, type TransitionName } from '#domain';
import { uuidOf } from './uuid.js';

/** An aggregation expression. */
export type Expression = unknown;

export const NOW = '$$NOW';

/** The time a change is stamped with: the database's clock, but never before the last change. */
export const STAMP: Expression = { $max: [NOW, '$lastActionAt'] };

/** A value taken as it is, whatever dollar signs a caller put into it. */
export function literal(value: unknown): Expression {
  return { $literal: value };
}

/** The database's time in `ms` milliseconds, rounded by who gives them. */
export function inMs(ms: Expression): Expression {
  return { $add: [NOW, ms] };
}

/** Milliseconds as the database adds them to a date: whole, and not into the past. */
export function wholeMs(ms: number): number {
  return Math.max(0, Math.round(ms));
}

/** An open action in a status the table lets the transition start from. */
export function openFor(name: TransitionName): Record<string, unknown> {
  return { open: true, status: { $in: TRANSITIONS[name].from } };
}

/** The filter every transition of one action starts with: {@link openFor}. */
export function startsFrom(name: TransitionName, id: string): Record<string, unknown> {
  return { _id: uuidOf(id), ...openFor(name) };
}

/** As {@link startsFrom}, for the holder of the lease only. */
export function heldBy(name: TransitionName, lease: Lease): Record<string, unknown> {
  return { ...startsFrom(name, lease.actionId), epoch: lease.epoch, owner: lease.owner };
}

/** A phase that the table allows after this transition; anything else is a defect caught in every test. */
export function phaseAfter(name: TransitionName, phase: ActionPhase): ActionPhase {
  const allowed: readonly ActionPhase[] = TRANSITIONS[name].phases;
  if (!allowed.includes(phase)) throw new TypeError(`transition ${name} cannot end in phase ${phase}`);
  return phase;
}

/** Appends to `states` when the status changes, by whoever caused the change. */
export function statesAfter(
  name: TransitionName,
  by: { appId: Expression; user: Expression } = CREATOR,
): Expression {
  const to = TRANSITIONS[name].to;
  return {
    $cond: [
      { $eq: ['$status', to] },
      '$states',
      { $concatArrays: ['$states', [{ status: to, updatedAt: STAMP, appId: by.appId, user: by.user }]] },
    ],
  };
}

const CREATOR = { appId: '$appId', user: '$user' };

/** Attempts a record keeps, the last ones. */
export const MOST_ATTEMPTS = 50;

/** The current intent moved to the end of `attempts`. */
export function attemptsAfter(outcome: Expression, error: Expression): Expression {
  return {
    $cond: [
      // A repeat that is still to come is no attempt.
      { $or: [{ $eq: ['$intent', null] }, { $eq: ['$intent.repeatedAt', null] }] },
      '$attempts',
      {
        $slice: [
          {
            $concatArrays: [
              '$attempts',
              [
                {
                  number: '$intent.attempt',
                  epoch: '$intent.epoch',
                  providerVersion: { $ifNull: ['$intent.providerVersion', null] },
                  startedAt: { $ifNull: ['$intent.repeatedAt', '$intent.at'] },
                  endedAt: STAMP,
                  outcome,
                  error,
                },
              ],
            ],
          },
          -MOST_ATTEMPTS,
        ],
      },
    ],
  };
}

/** The field that says in which order a lease holder's values of this name came; absent before the first. */
export type OrderField = 'progressOrder' | 'checkpointOrder' | 'operationOrder';

/**
 * A value that a lease holder gives, unless one it gave later is there: then what is there stays.
 * @param order of all that are given, by this claim and those before it
 */
export function latest(
  field: OrderField,
  order: Expression,
  given: Expression,
  there: Expression,
): Expression {
  return { $cond: [{ $gt: [`$${field}`, order] }, there, given] };
}

/** What the order's field is set to. */
export function latestOrder(field: OrderField, order: Expression): Expression {
  return { $max: [`$${field}`, order] };
}

/** The fields that giving a lease back clears. Whose it was stays: a claim of theirs that comes late is refused. */
export const RELEASED = { owner: null, leaseUntil: null, lastOwner: '$owner' } as const;

/** The fields every final write sets, besides status, phase and what it ended with. */
export const CLOSED = {
  open: '$$REMOVE',
  completedAt: STAMP,
  lastActionAt: STAMP,
  leaseUntil: null,
  nextAt: null,
  intent: null,
  waiting: null,
  mutexHeld: '$$REMOVE',
  checkpoint: '$$REMOVE',
  lastOwner: '$$REMOVE',
  progressOrder: '$$REMOVE',
  checkpointOrder: '$$REMOVE',
  operationOrder: '$$REMOVE',
} as const;

/** What the end of an attempt with unknown outcome sets besides. Without an intent nothing can have been applied. */
export const UNRESOLVED = { unresolved: { $cond: [{ $eq: ['$intent', null] }, '$$REMOVE', true] } } as const;
