import { ERROR_INFO_CODES, MESSAGE_LIMIT, errorInfo, type FinalFailure, type TransitionName } from '#domain';
import {
  CLOSED,
  NOW,
  RELEASED,
  STAMP,
  UNRESOLVED,
  attemptsAfter,
  inMs,
  latest,
  latestOrder,
  literal,
  openFor,
  phaseAfter,
  statesAfter,
  type Expression,
} from './pipeline.js';
import type { Given, WriteKind } from './together.js';

/** The writes of an action's usual way, which go together: claim, intent, operation, parking, and the ends, the sweep's too. */

/**
 * Given: `owner`, `leaseMs`, `providerVersion`.
 * Claim and intent are one write where issuing twice does no harm.
 */
export const CLAIM: WriteKind = {
  name: 'claim',
  statement: (given) => {
    const mayIssue = {
      $and: [
        { $eq: ['$intent', null] },
        { $eq: ['$cancel', null] },
        { $in: ['$idempotency', ['key', 'natural']] },
      ],
    };
    const nextEpoch = { $add: ['$epoch', 1] };
    const leaseUntil = inMs(given('leaseMs'));
    return {
      filter: {
        ...openFor('claim'),
        $expr: {
          $and: [
            // Of what was not started the time says only when it is looked at again, if nobody does before.
            { $or: [{ $eq: ['$status', 'NotStarted'] }, { $lte: ['$nextAt', NOW] }] },
            // It was this very claim's, which comes late: whoever sent it has had its answer by another try.
            { $not: [{ $in: [given('owner'), ['$owner', '$lastOwner']] }] },
            // What was never issued and is late is closed by the sweep, not begun.
            { $or: [{ $ne: ['$intent', null] }, { $gt: ['$deadlineAt', NOW] }] },
            {
              $or: [
                { $eq: ['$status', 'Running'] },
                { $eq: ['$startBefore', null] },
                { $gt: ['$startBefore', NOW] },
              ],
            },
          ],
        },
      },
      changes: {
        status: 'Running',
        waiting: null,
        // Where another holds its target, the index refuses this.
        mutexHeld: { $ifNull: ['$mutexKey', '$$REMOVE'] },
        phase: {
          $switch: {
            branches: [
              { case: { $ne: ['$cancel', null] }, then: phaseAfter('claim', 'cancelling') },
              {
                case: { $ne: [{ $ifNull: ['$intent.operation', null] }, null] },
                then: phaseAfter('claim', 'waitingOnVendor'),
              },
            ],
            default: phaseAfter('claim', 'executing'),
          },
        },
        states: statesAfter('claim'),
        // A later claim, to poll or to take over, changes nothing a caller can see.
        lastActionAt: { $cond: [{ $eq: ['$status', 'NotStarted'] }, STAMP, '$lastActionAt'] },
        epoch: nextEpoch,
        owner: given('owner'),
        leaseUntil,
        nextAt: leaseUntil,
        // Whoever held it did not come back: only that counts towards poison.
        crashes: { $cond: [{ $eq: ['$owner', null] }, '$crashes', { $add: ['$crashes', 1] }] },
        intent: {
          $switch: {
            branches: [
              { case: mayIssue, then: intentOf(nextEpoch, given('providerVersion')) },
              {
                case: { $eq: ['$intent.repeatedAt', null] },
                then: { $mergeObjects: ['$intent', { repeatedAt: STAMP }] },
              },
            ],
            default: '$intent',
          },
        },
      },
    };
  },
};

/** Given: the lease, `providerVersion`. */
export const RECORD_INTENT: WriteKind = {
  name: 'recordIntent',
  statement: (given) => ({
    // Not over its own: a try that comes late would take away what became known under it. A repeat finds it there.
    filter: held('recordIntent', given, [{ $eq: ['$cancel', null] }, { $eq: ['$intent', null] }]),
    changes: {
      phase: phaseAfter('recordIntent', 'executing'),
      intent: intentOf('$epoch', given('providerVersion')),
    },
  }),
};

