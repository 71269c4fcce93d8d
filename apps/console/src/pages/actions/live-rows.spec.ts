import { describe, expect, it } from 'vitest';
import type { NativeAction } from '../../api/types.ts';
import type { ChangedAction } from '../../live/events.ts';
import { newToList, patchPages, patchRow, replaceRow } from './live-rows.ts';

const row = (changes: Partial<NativeAction> = {}): NativeAction => ({
  id: 'a',
  name: 'BlockIp',
  status: 'NotStarted',
  phase: 'queued',
  actionReason: null,
  appId: null,
  azureTenantId: null,
  clientContext: null,
  user: null,
  createdDateTime: '2026-11-29T03:00:00.000Z',
  lastActionDateTime: '2026-11-29T03:00:00.000Z',
  completedDateTime: null,
  deadlineDateTime: '2026-11-29T04:00:00.000Z',
  nextAttemptDateTime: null,
  errorInfo: null,
  parameters: [],
  states: [],
  vendorInformation: { vendor: 'Mock', provider: 'Mock', providerVersion: null, subProvider: null },
  waiting: { reason: 'queued', message: 'It is next.', expectedStartDateTime: null, blockedBy: null },
  providerInstance: 'mock',
  providerVersion: '1.0.0',
  lane: 'routine',
  target: null,
  reverts: null,
  revertedBy: null,
  effectUntil: null,
  effect: null,
  progress: null,
  result: null,
  attempts: [],
  currentAttempt: null,
  cancel: null,
  unresolved: false,
  resolution: null,
  ...changes,
});
const changed = (changes: Partial<ChangedAction> = {}): ChangedAction => ({
  id: 'a',
  status: 'Running',
  phase: 'executing',
  name: 'BlockIp',
  providerInstance: 'mock',
  createdDateTime: '2026-11-29T03:00:00.000Z',
  lastActionDateTime: '2026-11-29T03:00:01.000Z',
  unresolved: false,
  ...changes,
});
const pages = (...all: readonly (readonly NativeAction[])[]) => ({
  pages: all.map((value) => ({ value })),
  pageParams: all.map(() => null),
});

describe('a row of the list, as it changes', () => {
  it('takes over what the change tells, and forgets why it waited before', () => {
    expect(patchRow(row(), changed())).toMatchObject({
      status: 'Running',
      phase: 'executing',
      waiting: null,
    });
  });

  it('has ended when the change says so', () => {
    const after = patchRow(
      row({ status: 'Running', phase: 'executing' }),
      changed({ status: 'Completed', phase: 'done' }),
    );
    expect(after).toMatchObject({ status: 'Completed', completedDateTime: '2026-11-29T03:00:01.000Z' });
  });

  it('stays as it is when the change is older than it, for events and answers overtake each other', () => {
    const now = row({ status: 'Completed', phase: 'done', lastActionDateTime: '2026-11-29T03:00:02.000Z' });
    expect(patchRow(now, changed())).toBe(now);
  });

  it('is the same object when nothing of it changed, so that it is not drawn again', () => {
    const now = row({ status: 'Running', phase: 'executing' });
    expect(patchRow(now, changed())).toBe(now);
  });
});

describe('the loaded pages', () => {
  it('keep every row in its place', () => {
    const before = pages([row({ id: 'a' }), row({ id: 'b' })], [row({ id: 'c' })]);
    const after = patchPages(before, [changed({ id: 'c' }), changed({ id: 'unknown' })]);
    expect(after.pages.map(({ value }) => value.map(({ id, status }) => `${id} ${status}`))).toEqual([
      ['a NotStarted', 'b NotStarted'],
      ['c Running'],
    ]);
  });

  it('that have none of the changed are the same object', () => {
    const before = pages([row({ id: 'a' })], [row({ id: 'b' })]);
    expect(patchPages(before, [changed({ id: 'x' })])).toBe(before);
    expect(patchPages(before, [changed({ id: 'b' })]).pages[0]).toBe(before.pages[0]);
  });

  it('take one row anew', () => {
    const fresh = row({ id: 'b', name: 'Other' });
    expect(replaceRow(pages([row({ id: 'a' }), row({ id: 'b' })]), fresh).pages[0]?.value[1]).toBe(fresh);
  });
});

describe('what is new to a list', () => {
  const loaded = [row({ id: 'a' })];
  const fresh = changed({
    id: 'n',
    createdDateTime: '2026-11-29T03:00:05.000Z',
    status: 'NotStarted',
    phase: 'queued',
  });
  const noProvider = (): undefined => undefined;

  it('is what was made after its first row', () => {
    expect(newToList(loaded, [fresh], {}, noProvider)).toEqual(['n']);
  });

  it('is anything, in an empty list', () => {
    expect(newToList([], [fresh], {}, noProvider)).toEqual(['n']);
  });

  it('is neither what it shows, nor what belongs further down', () => {
    const older = { ...fresh, id: 'o', createdDateTime: '2026-11-29T02:00:00.000Z' };
    expect(newToList(loaded, [{ ...fresh, id: 'a' }, older], {}, noProvider)).toEqual([]);
  });

  it.each([
    ['status', { status: ['Failed'] as const }],
    ['phase', { phase: 'done' as const }],
    ['name', { name: 'BlockUrl' }],
    ['provider', { provider: 'Mock/Mock' }],
  ])('is not what the list is narrowed away from by %s', (_what, search) => {
    expect(newToList(loaded, [fresh], search, () => 'another')).toEqual([]);
  });

  it('is what fits the choices, names in any case', () => {
    const search = { status: ['NotStarted'] as const, name: 'blockip', provider: 'Mock/Mock' };
    expect(newToList(loaded, [fresh], search, () => 'mock')).toEqual(['n']);
  });

  it('is what changed, in a list by change', () => {
    const older = { ...fresh, id: 'o', createdDateTime: '2026-11-29T02:00:00.000Z' };
    expect(newToList(loaded, [older], { sort: 'changed' }, noProvider)).toEqual(['o']);
  });

  it('is nothing in any other order, where nobody can say where it belongs', () => {
    expect(newToList(loaded, [fresh], { sort: 'oldest' }, noProvider)).toEqual([]);
  });
});
