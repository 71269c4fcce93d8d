import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { errorInfo, type ActionStore, type Claim, type Json, type SecurityAction } from '#domain';
import { CALLER, claimOf, freshDatabase, newAction } from '../support/database.js';

/** Concurrent writes share one command. Each caller is told of its own action alone, and what it wrote is its own. */

let store: ActionStore;
beforeAll(async () => {
  store = (await freshDatabase()).actions;
});

const MANY = 40;
const claim = (id: string, inTurn = false) =>
  store.claim(id, `w/${randomUUID()}`, 30_000, '1.0.0', { inTurn });

async function created(overrides: Parameters<typeof newAction>[0] = {}): Promise<SecurityAction[]> {
  return Promise.all(Array.from({ length: MANY }, () => store.create(newAction(overrides))));
}

async function claimed(overrides: Parameters<typeof newAction>[0] = {}): Promise<Claim[]> {
  const claims = await Promise.all((await created(overrides)).map(({ id }) => claimOf(claim(id))));
  return claims.map((one) => {
    if (one === null) throw new Error('a new action could not be claimed');
    return one;
  });
}

async function found({ action }: Claim): Promise<SecurityAction> {
  const recorded = await store.find(CALLER.tenantId, action.id);
  if (recorded === null) throw new Error('an action is gone');
  return recorded;
}

describe('claims that come together', () => {
  it('give each its own lease and action', async () => {
    const actions = await created({ idempotency: 'none' });
    const claims = await Promise.all(actions.map(({ id }) => claimOf(claim(id))));
    expect(claims.map((one) => one?.action.id)).toEqual(actions.map(({ id }) => id));
    expect(new Set(claims.map((one) => one?.lease.owner)).size).toBe(MANY);
    for (const one of claims) expect(one?.action).toMatchObject({ owner: one?.lease.owner, epoch: 1 });
  });

  it('give an action that several ask for to one of them, and take nothing that is over', async () => {
    const actions = await created();
    const [first, second] = actions;
    await store.requestCancel(CALLER, second?.id ?? '');
    const answers = await Promise.all(
      actions.flatMap(({ id }) => [claim(id), ...(id === first?.id ? [claim(id), claim(id)] : [])]),
    );
    expect(answers.slice(0, 3).filter(({ kind }) => kind === 'claimed')).toHaveLength(1);
    expect(answers[3]?.kind).toBe('none');
    expect(answers.slice(4).every(({ kind }) => kind === 'claimed')).toBe(true);
  });

  it('take one action at a target, and the others beside it', async () => {
    const free = await created();
    const target = `mock/${randomUUID()}`;
    const busy = await created({ mutexKey: target });
    const answers = await Promise.all(
      [...free, ...busy].map(({ id, mutexKey }) => claim(id, mutexKey !== null)),
    );
    expect(answers.slice(0, MANY).every(({ kind }) => kind === 'claimed')).toBe(true);
    expect(answers.slice(MANY).filter(({ kind }) => kind === 'claimed').length).toBeLessThanOrEqual(1);
    expect(answers.slice(MANY).every(({ kind }) => kind !== 'none')).toBe(true);
  });
});

describe('ends that come together', () => {
  it('are refused to those alone whose lease was taken over', async () => {
    const claims = await claimed();
    const lost = claims.filter((_, index) => index % 5 === 0);
    for (const { lease } of lost) {
      await store.handOver(lease);
      expect(await claimOf(claim(lease.actionId))).not.toBeNull();
    }
    const told = await Promise.all(
      claims.map(({ lease }, index) =>
        index % 2 === 0
          ? store.complete(lease, { number: index })
          : store.fail(lease, { phase: 'failed', errorInfo: errorInfo(400, `number ${index}`) }),
      ),
    );
    expect(told).toEqual(claims.map((_, index) => index % 5 !== 0));
    for (const [index, one] of claims.entries()) {
      const { status, result, errorInfo: info } = await found(one);
      if (index % 5 === 0)
        expect({ status, result, info }).toEqual({ status: 'Running', result: null, info: null });
      else if (index % 2 === 0)
        expect({ status, result }).toEqual({ status: 'Completed', result: { number: index } });
      else
        expect({ status, message: info?.message }).toEqual({ status: 'Failed', message: `number ${index}` });
    }
  });

  it('keep what a vendor said as it said it, whatever it means to the database', async () => {
    const claims = await claimed();
    const said = (index: number): Json =>
      index % 2 === 0
        ? { $literal: `$status ${index}`, $$NOW: ['$$ROOT', { $set: index }] }
        : `$tenantId ${index}`;
    await Promise.all(claims.map(({ lease }, index) => store.complete(lease, said(index))));
    for (const [index, one] of claims.entries()) expect((await found(one)).result).toEqual(said(index));
  });

  it('are recorded also where all of them together are more than the database takes at once', async () => {
    const claims = await claimed();
    const large = 'x'.repeat(500_000);
    const told = await Promise.all(
      claims.map(({ lease }, index) => store.complete(lease, `${index} ${large}`)),
    );
    expect(told).toEqual(claims.map(() => true));
    for (const [index, one] of claims.entries()) expect((await found(one)).result).toBe(`${index} ${large}`);
  });

  it('of one action twice are both told as they were', async () => {
    const claims = await claimed();
    const told = await Promise.all(
      claims.flatMap(({ lease }) => [store.complete(lease, 'first'), store.complete(lease, 'second')]),
    );
    expect(told.filter(Boolean)).toHaveLength(MANY);
    expect(told).toEqual(claims.flatMap(() => [true, false]));
  });
});

describe('intents, operations and parkings that come together', () => {
  it('are each on record as their own, and refused where a cancel came before', async () => {
    const claims = await claimed({ idempotency: 'none' });
    const cancelled = claims.filter((_, index) => index % 4 === 0);
    for (const { action } of cancelled) await store.requestCancel(CALLER, action.id);
    const intents = await Promise.all(claims.map(({ lease }) => store.recordIntent(lease, '1.0.0')));
    expect(intents.map((one) => one?.intent?.epoch ?? null)).toEqual(
      claims.map((_, index) => (index % 4 === 0 ? null : 1)),
    );
    const going = claims.filter((_, index) => index % 4 !== 0);
    const saved = await Promise.all(
      going.map(({ lease }, index) => store.saveOperation(lease, { id: `op-${index}` })),
    );
    expect(saved.map((one) => one?.intent?.operation)).toEqual(
      going.map((_, index) => ({ id: `op-${index}` })),
    );
    const parked = await Promise.all(
      going.map(({ lease }, index) =>
        store.park(lease, {
          operation: { id: `op-${index}` },
          progress: { done: index },
          phase: 'waitingOnVendor',
          delayMs: index * 60_000,
          sawCancel: false,
        }),
      ),
    );
    const [soonest] = parked;
    for (const [index, one] of parked.entries()) {
      expect(one).toMatchObject({
        owner: null,
        progress: { done: index },
        intent: { operation: { id: `op-${index}` } },
      });
      const later = (one?.nextAt?.getTime() ?? 0) - (soonest?.nextAt?.getTime() ?? 0);
      expect(Math.abs(later - index * 60_000)).toBeLessThan(50_000);
    }
  });
});
