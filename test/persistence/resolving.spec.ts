import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  errorInfo,
  isUnresolved,
  type ActionFilter,
  type ActionStore,
  type Caller,
  type Claim,
  type FinalFailure,
  type NewAction,
  type SecurityAction,
} from '#domain';
import { connectDatabase, type Database, type SearchPosition } from '#persistence';
import { claimOf, CALLER, TENANT_B, freshDatabaseUri, newAction } from '../support/database.js';
import { boundsOf, profiled } from '../support/profile.js';

const LEASE_MS = 30_000;
const UNKNOWN: FinalFailure = { phase: 'outcomeUnknown', errorInfo: errorInfo(520, 'nobody knows') };
const FOUND = { verdict: 'applied', note: 'The rule is there.' } as const;

const uri = freshDatabaseUri();
let database: Database;
let store: ActionStore;
let direct: mongoose.Connection;

beforeAll(async () => {
  database = await connectDatabase(uri, { appName: 'riposte-test' });
  store = database.actions;
  direct = await mongoose.createConnection(uri).asPromise();
});
afterAll(async () => {
  await direct.close();
  await database.close();
});

const actions = () => direct.collection<{ _id: mongoose.mongo.UUID; [field: string]: unknown }>('actions');
const stored = (id: string) => actions().findOne({ _id: new mongoose.mongo.UUID(id) });

async function found(id: string): Promise<SecurityAction> {
  const action = await store.find(CALLER.tenantId, id);
  if (action === null) throw new Error(`no action ${id}`);
  return action;
}

async function claimed(overrides: Partial<NewAction> = {}): Promise<Claim> {
  const { id } = await store.create(newAction(overrides));
  const claim = await claimOf(store.claim(id, `w/${randomUUID()}`, LEASE_MS, '1.0.0'));
  if (claim === null) throw new Error('a new action could not be claimed');
  return claim;
}

/** The id of an action that was issued and ended so. */
async function ended(failure: FinalFailure = UNKNOWN, caller: Caller = CALLER): Promise<string> {
  const { action, lease } = await claimed({ caller });
  expect(await store.fail(lease, failure)).toBe(true);
  return action.id;
}

function listed(
  tenantId: string,
  only: ActionFilter,
  { top = 1000, after = null }: { readonly top?: number; readonly after?: SearchPosition | null } = {},
): ReturnType<Database['search']['page']> {
  return database.search.page(tenantId, { filter: null, only, order: [], top, skip: 0, after });
}

async function inbox(tenantId: string): Promise<string[]> {
  return (await listed(tenantId, { unresolved: true })).actions.map(({ id }) => id);
}

describe('an action that ended', () => {
  it.each<[string, FinalFailure]>([
    ['with unknown outcome', UNKNOWN],
    [
      'as poisoned after it was issued',
      { phase: 'poisoned', errorInfo: errorInfo(500, 'x'), applied: 'unknown' },
    ],
    [
      'by a defect after it was issued',
      { phase: 'failed', errorInfo: errorInfo(500, 'x'), applied: 'unknown' },
    ],
  ])('%s is unresolved', async (_how, failure) => {
    const id = await ended(failure);
    const action = await found(id);
    expect(isUnresolved(action)).toBe(true);
    expect(action).toMatchObject({
      phase: failure.phase,
      attempts: [{ outcome: 'unknown' }],
      resolution: null,
    });
    expect(await inbox(CALLER.tenantId)).toContain(id);
  });

  it('given up by the sweep is unresolved', async () => {
    const { action, lease } = await claimed();
    await store.handOver(lease);
    await actions().updateOne(
      { _id: new mongoose.mongo.UUID(action.id) },
      { $set: { deadlineAt: new Date(0) } },
    );
    expect(await store.closeOverdue(action.id, 0)).toMatchObject({ phase: 'outcomeUnknown' });
    expect(await inbox(CALLER.tenantId)).toContain(action.id);
  });

  it.each<[string, FinalFailure]>([
    ['as the provider said', { phase: 'failed', errorInfo: errorInfo(404, 'no such machine') }],
    [
      'by a cancel that the provider confirmed',
      { phase: 'cancelledAtProvider', errorInfo: errorInfo(499, 'x') },
    ],
  ])('%s has nothing to resolve', async (_how, failure) => {
    const id = await ended(failure);
    expect(isUnresolved(await found(id))).toBe(false);
    expect(await stored(id)).not.toHaveProperty('unresolved');
    expect(await store.resolve(CALLER, id, FOUND)).toMatchObject({ kind: 'notUnresolved', action: { id } });
  });

  it('without ever having been issued has nothing to resolve, whatever it ended with', async () => {
    const { action, lease } = await claimed({ idempotency: 'none' });
    await store.fail(lease, { phase: 'poisoned', errorInfo: errorInfo(500, 'x'), applied: 'unknown' });
    expect(isUnresolved(await found(action.id))).toBe(false);
    expect(await inbox(CALLER.tenantId)).not.toContain(action.id);
  });
});

