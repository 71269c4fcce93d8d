import { describe, expect, it } from 'vitest';
import type { ActionStatus, SecurityAction } from '#domain';
import { check, isClean, type Verdict } from './checker.js';
import type { Creation, Effect, Evidence, FaultRecord } from './evidence.js';

const T0 = Date.parse('2026-01-01T00:00:00Z');
const ID = '01a20f94-03d5-729e-8c36-b9902f349183';
const at = (ms: number): Date => new Date(T0 + ms);

const created: Creation = {
  sentAt: T0,
  ms: 5,
  status: 201,
  id: ID,
  tenant: 'tenant',
  mode: 'none',
  name: 'BlockIp',
};
const executed: Effect = { event: 'executed', key: ID, at: T0 + 100 };
const stopped: Effect = { event: 'cancelled', key: ID, at: T0 + 200 };
const attempt = {
  number: 1,
  epoch: 1,
  startedAt: at(50),
  endedAt: at(1000),
  outcome: 'completed',
  error: null,
};
const wish = { at: at(150), why: 'caller', appId: 'app', user: null, outcome: 'cancelled' } as const;

function states(...statuses: readonly ActionStatus[]): SecurityAction['states'] {
  return statuses.map((status, index) => ({ status, updatedAt: at(index * 10), appId: 'app', user: null }));
}

function completed(overrides: Partial<SecurityAction> = {}): SecurityAction {
  return {
    id: ID,
    actionName: 'BlockIp',
    idempotency: 'none',
    status: 'Completed',
    phase: 'done',
    states: states('NotStarted', 'Running', 'Completed'),
    completedAt: at(1000),
    errorInfo: null,
    attempts: [attempt],
    cancel: null,
    ...overrides,
  } as SecurityAction;
}

function failed(
  phase: SecurityAction['phase'],
  code: number,
  overrides: Partial<SecurityAction> = {},
): SecurityAction {
  return completed({
    status: 'Failed',
    phase,
    states: states('NotStarted', 'Running', 'Failed'),
    errorInfo: { code, subcode: 0, message: '' },
    ...overrides,
  });
}

function verdictOf(evidence: Partial<Evidence>): Verdict {
  return check({
    creations: [created],
    cancels: [],
    faults: [],
    records: [completed()],
    recoveries: [],
    firstFinals: new Map(),
    ledger: [executed],
    leaked: [],
    auditBreaks: [],
    ...evidence,
  });
}

const reasons = (list: readonly { readonly why: string }[]): string[] => list.map(({ why }) => why);

describe('a campaign passes', () => {
  it('when what was acknowledged ended as the vendor says', () => {
    expect(isClean(verdictOf({}))).toBe(true);
  });

  it('when a cancelled action was stopped at the vendor, or never reached it', () => {
    const cancels = [{ id: ID, answeredAt: T0 + 160, status: 200 }];
    const atProvider = failed('cancelledAtProvider', 499, { cancel: wish });
    expect(isClean(verdictOf({ cancels, records: [atProvider], ledger: [executed, stopped] }))).toBe(true);
    const before = failed('cancelled', 499, { cancel: wish, states: states('NotStarted', 'Failed') });
    expect(isClean(verdictOf({ cancels, records: [before], ledger: [] }))).toBe(true);
  });

  it('when a cancel came too late and was told so', () => {
    expect(isClean(verdictOf({ cancels: [{ id: ID, answeredAt: T0 + 1500, status: 409 }] }))).toBe(true);
  });
});