/** Given: the lease, `operation`, `order`. */
export const SAVE_OPERATION: WriteKind = {
  name: 'saveOperation',
  statement: (given) => ({
    filter: held('saveOperation', given, [{ $ne: ['$intent', null] }]),
    changes: {
      intent: latest(
        'operationOrder',
        given('order'),
        { $mergeObjects: ['$intent', { operation: given('operation') }] },
        '$intent',
      ),
      operationOrder: latestOrder('operationOrder', given('order')),
      crashes: 0,
    },
  }),
};

/** Given: the lease, `operation`, `progress`, `phase`, `delayMs`, `sawCancel`. */
export const PARK: WriteKind = {
  name: 'park',
  statement: (given) => ({
    filter: held('park', given, [{ $ne: ['$intent', null] }]),
    changes: {
      ...RELEASED,
      phase: { $cond: [{ $eq: ['$cancel', null] }, given('phase'), 'cancelling'] },
      intent: { $mergeObjects: ['$intent', { operation: given('operation') }] },
      progress: given('progress'),
      crashes: 0,
      nextAt: dueAgain(given('delayMs'), given('sawCancel')),
    },
  }),
};

/** Given: the lease, `endedBy`, `result`, `effect`. */
export const COMPLETE: WriteKind = {
  name: 'complete',
  statement: (given) => ({
    filter: held('complete', given),
    changes: {
      ...CLOSED,
      owner: given('endedBy'),
      status: 'Completed',
      phase: phaseAfter('complete', 'done'),
      states: statesAfter('complete'),
      attempts: attemptsAfter('completed', null),
      result: given('result'),
      effect: given('effect'),
      liftAt: { $ifNull: ['$effectUntil', '$$REMOVE'] },
    },
  }),
};

/** An end as Failed. Given: the lease, `endedBy`, `errorInfo`. */
export function failing(phase: FinalFailure['phase'], applied: 'no' | 'unknown'): WriteKind {
  const cancelled = phase === 'cancelled' || phase === 'cancelledAtProvider';
  const outcome = applied === 'unknown' ? 'unknown' : cancelled ? 'cancelled' : 'failed';
  const by = cancelled
    ? { appId: { $ifNull: ['$cancel.appId', '$appId'] }, user: { $ifNull: ['$cancel.user', '$user'] } }
    : { appId: '$appId', user: '$user' };
  const stopped = {
    $cond: [{ $eq: ['$cancel', null] }, null, { $mergeObjects: ['$cancel', { outcome: 'cancelled' }] }],
  };
  return {
    name: `fail/${phase}/${applied}`,
    statement: (given) => ({
      filter: held('fail', given),
      changes: {
        ...CLOSED,
        owner: given('endedBy'),
        status: 'Failed',
        phase: phaseAfter('fail', phase),
        states: statesAfter('fail', by),
        attempts: attemptsAfter(outcome, given('errorInfo')),
        errorInfo: given('errorInfo'),
        ...(applied === 'unknown' ? UNRESOLVED : {}),
        ...(phase === 'cancelledAtProvider' || phase === 'timedOut' ? { cancel: stopped } : {}),
      },
    }),
  };
}

export const DEADLINE_PASSED: Expression = { $lte: ['$deadlineAt', NOW] };
export const START_BEFORE_PASSED: Expression = {
  $and: [{ $ne: ['$startBefore', null] }, { $lte: ['$startBefore', NOW] }],
};
/** No intent stands and a caller wants it stopped: it has to end as cancelled, whatever else is late. */
export const UNISSUED_AND_UNWANTED: Expression = {
  $and: [{ $eq: ['$intent', null] }, { $eq: ['$cancel.why', 'caller'] }],
};

/** What the last attempt said before it was tried again; empty where there was none. */
const LAST_WORDS: Expression = {
  $let: {
    vars: { said: { $last: '$attempts.error.message' } },
    in: { $cond: [{ $gt: ['$$said', null] }, { $concat: [' The last attempt said: ', '$$said'] }, ''] },
  },
};

