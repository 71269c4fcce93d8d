import { describe, expect, it } from 'vitest';
import {
  PHASES,
  STATUSES,
  TRANSITIONS,
  isFinal,
  isLegalHistory,
  isLegalStep,
  phaseFits,
  type ActionPhase,
  type ActionStatus,
  type Transition,
} from '#domain';

const transitions: [string, Transition][] = Object.entries(TRANSITIONS);

/** The whole rule, pair by pair: rows are from, columns to. */
const LEGAL: Record<ActionStatus, readonly ActionStatus[]> = {
  NotStarted: ['Running', 'Failed'],
  Running: ['Completed', 'Failed'],
  Completed: [],
  Failed: [],
};

describe('the status of an action', () => {
  const pairs = STATUSES.flatMap((from) => STATUSES.map((to) => [from, to] as const));

  it.each(pairs)('%s → %s is allowed exactly where the diagram draws it', (from, to) => {
    expect(isLegalStep(from, to)).toBe(LEGAL[from].includes(to));
  });

  it('never leaves Completed or Failed', () => {
    for (const [name, { from }] of transitions) expect(from.some(isFinal), name).toBe(false);
  });
});

describe('a transition', () => {
  it.each(transitions)('%s ends in phases that belong to its status', (_name, { to, phases }) => {
    for (const phase of phases) expect(phaseFits(to, phase), phase).toBe(true);
  });

  it('that changes what a worker does needs the lease; that of a caller, the sweep or a restore does not', () => {
    const free = transitions.filter(([, { lease }]) => !lease).map(([name]) => name);
    expect(free.toSorted()).toEqual([
      'cancelBeforeIssue',
      'claim',
      'expire',
      'giveUp',
      'restoreAsUnknown',
      'throttle',
      'timeOut',
      'wishCancel',
    ]);
  });

  it('exists for every phase', () => {
    const reached = new Set<ActionPhase>(transitions.flatMap(([, { phases }]) => phases));
    // An action is created as queued.
    reached.add('queued');
    expect([...reached].toSorted()).toEqual([...new Set(Object.values(PHASES).flat())].toSorted());
  });
});

describe('a history', () => {
  it.each([
    [['NotStarted'], true],
    [['NotStarted', 'Running', 'Completed'], true],
    [['NotStarted', 'Failed'], true],
    [['NotStarted', 'Completed'], false],
    [['Running'], false],
    [['NotStarted', 'Running', 'Failed', 'Completed'], false],
    [['NotStarted', 'NotStarted'], false],
    [[], false],
  ] as [ActionStatus[], boolean][])('%j is legal: %s', (statuses, legal) => {
    expect(isLegalHistory(statuses)).toBe(legal);
  });
});