describe('resolving an unknown outcome', () => {
  it('adds who found what and when, and changes nothing else', async () => {
    const id = await ended();
    const before = await stored(id);
    const caller = { ...CALLER, appId: 'ann-app', user: 'ann@contoso.com' };
    const answer = await store.resolve(caller, id, {
      verdict: 'notApplied',
      note: '$$NOW is not on the list',
    });
    const action = await found(id);
    expect(answer).toEqual({ kind: 'resolved', action, resolution: action.resolution });
    expect(action.resolution).toEqual({
      by: { appId: 'ann-app', user: 'ann@contoso.com' },
      at: expect.any(Date) as Date,
      verdict: 'notApplied',
      note: '$$NOW is not on the list',
    });
    expect(action.resolution?.at.getTime()).toBeGreaterThanOrEqual(action.completedAt?.getTime() ?? Infinity);
    expect(before).toMatchObject({ unresolved: true, resolution: null });
    expect({ ...(await stored(id)), unresolved: true, resolution: null }).toEqual(before);
    expect(await stored(id)).not.toHaveProperty('unresolved');
    expect(await inbox(CALLER.tenantId)).not.toContain(id);
  });

  it('answers the same again, to anyone, and keeps the first', async () => {
    const id = await ended();
    const note = 'half a character \ud83d';
    const first = await store.resolve(CALLER, id, { verdict: 'applied', note });
    const again = await store.resolve({ ...CALLER, appId: 'another' }, id, { verdict: 'applied', note });
    expect(first.kind).toBe('resolved');
    expect(again).toEqual(first);
  });

  it('keeps what was found first when something else is said later', async () => {
    const id = await ended();
    await store.resolve(CALLER, id, FOUND);
    for (const other of [
      { ...FOUND, verdict: 'notApplied' as const },
      { ...FOUND, note: 'Another note.' },
    ]) {
      expect(await store.resolve(CALLER, id, other)).toMatchObject({
        kind: 'resolvedOtherwise',
        resolution: FOUND,
      });
    }
    expect((await found(id)).resolution).toMatchObject(FOUND);
  });

  it('lets one of many win, and tells the others what it said', async () => {
    const id = await ended();
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        store.resolve(CALLER, id, {
          verdict: index % 2 === 0 ? 'applied' : 'notApplied',
          note: `note ${index}`,
        }),
      ),
    );
    const { resolution } = await found(id);
    expect(answers.filter(({ kind }) => kind === 'resolved')).toHaveLength(1);
    expect(answers.filter(({ kind }) => kind === 'resolvedOtherwise')).toHaveLength(11);
    for (const answer of answers) expect(answer).toMatchObject({ resolution });
  });

  it('leaves alone what is not final, not there, or of another tenant', async () => {
    const { action } = await claimed();
    expect((await store.resolve(CALLER, action.id, FOUND)).kind).toBe('notUnresolved');
    expect((await store.resolve(CALLER, randomUUID(), FOUND)).kind).toBe('notFound');
    expect((await store.resolve(CALLER, 'no id', FOUND)).kind).toBe('notFound');
    const id = await ended();
    expect((await store.resolve({ ...CALLER, tenantId: TENANT_B }, id, FOUND)).kind).toBe('notFound');
    expect((await found(id)).resolution).toBeNull();
  });

  it('works on a record of the time before there were resolutions', async () => {
    const id = await ended();
    await actions().updateOne(
      { _id: new mongoose.mongo.UUID(id) },
      { $unset: { resolution: '', unresolved: '' } },
    );
    expect(await found(id)).toMatchObject({ resolution: null });
    expect(await store.resolve(CALLER, id, FOUND)).toMatchObject({
      kind: 'resolved',
      action: { resolution: FOUND },
    });
  });

  it('is final: no later write of the engine touches it', async () => {
    const { action, lease } = await claimed();
    await store.fail(lease, UNKNOWN);
    await store.resolve(CALLER, action.id, FOUND);
    const resolved = await found(action.id);
    await store.fail(lease, UNKNOWN);
    await store.complete(lease, null);
    await store.requestCancel(CALLER, action.id);
    await store.closeOverdue(action.id, 0);
    expect(await found(action.id)).toEqual(resolved);
  });
});

