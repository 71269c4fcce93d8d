import { describe, expect, it } from 'vitest';
import type { ActionDetails } from '../../api/types.ts';
import { timelineOf } from './timeline.ts';

const at = (seconds: number): string => new Date(Date.UTC(2026, 10, 29, 3, 0, seconds)).toISOString();
const state = (status: ActionDetails['status'], seconds: number, user: string | null = null) => ({
  appId: 'app-1',
  status,
  updatedDateTime: at(seconds),
  user,
});
const action = (changes: Partial<ActionDetails>): ActionDetails =>
  ({
    status: 'NotStarted',
    phase: 'queued',
    states: [state('NotStarted', 0, 'mallory')],
    attempts: [],
    currentAttempt: null,
    cancel: null,
    resolution: null,
    waiting: null,
    errorInfo: null,
    nextAttemptDateTime: null,
    deadlineDateTime: at(3600),
    effectUntil: null,
    revertedBy: null,
    ...changes,
  }) as ActionDetails;
const titles = (of: ActionDetails): readonly string[] =>
  timelineOf(of).map(({ title, isAhead }) => (isAhead ? `(${title})` : title));

describe('the timeline of an action', () => {
  it('begins with who asked for it, and tells what is to come', () => {
    const waiting = { reason: 'quota' as const, message: '', expectedStartDateTime: at(60), blockedBy: null };
    const entries = timelineOf(action({ waiting }));
    expect(entries.map(({ title }) => title)).toEqual(['Created', 'Expected to start', 'Deadline']);
    expect(entries[0]).toMatchObject({ detail: 'By mallory.', isAhead: false });
    expect(entries[1]).toMatchObject({ at: at(60), isAhead: true });
  });

  it('has states and attempts by time, with what the vendor said', () => {
    const failed = { code: 503, subcode: 504, message: 'the gateway timed out' };
    const of = action({
      status: 'Completed',
      phase: 'done',
      states: [state('NotStarted', 0), state('Running', 1), state('Completed', 30)],
      attempts: [
        {
          number: 1,
          startedAt: at(1),
          endedAt: at(3),
          outcome: 'failed',
          providerVersion: '1.0.0',
          errorInfo: failed,
        },
        {
          number: 2,
          startedAt: at(20),
          endedAt: at(30),
          outcome: 'completed',
          providerVersion: '1.0.0',
          errorInfo: null,
        },
      ],
    });
    expect(titles(of)).toEqual([
      'Created',
      'Started',
      'Attempt 1 failed after 2.0 s',
      'Attempt 2 completed after 10 s',
      'Completed',
    ]);
    expect(timelineOf(of)[2]?.detail).toBe('503: the gateway timed out (the vendor’s HTTP status: 504)');
  });

  it('names the vendor’s operation of what is under way, and when it is looked at again', () => {
    const of = action({
      status: 'Running',
      phase: 'waitingOnVendor',
      states: [state('NotStarted', 0), state('Running', 1)],
      currentAttempt: { number: 1, startedAt: at(1), providerVersion: '1.0.0', vendorOperationId: 'op-9' },
      nextAttemptDateTime: at(90),
    });
    expect(titles(of)).toEqual([
      'Created',
      'Started',
      'Attempt 1 was sent to the provider',
      '(Next check)',
      '(Deadline)',
    ]);
    expect(timelineOf(of)[2]?.detail).toContain('op-9');
  });

  it('tells the wish to cancel, what the provider made of it, and how it ended', () => {
    const of = action({
      status: 'Failed',
      phase: 'cancelledAtProvider',
      states: [state('NotStarted', 0), state('Running', 1), state('Failed', 9)],
      cancel: { at: at(5), why: 'caller', outcome: 'cancelled' },
      errorInfo: { code: 499, subcode: 0, message: 'Cancelled.' },
    });
    expect(titles(of)).toEqual(['Created', 'Started', 'Cancel requested', 'Cancelled at the provider']);
  });

  it('ends with what somebody found, of an unknown outcome', () => {
    const of = action({
      status: 'Failed',
      phase: 'outcomeUnknown',
      states: [state('NotStarted', 0), state('Failed', 9)],
      errorInfo: { code: 520, subcode: 0, message: null },
      resolution: {
        by: { appId: 'app-1', user: 'eve' },
        at: at(99),
        verdict: 'applied',
        note: 'The rule is there.',
      },
    });
    expect(titles(of)).toEqual(['Created', 'Ended with an unknown outcome', 'Found applied by eve']);
  });

  it('announces that an effect is lifted, unless it was already, or there is none', () => {
    const done = { status: 'Completed', phase: 'done', effectUntil: at(7200) } as const;
    expect(titles(action(done))).toContain('(Effect ends)');
    expect(titles(action({ ...done, revertedBy: 'b' }))).not.toContain('(Effect ends)');
    expect(titles(action({ ...done, status: 'Failed', phase: 'failed' }))).not.toContain('(Effect ends)');
  });
});
