import type { ActionDetails, Attempt, NativeAction } from '../../api/types.ts';
import type { Tone } from '../../ui/badge.tsx';
import { duration } from '../../ui/format.ts';

/** Something that happened to an action, or is to. */
export interface TimelineEntry {
  readonly id: string;
  /** ISO 8601. */
  readonly at: string;
  readonly title: string;
  readonly detail?: string;
  readonly tone: Tone;
  /** It is yet to come. */
  readonly isAhead: boolean;
}

const OUTCOMES: Readonly<Record<Attempt['outcome'], { readonly word: string; readonly tone: Tone }>> = {
  completed: { word: 'completed', tone: 'success' },
  failed: { word: 'failed', tone: 'danger' },
  unknown: { word: 'ended with an unknown outcome', tone: 'unknown' },
  cancelled: { word: 'was cancelled', tone: 'neutral' },
};

const WISH_OUTCOMES: Readonly<Record<NonNullable<NonNullable<NativeAction['cancel']>['outcome']>, string>> = {
  cancelled: 'The provider confirmed that it stopped.',
  requested: 'The provider accepted the request but has not confirmed it.',
  tooLate: 'The provider says it was too late.',
  notSupported: 'The provider cannot cancel it.',
  unknown: 'It is not known what the provider did.',
};

/**
 * What happened to an action, and what is to come, by time: states, attempts, the wish to stop it, its resolution.
 * @param nameOf what an application is called; null: it is not known
 */
export function timelineOf(
  action: ActionDetails,
  nameOf: (appId: string) => string | null = () => null,
): readonly TimelineEntry[] {
  const past: readonly Omit<TimelineEntry, 'isAhead'>[] = [
    ...statesOf(action, nameOf),
    ...attemptsOf(action),
    ...wishOf(action),
    ...resolutionOf(action, nameOf),
  ];
  // In one millisecond, the order in which they are told is that in which they happen.
  const happened = past.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at));
  const ahead = aheadOf(action).toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at));
  return [
    ...happened.map((entry) => ({ ...entry, isAhead: false })),
    ...ahead.map((entry) => ({ ...entry, isAhead: true })),
  ];
}

type Entry = Omit<TimelineEntry, 'isAhead'>;
type NameOf = (appId: string) => string | null;

function statesOf(action: ActionDetails, nameOf: NameOf): readonly Entry[] {
  return action.states.map((state, index): Entry => {
    const by =
      state.user ??
      (state.appId === null ? undefined : (nameOf(state.appId) ?? `application ${state.appId}`));
    const id = `state ${index}`;
    const at = state.updatedDateTime;
    switch (state.status) {
      case 'NotStarted':
        return {
          id,
          at,
          title: 'Created',
          ...(by === undefined ? {} : { detail: `By ${by}.` }),
          tone: 'neutral',
        };
      case 'Running':
        return { id, at, title: 'Started', detail: 'A worker picked it up.', tone: 'info' };
      case 'Completed':
        return { id, at, title: 'Completed', tone: 'success' };
      case 'Failed':
        return { id, at, ...failureOf(action) };
      default:
        return { id, at, title: String(state.status), tone: 'neutral' };
    }
  });
}

function failureOf({ phase, errorInfo }: ActionDetails): Pick<Entry, 'title' | 'tone' | 'detail'> {
  const detail = errorInfo?.message == null ? {} : { detail: errorInfo.message };
  if (phase === 'cancelled' || phase === 'cancelledAtProvider')
    return {
      title: phase === 'cancelled' ? 'Cancelled before it was sent' : 'Cancelled at the provider',
      tone: 'neutral',
      ...detail,
    };
  if (phase === 'outcomeUnknown')
    return { title: 'Ended with an unknown outcome', tone: 'unknown', ...detail };
  const code = errorInfo === null ? '' : ` with ${errorInfo.code}`;
  return { title: `Failed${code}`, tone: 'danger', ...detail };
}

function attemptsOf({ attempts, currentAttempt }: ActionDetails): readonly Entry[] {
  const ended = attempts.map((attempt): Entry => {
    const { number, startedAt, endedAt, outcome, errorInfo } = attempt;
    const { word, tone } = OUTCOMES[outcome];
    const took = duration(Math.max(0, Date.parse(endedAt) - Date.parse(startedAt)));
    const vendor =
      errorInfo === null || errorInfo.subcode === 0
        ? ''
        : ` (the vendor’s HTTP status: ${errorInfo.subcode})`;
    const why = errorInfo === null ? '' : ` ${errorInfo.code}: ${errorInfo.message ?? 'no message'}${vendor}`;
    return {
      id: `attempt ${number}`,
      at: startedAt,
      title: `Attempt ${number} ${word} after ${took}`,
      ...(why === '' ? {} : { detail: why.trim() }),
      tone,
    };
  });
  if (currentAttempt === null) return ended;
  const { number, startedAt, vendorOperationId } = currentAttempt;
  return [
    ...ended,
    {
      id: 'attempt now',
      at: startedAt,
      title: `Attempt ${number} was sent to the provider`,
      detail:
        vendorOperationId === null
          ? 'The provider has not returned an operation id yet.'
          : `The vendor’s operation: ${vendorOperationId}`,
      tone: 'info',
    },
  ];
}

function wishOf({ cancel }: ActionDetails): readonly Entry[] {
  if (cancel === null) return [];
  return [
    {
      id: 'cancel',
      at: cancel.at,
      title: cancel.why === 'caller' ? 'Cancel requested' : 'Cancelled at its deadline',
      detail: cancel.outcome === null ? 'The provider has not answered yet.' : WISH_OUTCOMES[cancel.outcome],
      tone: 'warning',
    },
  ];
}

function resolutionOf({ resolution }: ActionDetails, nameOf: NameOf): readonly Entry[] {
  if (resolution === null) return [];
  const { at, verdict, note, by } = resolution;
  return [
    {
      id: 'resolution',
      at,
      title: `${verdict === 'applied' ? 'Found applied' : 'Found not applied'} by ${by.user ?? nameOf(by.appId) ?? `application ${by.appId}`}`,
      detail: note,
      tone: verdict === 'applied' ? 'success' : 'neutral',
    },
  ];
}

function aheadOf(action: ActionDetails): readonly Entry[] {
  const { status, waiting, nextAttemptDateTime, deadlineDateTime, effectUntil, revertedBy } = action;
  const hasEnded = status === 'Completed' || status === 'Failed';
  const expected = waiting?.expectedStartDateTime ?? null;
  return [
    ...(!hasEnded && expected !== null
      ? [
          {
            id: 'expected',
            at: expected,
            title: status === 'NotStarted' ? 'Expected to start' : 'Expected to continue',
            detail: 'At the earliest.',
            tone: 'neutral' as const,
          },
        ]
      : []),
    ...(status === 'Running' && nextAttemptDateTime !== null && expected === null
      ? [{ id: 'next', at: nextAttemptDateTime, title: 'Next check', tone: 'neutral' as const }]
      : []),
    ...(hasEnded
      ? []
      : [
          {
            id: 'deadline',
            at: deadlineDateTime,
            title: 'Deadline',
            detail: 'It will have ended by then, one way or another.',
            tone: 'neutral' as const,
          },
        ]),
    ...(effectUntil !== null && status !== 'Failed' && revertedBy === null
      ? [{ id: 'effect', at: effectUntil, title: 'Effect ends', tone: 'neutral' as const }]
      : []),
  ];
}