describe('the list of what nobody has resolved', () => {
  it("shows a tenant's own, last ended first, page by page, none twice, also when some are resolved meanwhile", async () => {
    const caller = { ...CALLER, tenantId: randomUUID() };
    const ids: string[] = [];
    for (let index = 0; index < 6; index += 1) ids.unshift(await ended(UNKNOWN, caller));
    await ended({ phase: 'failed', errorInfo: errorInfo(502, 'vendor') }, caller);
    await ended();
    const seen: string[] = [];
    let page = await listed(caller.tenantId, { unresolved: true }, { top: 2 });
    seen.push(...page.actions.map(({ id }) => id));
    await store.resolve(caller, ids[1] ?? '', FOUND);
    while (page.next !== null) {
      page = await listed(caller.tenantId, { unresolved: true }, { top: 2, after: page.next });
      seen.push(...page.actions.map(({ id }) => id));
    }
    // Those that ended in the same millisecond stand in the order of their ids.
    expect(new Set(seen)).toEqual(new Set(ids));
    expect(seen).toHaveLength(6);
  });

  it('can be narrowed to a phase, as can the whole list', async () => {
    const caller = { ...CALLER, tenantId: randomUUID() };
    const unknown = await ended(UNKNOWN, caller);
    const poisoned = await ended(
      { phase: 'poisoned', errorInfo: errorInfo(500, 'x'), applied: 'unknown' },
      caller,
    );
    const failed = await ended({ phase: 'failed', errorInfo: errorInfo(502, 'vendor') }, caller);
    const ids = async (filter: ActionFilter) =>
      (await listed(caller.tenantId, filter)).actions.map(({ id }) => id);
    expect(await ids({ unresolved: true, phase: 'poisoned' })).toEqual([poisoned]);
    expect(await ids({ phase: 'failed' })).toEqual([failed]);
    expect(await ids({ phase: 'outcomeUnknown' })).toEqual([unknown]);
    expect(await ids({ phase: 'queued' })).toEqual([]);
    expect(await ids({})).toHaveLength(3);
  });
});

describe('a list', () => {
  it.each<[string, ActionFilter, readonly string[]]>([
    ['everything', {}, ['createdAt']],
    ['what is unresolved', { unresolved: true }, ['completedAt']],
    ['a phase', { phase: 'outcomeUnknown' }, ['status', 'createdAt']],
    ['what is unresolved of a phase', { unresolved: true, phase: 'outcomeUnknown' }, ['completedAt']],
  ])(
    'of %s reads an index from the tenant and the page on, and sorts nothing',
    async (_what, filter, keys) => {
      const caller = { ...CALLER, tenantId: randomUUID() };
      for (let index = 0; index < 3; index += 1) await ended(UNKNOWN, caller);
      const { next } = await listed(caller.tenantId, filter, { top: 1 });
      const [profile] = await profiled(direct.getClient().db(direct.name), () =>
        listed(caller.tenantId, filter, { top: 1, after: next }),
      );
      const stages = profile?.stages ?? [];
      const names = stages.map(({ stage }) => stage);
      expect(names).not.toContain('COLLSCAN');
      expect(names).not.toContain('SORT');
      const scans = stages.filter(({ stage }) => stage === 'IXSCAN');
      expect(scans).toHaveLength(1);
      for (const scan of scans) {
        expect(Object.keys(scan.keyPattern ?? {})).toEqual(['tenantId', ...keys, '_id']);
        expect(boundsOf(scan, 'tenantId')).toBe(`["${caller.tenantId}", "${caller.tenantId}"]`);
        expect(boundsOf(scan, keys.at(-1) ?? '')).not.toContain('MaxKey');
      }
      expect(profile?.docsExamined).toBeLessThanOrEqual(3);
    },
  );

  it('of a rare phase among very many actions is refused rather than looked for without end', async () => {
    const hasty = await connectDatabase(uri, { appName: 'riposte-test', searchScanMs: 1 });
    try {
      const tenantId = randomUUID();
      const createdAt = new Date();
      for (let round = 0; round < 10; round += 1) {
        await actions().insertMany(
          Array.from({ length: 5000 }, () => ({
            _id: new mongoose.mongo.UUID(),
            tenantId,
            status: 'Failed',
            phase: 'failed',
            createdAt,
          })),
        );
      }
      await expect(
        hasty.search.page(tenantId, {
          filter: null,
          only: { phase: 'poisoned' },
          order: [],
          top: 10,
          skip: 0,
          after: null,
        }),
      ).rejects.toMatchObject({
        code: 'invalidRequest',
        message: expect.stringContaining('Narrow the filter') as string,
      });
    } finally {
      await hasty.close();
    }
  });
});
