import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OutcomeUnknownError, errorInfo, type ActionStore, type Claim } from '#domain';
import { MongoActionStore } from '#persistence';
import { claimOf, CALLER, freshDatabaseUri, newAction } from '../support/database.js';

/** A write that was carried out and whose answer was lost is repeated: the repeat has to find that it was. */

let connection: mongoose.Connection;
let store: ActionStore;
/** One that repeats nothing but what must not be forgotten. */
let impatient: ActionStore;
/** What happens after the next write was carried out and before its answer is lost. */
let onLoss: (() => Promise<unknown>) | null = null;
/** What the write after that is answered with. */
let refusal: Error | null = null;
/** Whether the next write is held up on its way, and taken for lost. */
let holdsUp = false;
/** Lets the write that was held up arrive. */
let arrive: () => Promise<unknown> = () => Promise.reject(new Error('nothing was held up'));

beforeAll(async () => {
  connection = await mongoose.createConnection(freshDatabaseUri()).asPromise();
  const db = connection.getClient().db(connection.name);
  const clock = { now: () => new Date() };
  const lossy = new Proxy(db, {
    get: (real, name) => {
      const value: unknown = Reflect.get(real, name);
      if (name !== 'collection') return typeof value === 'function' ? (value.bind(real) as unknown) : value;
      return (collection: string) => losingAnswers(real.collection(collection));
    },
  });
  store = new MongoActionStore(lossy, clock as never);
  impatient = new MongoActionStore(lossy, clock as never, 0);
});
afterAll(() => connection.close());

function losingAnswers(collection: mongoose.mongo.Collection): mongoose.mongo.Collection {
  return new Proxy(collection, {
    get: (real, name) => {
      const value: unknown = Reflect.get(real, name);
      if (typeof value !== 'function') return value;
      if (name !== 'findOneAndUpdate') return value.bind(real) as unknown;
      return async (...args: unknown[]) => {
        const write = value as (...all: unknown[]) => Promise<unknown>;
        if (holdsUp) {
          holdsUp = false;
          const [filter, changes, options] = args;
          arrive = () => write.call(real, filter, changes, { ...(options as object), signal: undefined });
          throw new mongoose.mongo.MongoNetworkError('no answer came');
        }
        if (onLoss === null && refusal !== null) {
          const refused = refusal;
          refusal = null;
          throw refused;
        }
        const answer = await write.apply(real, args);
        const lose = onLoss;
        if (lose === null) return answer;
        onLoss = null;
        await lose();
        throw new mongoose.mongo.MongoNetworkError('the answer was lost');
      };
    },
  });
}

async function claimed(idempotency: 'none' | 'natural' = 'none'): Promise<Claim> {
  const { id } = await store.create(newAction({ idempotency }));
  const claim = await claimOf(store.claim(id, `w/${randomUUID()}`, 30_000, '1.0.0'));
  if (claim === null) throw new Error('a new action could not be claimed');
  return claim;
}

const nothing = (): Promise<void> => Promise.resolve();

describe('a write whose answer was lost', () => {
  it('of an intent is found again, also when a cancel came in between', async () => {
    const { lease, action } = await claimed();
    let answer = '';
    onLoss = async () => {
      answer = (await store.requestCancel(CALLER, action.id)).kind;
    };
    const recorded = await store.recordIntent(lease, '1.0.0');
    expect(answer).toBe('requested');
    expect(recorded).toMatchObject({ intent: { epoch: 1 }, cancel: { why: 'caller' } });
  });

  it('of an intent that is taken back is found again', async () => {
    const { lease } = await claimed();
    await store.recordIntent(lease, '1.0.0');
    onLoss = nothing;
    expect(await store.takeBack(lease)).toMatchObject({ intent: null, owner: null, epoch: 1 });
  });

  it('of an operation, a parking and a retry is found again', async () => {
    const release = { delayMs: 0, sawCancel: false } as const;
    const one = await claimed();
    await store.recordIntent(one.lease, '1.0.0');
    onLoss = nothing;
    expect(await store.saveOperation(one.lease, { id: 'op' })).toMatchObject({
      intent: { operation: { id: 'op' } },
    });
    onLoss = nothing;
    expect(
      await store.park(one.lease, {
        ...release,
        operation: { id: 'op' },
        progress: null,
        phase: 'waitingOnVendor',
      }),
    ).toMatchObject({ owner: null, intent: { operation: { id: 'op' } } });
    expect(await store.find(CALLER.tenantId, one.lease.actionId)).toMatchObject({ phase: 'waitingOnVendor' });
    const two = await claimed();
    await store.recordIntent(two.lease, '1.0.0');
    onLoss = nothing;
    const retried = await store.retry(two.lease, {
      ...release,
      error: errorInfo(503, 'away'),
      applied: 'no',
      phase: 'retrying',
    });
    expect(retried).toMatchObject({ intent: null, attempts: [{ number: 1 }] });
    expect(retried?.attempts).toHaveLength(1);
  });

  it('and that says what the vendor did is repeated beyond the time that others have', async () => {
    const { lease } = await claimed();
    await store.recordIntent(lease, '1.0.0');
    onLoss = nothing;
    await expect(impatient.renew(lease, 30_000)).rejects.toThrow('did not confirm');
    onLoss = nothing;
    expect(await impatient.saveOperation(lease, { id: 'op' })).toMatchObject({
      intent: { operation: { id: 'op' } },
    });
  });

  it('of a cancel is answered as the first time', async () => {
    const { lease, action } = await claimed();
    onLoss = nothing;
    expect((await store.requestCancel(CALLER, action.id)).kind).toBe('cancelled');
    expect(await store.recordIntent(lease, '1.0.0')).toBeNull();
  });

  it('of a cancel stays unknown where its repeat fails for a reason that does not pass', async () => {
    const { action } = await claimed();
    onLoss = nothing;
    refusal = new mongoose.mongo.MongoServerError({ message: 'interrupted', code: 11_601 });
    await expect(store.requestCancel(CALLER, action.id)).rejects.toBeInstanceOf(OutcomeUnknownError);
    expect((await store.requestCancel(CALLER, action.id)).kind).toBe('cancelled');
  });
});