describe('a campaign fails', () => {
  it('when an acknowledged action is not on record', () => {
    expect(reasons(verdictOf({ records: [] }).lost)).toContain('acknowledged, not on record');
  });

  it('when the vendor did one twice', () => {
    expect(verdictOf({ ledger: [executed, executed] }).duplicated).toHaveLength(1);
  });

  it('when one has not ended', () => {
    const open = completed({
      status: 'Running',
      phase: 'executing',
      states: states('NotStarted', 'Running'),
      completedAt: null,
    });
    expect(verdictOf({ records: [open] }).stuck).toHaveLength(1);
  });

  it.each<[string, Partial<SecurityAction>]>([
    ['goes back', { states: states('NotStarted', 'Running', 'NotStarted', 'Running', 'Completed') }],
    ['ends twice', { states: states('NotStarted', 'Running', 'Failed', 'Completed') }],
    ['ends otherwise than its last state', { states: states('NotStarted', 'Running') }],
    ['shows a phase of another status', { phase: 'cancelled' }],
    [
      'runs backwards in time',
      {
        states: states('NotStarted', 'Running', 'Completed').map((one, index) => ({
          ...one,
          updatedAt: at(-index),
        })),
      },
    ],
    [
      'has epochs that run backwards',
      {
        attempts: [
          { ...attempt, epoch: 3 },
          { ...attempt, number: 2, epoch: 2 },
        ] as never,
      },
    ],
    ['has an end and no time of it', { completedAt: null }],
  ])('when a history %s', (_title, overrides) => {
    expect(verdictOf({ records: [completed(overrides)] }).illegal.length).toBeGreaterThan(0);
  });

  it('when an end changed after it was seen', () => {
    const firstFinals = new Map([
      [ID, { status: 'Failed', phase: 'cancelled', code: 499, completedAt: T0 + 500 } as const],
    ]);
    expect(verdictOf({ firstFinals }).illegal).toHaveLength(1);
  });

  it.each<[string, SecurityAction, readonly Effect[]]>([
    ['Completed, which the vendor never did', completed(), []],
    ['Completed, which the vendor had stopped', completed(), [executed, stopped]],
    ['cancelled before issue, which the vendor did', failed('cancelled', 499, { cancel: wish }), [executed]],
    [
      'cancelled at the provider, which did not stop it',
      failed('cancelledAtProvider', 499, { cancel: wish }),
      [executed],
    ],
    ['failed, which the vendor did', failed('failed', 503), [executed]],
    ['timed out, which the vendor did', failed('timedOut', 408), [executed]],
    ['cancelled, which nobody asked for', failed('cancelled', 499), []],
  ])('when an end says %s', (_title, record, ledger) => {
    expect(verdictOf({ records: [record], ledger }).untrue.length).toBeGreaterThan(0);
  });

  it.each<[string, number, number, SecurityAction]>([
    ['200, and no wish is on record', 200, 160, completed()],
    ['409, before the end', 409, 500, completed()],
    ['409, and it ended as cancelled', 409, 1500, failed('cancelledAtProvider', 499, { cancel: wish })],
    ['404, and it is on record', 404, 160, completed()],
  ])('when a cancel was answered %s', (_title, status, afterMs, record) => {
    const ledger = record.status === 'Completed' ? [executed] : [executed, stopped];
    const cancels = [{ id: ID, answeredAt: T0 + afterMs, status }];
    expect(verdictOf({ cancels, records: [record], ledger }).untrue).toHaveLength(1);
  });

  it('when a tenant was shown an action of another', () => {
    expect(isClean(verdictOf({ leaked: [ID] }))).toBe(false);
  });

  it('when the audit record lacks something', () => {
    expect(isClean(verdictOf({ auditBreaks: [{ id: ID, why: 'not all of it is there' }] }))).toBe(false);
  });
});

describe('an outcome unknown', () => {
  const unknown = failed('outcomeUnknown', 520, { attempts: [{ ...attempt, outcome: 'unknown' }] as never });
  const fault = (kind: FaultRecord['kind']): FaultRecord => ({
    number: 1,
    id: 'F1',
    kind,
    what: '',
    beganAt: T0 + 100,
    healedAt: T0 + 300,
  });

  it('is explained by a fault that hit its call', () => {
    expect(verdictOf({ records: [unknown], faults: [fault('worker')] }).unexplained).toEqual([]);
  });

  it('is explained by a fault that hit an earlier attempt, as long as those since could not tell either', () => {
    const hit = { ...attempt, outcome: 'unknown' };
    const since = { ...hit, number: 2, epoch: 2, startedAt: at(5000), endedAt: at(6000) };
    const found = (first: string) =>
      verdictOf({
        records: [{ ...unknown, attempts: [{ ...hit, outcome: first }, since] as never }],
        faults: [fault('worker')],
      }).unexplained;
    expect(found('unknown')).toEqual([]);
    expect(found('failed')).toHaveLength(1);
  });

  it('is explained by a vendor that did not answer', () => {
    const ledger: Effect[] = [executed, { event: 'misbehaved', key: ID, at: T0 + 100 }];
    expect(verdictOf({ records: [unknown], ledger }).unexplained).toEqual([]);
  });

  it('is not explained by nothing, by another time, or by a fault that reaches no call', () => {
    const late = { ...fault('worker'), beganAt: T0 + 5000, healedAt: T0 + 6000 };
    for (const faults of [[], [late], [fault('redis')], [fault('api')]])
      expect(verdictOf({ records: [unknown], faults }).unexplained).toHaveLength(1);
  });

  it('has no excuse where a repeat would have done no harm', () => {
    const keyed = { ...unknown, idempotency: 'key' } as SecurityAction;
    expect(verdictOf({ records: [keyed], faults: [fault('worker')] }).unexplained).toHaveLength(1);
  });
});