/** The end of what nobody will end, which the write itself decides. Given: `endedBy`, `giveUpAfterMs`. */
export const CLOSE_OVERDUE: WriteKind = {
  name: 'closeOverdue',
  statement: (given) => {
    const issued = { $ne: ['$intent', null] };
    const endings = [
      {
        phase: phaseAfter('cancelBeforeIssue', 'cancelled'),
        when: UNISSUED_AND_UNWANTED,
        error: errorInfo(
          ERROR_INFO_CODES.cancelled,
          'Cancelled before it was issued again to the provider; nothing was done.',
        ),
      },
      {
        phase: phaseAfter('giveUp', 'outcomeUnknown'),
        when: { $and: [issued, { $lte: [{ $add: ['$deadlineAt', given('giveUpAfterMs')] }, NOW] }] },
        error: errorInfo(
          ERROR_INFO_CODES.outcomeUnknown,
          'The deadline passed and the provider has not said what became of it. Check the target.',
        ),
      },
      {
        phase: phaseAfter('expire', 'expired'),
        when: { $and: [{ $not: [issued] }, { $eq: ['$status', 'NotStarted'] }, START_BEFORE_PASSED] },
        error: errorInfo(
          ERROR_INFO_CODES.expired,
          'Not started before its startBefore time, or the end of its effect; nothing was done.',
        ),
      },
      {
        phase: phaseAfter('timeOut', 'timedOut'),
        when: { $and: [{ $not: [issued] }, DEADLINE_PASSED] },
        error: errorInfo(
          ERROR_INFO_CODES.timedOut,
          'The deadline passed before it could be issued to the provider; nothing was done.',
        ),
        // What it waited for all the time, as a vendor that cannot be reached.
        more: LAST_WORDS,
      },
    ] as const;
    // The first that applies.
    const decide = (value: (ending: (typeof endings)[number]) => Expression): Expression => ({
      $switch: { branches: endings.map((ending) => ({ case: ending.when, then: value(ending) })) },
    });
    const told = decide((ending) =>
      'more' in ending
        ? {
            ...ending.error,
            message: {
              $substrCP: [{ $concat: [literal(ending.error.message), ending.more] }, 0, MESSAGE_LIMIT],
            },
          }
        : literal(ending.error),
    );
    const whose = (field: 'appId' | 'user'): Expression => ({
      $cond: [UNISSUED_AND_UNWANTED, `$cancel.${field}`, `$${field}`],
    });
    return {
      filter: {
        ...openFor('timeOut'),
        $expr: { $and: [{ $lte: ['$nextAt', NOW] }, { $or: endings.map(({ when }) => when) }] },
      },
      changes: {
        ...CLOSED,
        owner: given('endedBy'),
        status: 'Failed',
        phase: decide(({ phase }) => phase),
        states: statesAfter('timeOut', { appId: whose('appId'), user: whose('user') }),
        attempts: attemptsAfter('unknown', told),
        errorInfo: told,
        ...UNRESOLVED,
      },
    };
  },
};

/** When a released action is due again: at once for an unseen cancel wish, and never later than its deadline. */
export function dueAgain(delayMs: Expression, sawCancel: Expression): Expression {
  const later = inMs(delayMs);
  const inTime = { $cond: [{ $gt: ['$deadlineAt', NOW] }, { $min: [later, '$deadlineAt'] }, later] };
  return { $cond: [{ $or: [sawCancel, { $eq: ['$cancel', null] }] }, inTime, NOW] };
}

function intentOf(epoch: Expression, providerVersion: Expression): Expression {
  return {
    epoch,
    attempt: { $add: [{ $size: '$attempts' }, 1] },
    at: STAMP,
    idempotency: '$idempotency',
    providerVersion,
    operation: null,
    checkpoint: { $ifNull: ['$checkpoint', null] },
  };
}

/** As {@link openFor}, for the holder of the lease only. Given: `epoch`, `owner`. */
function held(name: TransitionName, given: Given, also: readonly Expression[] = []): object {
  return {
    ...openFor(name),
    $expr: { $and: [{ $eq: ['$epoch', given('epoch')] }, { $eq: ['$owner', given('owner')] }, ...also] },
  };
}
