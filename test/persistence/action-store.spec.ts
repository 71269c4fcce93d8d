import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { errorInfo, type ActionStore, type Claim, type DuePosition } from '#domain';
import { claimOf, APP, CALLER, TENANT_B, freshDatabase, newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';

const WAITING = { reason: 'quota', until: null, blockedBy: null } as const;
const LEASE_MS = 30_000;
let store: ActionStore;

beforeAll(async () => {
  store = (await freshDatabase()).actions;
});

const owner = (): string => `worker/${randomUUID()}`;

async function claimed(overrides: Parameters<typeof newAction>[0] = {}, leaseMs = LEASE_MS): Promise<Claim> {
  const { id } = await store.create(newAction(overrides));
  const claim = await claimOf(store.claim(id, owner(), leaseMs, '1.0.0'));
  if (claim === null) throw new Error('a new action could not be claimed');
  return claim;
}

describe('creating an action', () => {
  it('records it as NotStarted with its first state, stamped by the database', async () => {
    const action = await store.create(newAction());
    expect(action).toMatchObject({
      status: 'NotStarted',
      phase: 'queued',
      epoch: 0,
      completedAt: null,
      errorInfo: null,
    });
    expect(action.states).toEqual([
      { status: 'NotStarted', updatedAt: action.createdAt, appId: APP, user: null },
    ]);
    expect(action.lastActionAt).toEqual(action.createdAt);
  });

  it('is the same action when the write is repeated', async () => {
    const request = newAction();
    const [first, second] = await Promise.all([store.create(request), store.create(request)]);
    expect(second).toEqual(first);
  });

  it('leaves the record as it stands when the write is repeated after the action ended', async () => {
    const request = newAction();
    await store.create(request);
    const claim = await claimOf(store.claim(request.id, owner(), LEASE_MS, '1.0.0'));
    if (claim === null) throw new Error('not claimed');
    await store.complete(claim.lease, null);
    const ended = await store.find(CALLER.tenantId, request.id);
    expect(await store.create({ ...request, actionReason: 'another' })).toEqual(ended);
    expect(await store.find(CALLER.tenantId, request.id)).toEqual(ended);
    expect(await claimOf(store.claim(request.id, owner(), LEASE_MS, '1.0.0'))).toBeNull();
  });

  it('keeps text that looks like a database expression as it is', async () => {
    const parameters = [{ name: '$set', value: '$$NOW' }];
    const action = await store.create(newAction({ actionReason: '$tenantId', parameters }));
    expect(await store.find(CALLER.tenantId, action.id)).toMatchObject({
      actionReason: '$tenantId',
      parameters,
    });
  });
});

describe('claiming an action', () => {
  it('makes it Running, once, under a higher epoch', async () => {
    const { id } = await store.create(newAction());
    const claims = await Promise.all(
      Array.from({ length: 8 }, () => claimOf(store.claim(id, owner(), LEASE_MS, '1.0.0'))),
    );
    const won = claims.filter((claim) => claim !== null);
    expect(won).toHaveLength(1);
    expect(won[0]?.action).toMatchObject({ id, epoch: 1 });
    const begun = await store.find(CALLER.tenantId, id);
    expect(begun?.status).toBe('Running');
    expect(begun?.states.map(({ status }) => status)).toEqual(['NotStarted', 'Running']);
  });

  it('writes the intent with it where issuing twice does no harm, and only there', async () => {
    expect((await claimed({ idempotency: 'key' })).freshIntent).toBe(true);
    expect((await claimed({ idempotency: 'natural' })).freshIntent).toBe(true);
    expect((await claimed({ idempotency: 'lookup' })).action.intent).toBeNull();
    expect((await claimed({ idempotency: 'none' })).action.intent).toBeNull();
  });

  it('takes over an expired lease, and then refuses every write of the old owner', async () => {
    const old = await claimed({}, 50);
    await sleep(80);
    const taken = await claimOf(store.claim(old.action.id, owner(), LEASE_MS, '1.0.0'));
    expect(taken).toMatchObject({ action: { epoch: 2, crashes: 1 }, freshIntent: false });
    expect(await store.renew(old.lease, LEASE_MS)).toBeNull();
    expect(await store.saveOperation(old.lease, { id: 'op' })).toBeNull();
    expect(await store.complete(old.lease, null)).toBe(false);
    expect(await store.fail(old.lease, { phase: 'failed', errorInfo: errorInfo(500, 'late') })).toBe(false);
    expect((await store.find(CALLER.tenantId, old.action.id))?.status).toBe('Running');
  });

  it('leaves an action alone that is not due, not started in time, or past its deadline', async () => {
    const parked = await claimed();
    await store.park(parked.lease, {
      operation: { id: 'op' },
      progress: null,
      delayMs: 60_000,
      phase: 'waitingOnVendor',
      sawCancel: false,
    });
    expect(await claimOf(store.claim(parked.action.id, owner(), LEASE_MS, '1.0.0'))).toBeNull();
    const late = await store.create(newAction({ startBefore: new Date(Date.now() - 1000) }));
    expect(await claimOf(store.claim(late.id, owner(), LEASE_MS, '1.0.0'))).toBeNull();
    const overdue = await store.create(newAction({ deadlineMs: 0 }));
    expect(await claimOf(store.claim(overdue.id, owner(), LEASE_MS, '1.0.0'))).toBeNull();
  });
});

describe('a final action', () => {
  it.each(['complete', 'fail'] as const)('never changes again after %s', async (end) => {
    const { action, lease } = await claimed();
    if (end === 'complete') await store.complete(lease, { ok: true });
    else await store.fail(lease, { phase: 'failed', errorInfo: errorInfo(502, 'vendor') });
    const final = await store.find(CALLER.tenantId, action.id);
    const again = await store.complete(lease, { ok: false });
    await store.fail(lease, { phase: 'failed', errorInfo: errorInfo(500, 'late') });
    await store.requestCancel(CALLER, action.id);
    await store.closeOverdue(action.id, 0);
    await store.throttle([action.id], 0, WAITING);
    expect(again).toBe(false);
    expect(await claimOf(store.claim(action.id, owner(), LEASE_MS, '1.0.0'))).toBeNull();
    expect(await store.find(CALLER.tenantId, action.id)).toEqual(final);
  });

  it('keeps its attempt with when it began and ended', async () => {
    const { action, lease } = await claimed();
    expect(await store.complete(lease, null)).toBe(true);
    const ended = await store.find(CALLER.tenantId, action.id);
    expect(ended?.intent).toBeNull();
    expect(ended?.attempts).toMatchObject([{ number: 1, epoch: 1, outcome: 'completed', error: null }]);
  });
});

describe('cancelling an action', () => {
  it('ends it at once as Failed/499 when it was not issued, in the name of the canceller', async () => {
    const { id } = await store.create(newAction());
    const canceller = { ...CALLER, appId: 'another-app', user: 'ann@contoso.com' };
    const answer = await store.requestCancel(canceller, id);
    expect(answer).toMatchObject({
      kind: 'cancelled',
      action: { status: 'Failed', phase: 'cancelled', errorInfo: { code: 499 } },
    });
    const action = await store.find(CALLER.tenantId, id);
    expect(action?.states.at(-1)).toMatchObject({
      status: 'Failed',
      appId: 'another-app',
      user: 'ann@contoso.com',
    });
    expect(action?.completedAt).toEqual(action?.states.at(-1)?.updatedAt);
  });

  it('records the wish when it was issued, and the holder hears of it by its heartbeat', async () => {
    const { action, lease } = await claimed();
    expect(await store.requestCancel(CALLER, action.id)).toMatchObject({
      kind: 'requested',
      action: { status: 'Running', phase: 'cancelling' },
    });
    expect((await store.renew(lease, LEASE_MS))?.cancel).toMatchObject({
      why: 'caller',
      appId: APP,
      outcome: null,
    });
  });

  it('makes an action that waits on its vendor due at once', async () => {
    const { action, lease } = await claimed();
    await store.park(lease, {
      operation: { id: 'op' },
      progress: null,
      delayMs: 60_000,
      phase: 'waitingOnVendor',
      sawCancel: false,
    });
    await store.requestCancel(CALLER, action.id);
    expect(await claimOf(store.claim(action.id, owner(), LEASE_MS, '1.0.0'))).toMatchObject({
      action: { cancel: { why: 'caller', outcome: null }, intent: { operation: { id: 'op' } } },
    });
    expect(await store.find(CALLER.tenantId, action.id)).toMatchObject({ phase: 'cancelling' });
  });

  it('is not lost when it comes between the worker looking and giving the lease back', async () => {
    const { action, lease } = await claimed();
    await store.requestCancel(CALLER, action.id);
    await store.park(lease, {
      operation: { id: 'op' },
      progress: null,
      delayMs: 60_000,
      phase: 'waitingOnVendor',
      sawCancel: false,
    });
    expect(await claimOf(store.claim(action.id, owner(), LEASE_MS, '1.0.0'))).not.toBeNull();
  });

  it('wins or loses against the intent, never both', async () => {
    for (let round = 0; round < 20; round += 1) {
      const { action, lease } = await claimed({ idempotency: 'none' });
      const [answer, intent] = await Promise.all([
        store.requestCancel(CALLER, action.id),
        store.recordIntent(lease, '1.0.0'),
      ]);
      expect([answer.kind, intent === null]).toEqual(
        answer.kind === 'cancelled' ? ['cancelled', true] : ['requested', false],
      );
    }
  });

  it('answers the same when repeated, and "too late" once it ended otherwise', async () => {
    const { id } = await store.create(newAction());
    await store.requestCancel(CALLER, id);
    expect((await store.requestCancel(CALLER, id)).kind).toBe('cancelled');
    const { action, lease } = await claimed();
    await store.requestCancel(CALLER, action.id);
    expect((await store.requestCancel(CALLER, action.id)).kind).toBe('requested');
    await store.complete(lease, null);
    expect(await store.requestCancel(CALLER, action.id)).toEqual({ kind: 'tooLate', status: 'Completed' });
  });

  it('ends a retrying action, whose last attempt is known not to have been applied', async () => {
    const { action, lease } = await claimed();
    await store.retry(lease, {
      error: errorInfo(503, 'away'),
      applied: 'no',
      delayMs: 60_000,
      phase: 'retrying',
      sawCancel: false,
    });
    expect((await store.requestCancel(CALLER, action.id)).kind).toBe('cancelled');
  });

  it('only records the wish while an attempt of unknown outcome stands', async () => {
    const { action, lease } = await claimed();
    await store.retry(lease, {
      error: errorInfo(520, 'no answer'),
      applied: 'unknown',
      delayMs: 60_000,
      phase: 'retrying',
      sawCancel: false,
    });
    expect((await store.requestCancel(CALLER, action.id)).kind).toBe('requested');
  });

  it('knows no action of another tenant', async () => {
    const { id } = await store.create(newAction());
    expect((await store.requestCancel({ ...CALLER, tenantId: TENANT_B }, id)).kind).toBe('notFound');
    expect(await store.find(TENANT_B, id)).toBeNull();
  });
});

describe('what is due', () => {
  const make = async (more: Parameters<typeof newAction>[0] = {}) => (await store.create(newAction(more))).id;

  it('is listed by whether it has begun, the longest due first, from a place on', async () => {
    const lists = {
      waiting: [await make(), await make(), await make()],
      begun: [await make(), await make(), await make()],
    } as const;
    for (const id of lists.begun) await store.claim(id, owner(), 0, '1.0.0');
    for (const list of ['waiting', 'begun'] as const) {
      const ours = async (graceMs: number, after: DuePosition | null) =>
        (await store.due(list, 1000, graceMs, after)).filter(({ id }) => lists[list].includes(id));
      await eventually(async () => (await ours(0, null)).length === 3);
      const all = await ours(0, null);
      expect(all.map(({ id }) => id)).toEqual(lists[list]);
      expect(await ours(0, all[0] ?? null)).toEqual(all.slice(1));
      expect(await store.due(list, 1, 0, all[0] ?? null)).toEqual(all.slice(1, 2));
      expect(await store.due(list, 1, 0, all[0] ?? null, true)).toEqual(all.slice(1, 2));
      expect(await ours(60_000, null)).toEqual([]);
    }
  });

  it('is looked over for what waits and has run out of time, so many at a time', async () => {
    const before = (await store.due('waiting', 1000, 0, null)).at(-1) ?? null;
    const late = await make({ deadlineMs: 0 });
    await make();
    const tooLate = await make({ startBefore: new Date(Date.now() - 1) });
    const first = await store.overdue(2, 0, before);
    expect(first).toEqual({ ids: [late], next: expect.anything() as unknown });
    expect(await store.overdue(2, 0, first.next)).toEqual({ ids: [tooLate], next: null });
  });
});

describe('what nobody carries out', () => {
  it('expires when it was not started before its startBefore', async () => {
    const { id } = await store.create(newAction({ startBefore: new Date(Date.now() - 1) }));
    expect(await store.closeOverdue(id, 0)).toMatchObject({ phase: 'expired', errorInfo: { code: 410 } });
  });

  it('times out when its deadline passed and it was never issued', async () => {
    const { id } = await store.create(newAction({ deadlineMs: 0 }));
    expect(await store.closeOverdue(id, 0)).toMatchObject({ phase: 'timedOut', errorInfo: { code: 408 } });
  });

  it('times out with what the last attempt said, where it was tried again until then', async () => {
    const { action, lease } = await claimed({ deadlineMs: 1500 });
    await store.retry(lease, {
      error: errorInfo(503, 'The vendor cannot be reached.'),
      applied: 'no',
      delayMs: 0,
      phase: 'retrying',
      sawCancel: false,
    });
    await eventually(() => Date.now() > action.deadlineAt.getTime() + 20);
    expect(await store.closeOverdue(action.id, 0)).toMatchObject({
      phase: 'timedOut',
      errorInfo: {
        code: 408,
        message: expect.stringMatching(
          /nothing was done\. The last attempt said: The vendor cannot/,
        ) as string,
      },
    });
  });

  it('ends as outcome unknown when it was issued and its deadline is long past', async () => {
    const { action, lease } = await claimed({ deadlineMs: 1500 });
    await store.park(lease, {
      operation: { id: 'op' },
      progress: null,
      delayMs: 0,
      phase: 'waitingOnVendor',
      sawCancel: false,
    });
    await eventually(() => Date.now() > action.deadlineAt.getTime() + 20);
    expect(await store.closeOverdue(action.id, 60_000)).toBeNull();
    expect(await store.closeOverdue(action.id, 0)).toMatchObject({
      phase: 'outcomeUnknown',
      errorInfo: { code: 520 },
    });
  });

  it('is ended once each, with what it ended as, by sweeps that close the same at the same time', async () => {
    const requests = Array.from({ length: 30 }, (_, index) =>
      index % 2 === 0 ? newAction({ deadlineMs: 0 }) : newAction({ startBefore: new Date(Date.now() - 1) }),
    );
    await Promise.all(requests.map((request) => store.create(request)));
    const ids = requests.map(({ id }) => id);
    const ends = await Promise.all([...ids, ...ids.toReversed()].map((id) => store.closeOverdue(id, 0)));
    const ended = ends.filter((one) => one !== null);
    expect(ended.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    const phases = new Map(ended.map(({ id, phase }) => [id, phase]));
    expect(ids.map((id) => phases.get(id))).toEqual(
      ids.map((_id, index) => (index % 2 === 0 ? 'timedOut' : 'expired')),
    );
  });

  it('is left to a worker that holds it', async () => {
    // Long enough for the claim to come before it.
    const { action } = await claimed({ deadlineMs: 1500 });
    await eventually(() => Date.now() > action.deadlineAt.getTime() + 20);
    expect(await store.closeOverdue(action.id, 0)).toBeNull();
  });
});

describe('what happens at the same time and goes in one group', () => {
  it('is answered each for itself: creates, claims and ends', async () => {
    const requests = Array.from({ length: 40 }, (_, index) => newAction({ actionReason: `reason ${index}` }));
    const created = await Promise.all(requests.map((request) => store.create(request)));
    expect(created.map(({ id, actionReason }) => [id, actionReason])).toEqual(
      requests.map(({ id, actionReason }) => [id, actionReason]),
    );

    // Every third was cancelled before, and is not to be had.
    const cancelled = created.filter((_, index) => index % 3 === 0);
    await Promise.all(cancelled.map(({ id }) => store.requestCancel(CALLER, id)));
    const claims = await Promise.all(
      created.map(({ id }) => claimOf(store.claim(id, owner(), LEASE_MS, '1.0.0'))),
    );
    expect(claims.map((claim) => claim?.action.id ?? null)).toEqual(
      created.map((action) => (cancelled.includes(action) ? null : action.id)),
    );

    // Of the rest every other is ended by somebody whose lease it is not.
    const held = claims.filter((claim) => claim !== null);
    const isTrue = (index: number): boolean => index % 2 === 0;
    const ended = await Promise.all(
      held.map(({ lease }, index) =>
        store.complete(isTrue(index) ? lease : { ...lease, epoch: lease.epoch - 1 }, { index }),
      ),
    );
    expect(ended).toEqual(held.map((_, index) => isTrue(index)));
    const after = await Promise.all(held.map(({ action }) => store.find(CALLER.tenantId, action.id)));
    expect(after.map((action) => [action?.status, action?.result])).toEqual(
      held.map((_, index) => (isTrue(index) ? ['Completed', { index }] : ['Running', null])),
    );
  });

  it('keeps one that the database refuses from the others', async () => {
    const tooLarge = 'x'.repeat(17 * 1024 * 1024);
    const claims = await Promise.all(Array.from({ length: 3 }, () => claimed()));
    const ends = await Promise.allSettled(
      claims.map(({ lease }, index) => store.complete(lease, index === 1 ? tooLarge : 'fine')),
    );
    expect(ends.map((end) => (end.status === 'fulfilled' ? end.value : 'refused'))).toEqual([
      true,
      'refused',
      true,
    ]);
  });
});