describe('a write that arrives after its own repeat, and after what followed', () => {
  const found = (id: string) => store.find(CALLER.tenantId, id);

  it('is no second claim, which nobody would carry out', async () => {
    holdsUp = true;
    const { lease, action } = await claimed('natural');
    expect(lease.epoch).toBe(1);
    await store.retry(lease, {
      error: errorInfo(503, 'away'),
      applied: 'no',
      delayMs: 0,
      phase: 'retrying',
      sawCancel: false,
    });
    await arrive();
    expect(await found(action.id)).toMatchObject({ owner: null, epoch: 1, intent: null, crashes: 0 });
    const next = await claimOf(store.claim(action.id, `w/${randomUUID()}`, 1, '1.0.0'));
    expect(next).toMatchObject({ lease: { epoch: 2 }, freshIntent: true });
    expect((await store.requestCancel(CALLER, action.id)).kind).toBe('requested');
  });

  it('is no claim of a lease that has run out meanwhile', async () => {
    const { id } = await store.create(newAction());
    holdsUp = true;
    expect(await claimOf(store.claim(id, 'w/dies', 1, '1.0.0'))).not.toBeNull();
    await arrive();
    expect(await found(id)).toMatchObject({ epoch: 1, crashes: 0 });
  });

  it('takes nothing away that became known under its intent', async () => {
    const { lease, action } = await claimed();
    holdsUp = true;
    await store.recordIntent(lease, '1.0.0');
    await store.saveOperation(lease, { id: 'op' });
    await store.renew(lease, 30_000, { checkpoint: { step: 1 } });
    await arrive();
    expect(await found(action.id)).toMatchObject({
      intent: { operation: { id: 'op' }, checkpoint: { step: 1 } },
    });
  });

  it('takes back nothing that was reported later', async () => {
    const { lease, action } = await claimed('natural');
    holdsUp = true;
    await store.renew(lease, 30_000, { checkpoint: { step: 1 }, progress: { done: 1 } });
    await store.renew(lease, 30_000, { checkpoint: { step: 2 }, progress: { done: 2 } });
    await arrive();
    expect(await found(action.id)).toMatchObject({
      progress: { done: 2 },
      intent: { checkpoint: { step: 2 } },
    });
    holdsUp = true;
    await store.saveOperation(lease, { id: 'first' });
    await store.saveOperation(lease, { id: 'second' });
    await arrive();
    expect(await found(action.id)).toMatchObject({ intent: { operation: { id: 'second' } } });
  });

  it('leaves a later claim its own reports, whichever process makes them', async () => {
    const { lease, action } = await claimed('natural');
    for (let report = 0; report < 3; report += 1) await store.renew(lease, 30_000, { progress: { report } });
    await store.handOver(lease);
    const next = await claimOf(impatient.claim(action.id, `w/${randomUUID()}`, 30_000, '1.0.0'));
    if (next === null) throw new Error('it could not be claimed');
    await impatient.renew(next.lease, 30_000, { progress: 'next' });
    expect(await found(action.id)).toMatchObject({ progress: 'next' });
  });
});
