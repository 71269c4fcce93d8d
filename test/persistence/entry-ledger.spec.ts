import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';
import { afterAll, describe, expect, it } from 'vitest';
import { connectDatabase } from '#persistence';
import { TENANT_A, TENANT_B, freshDatabaseUri } from '../support/database.js';
import { eventually } from '../support/eventually.js';

describe('the entries of a device', async () => {
  const uri = freshDatabaseUri();
  const database = await connectDatabase(uri, { appName: 'riposte-test' });
  const raw = await mongoose.createConnection(uri).asPromise();
  afterAll(() => Promise.all([raw.close(), database.close()]));
  const never = new AbortController().signal;
  const fresh = () => database.entryLedger(randomUUID());
  const owner = (tenantId = TENANT_A, until: Date | null = null) => ({
    actionId: randomUUID(),
    tenantId,
    until,
    claimMs: 60_000,
  });

  it('have as many owners as actions hold them, also when all come at once', async () => {
    const ledger = fresh();
    const owners = Array.from({ length: 20 }, () => owner());
    await Promise.all(owners.map((one) => ledger.hold('ip', '192.0.2.1', one)));
    await Promise.all(owners.map((one) => ledger.hold('ip', '192.0.2.1', one)));
    expect(await ledger.entry('ip', '192.0.2.1')).toMatchObject({ owners: 20, written: 'no', revision: 20 });
  });

  it('are let go by one action, or by all of a tenant', async () => {
    const ledger = fresh();
    const [first, second, other] = [owner(), owner(), owner(TENANT_B)];
    for (const one of [first, second, other]) await ledger.hold('ip', '192.0.2.1', one);
    expect(await ledger.release('ip', '192.0.2.1', first)).toEqual({ left: 1, stay: 2 });
    expect(await ledger.release('ip', '192.0.2.1', { actionId: first.actionId })).toEqual({
      left: 0,
      stay: 2,
    });
    expect(await ledger.release('ip', '192.0.2.1', { tenantId: TENANT_A })).toEqual({ left: 1, stay: 1 });
    expect(await ledger.entry('ip', '192.0.2.1')).toMatchObject({ owners: 1 });
  });

  it('are not held again by a late attempt of an action that was released, before or after it came', async () => {
    const ledger = fresh();
    const [came, never_came] = [owner(), owner()];
    await ledger.hold('ip', '192.0.2.1', came);
    await ledger.release('ip', '192.0.2.1', { actionId: came.actionId });
    await ledger.release('ip', '192.0.2.9', { actionId: never_came.actionId });
    expect(await ledger.hold('ip', '192.0.2.1', came)).toBeNull();
    expect(await ledger.hold('ip', '192.0.2.9', never_came)).toBeNull();
    expect(await ledger.hold('ip', '192.0.2.9', owner())).toMatchObject({ revision: 1 });
  });

  it('are wanted no longer when their time is over, by the database’s clock', async () => {
    const ledger = fresh();
    await ledger.hold('ip', '192.0.2.1', owner(TENANT_A, new Date(Date.now() + 700)));
    expect((await ledger.entry('ip', '192.0.2.1'))?.leftMs).toBeGreaterThan(0);
    await eventually(async () => (await ledger.entry('ip', '192.0.2.1'))?.owners === 0);
    await ledger.hold('ip', '192.0.2.1', owner());
    expect(await ledger.entry('ip', '192.0.2.1')).toMatchObject({ owners: 1, leftMs: null });
  });

  it('tell what each owner wants of them, whoever held them first first, also when that is said again', async () => {
    const ledger = fresh();
    const [first, second] = [owner(), owner()];
    await ledger.hold('ip', '192.0.2.1', { ...first, form: 'block' });
    await ledger.hold('ip', '192.0.2.1', { ...second, form: '$allow' });
    await ledger.settle('ip', '192.0.2.1', first.actionId);
    await ledger.hold('ip', '192.0.2.1', { ...first, form: 'block' });
    expect(await ledger.all()).toMatchObject([
      {
        list: 'ip',
        forms: [
          { actionId: first.actionId, tenantId: TENANT_A, until: null, form: 'block', isSettled: true },
          { actionId: second.actionId, form: '$allow', isSettled: false },
        ],
      },
    ]);
  });

  it('keep what the device calls them', async () => {
    const ledger = fresh();
    for (const value of ['192.0.2.1', '192.0.2.2']) await ledger.hold('ip', value, owner());
    await ledger.keepHandle('ip', '192.0.2.1', '$7');
    await ledger.keepHandle('ip', '192.0.2.2', '8');
    await ledger.keepHandle('ip', '192.0.2.2', null);
    await ledger.keepHandle('ip', '192.0.2.3', 'of nobody');
    expect(await ledger.handles('ip')).toEqual(new Map([['192.0.2.1', '$7']]));
    expect(await ledger.handles('another')).toEqual(new Map());
  });

  it('have no owner any more in an action that was never settled, once its claim is over', async () => {
    const ledger = fresh();
    const [failed, done] = [
      { ...owner(), claimMs: 200 },
      { ...owner(), claimMs: 200 },
    ];
    await ledger.hold('ip', '192.0.2.1', failed);
    await ledger.hold('ip', '192.0.2.1', done);
    await ledger.settle('ip', '192.0.2.1', done.actionId);
    expect(await ledger.entry('ip', '192.0.2.1')).toMatchObject({ owners: 2, settled: 1 });
    await eventually(async () => (await ledger.entry('ip', '192.0.2.1'))?.owners === 1);
    // A late repeat of the settled one changes nothing; the failed one's next attempt makes it an owner again.
    expect(await ledger.hold('ip', '192.0.2.1', done)).toMatchObject({ revision: 2 });
    expect(await ledger.hold('ip', '192.0.2.1', failed)).toMatchObject({ revision: 3 });
    expect(await ledger.entry('ip', '192.0.2.1')).toMatchObject({ owners: 2, settled: 1 });
  });

  it('belong to one instance', async () => {
    const [one, other] = [fresh(), fresh()];
    await one.hold('ip', '192.0.2.1', owner());
    expect(await other.entry('ip', '192.0.2.1')).toBeNull();
    expect(await other.lists()).toEqual([]);
    expect(await one.lists()).toEqual(['ip']);
  });

  it('take any value as it is, dollar signs too', async () => {
    const ledger = fresh();
    const value = 'https://evil.example/$where?a=$$NOW';
    await ledger.hold('$url', value, owner());
    expect(await ledger.entry('$url', value)).toMatchObject({ value, owners: 1 });
  });

  it('have one writer at a time among all processes', async () => {
    const instance = randomUUID();
    let writing = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 6 }, () =>
        database.entryLedger(instance).asOnlyWriter('ip', never, async () => {
          most = Math.max(most, (writing += 1));
          await sleep(20);
          writing -= 1;
        }),
      ),
    );
    expect(most).toBe(1);
  });

  it('keep who waits for a writer only as long as its signal says', async () => {
    const ledger = fresh();
    const stop = new AbortController();
    await ledger.asOnlyWriter('ip', never, async () => {
      const waits = ledger.asOnlyWriter('ip', stop.signal, () => Promise.resolve());
      stop.abort(new Error('the call is over'));
      await expect(waits).rejects.toThrow('the call is over');
    });
  });

  it('are due again when an owner comes while they are written', async () => {
    const ledger = fresh();
    const first = owner();
    await ledger.hold('ip', '192.0.2.1', first);
    await ledger.release('ip', '192.0.2.1', first);
    await ledger.asOnlyWriter('ip', never, async (held) => {
      const [entry] = await held.entries();
      await ledger.hold('ip', '192.0.2.1', owner());
      await held.note([{ value: '192.0.2.1', revision: entry?.revision ?? 0, written: 'no' }]);
      expect(await held.entries()).toMatchObject([{ owners: 1, written: 'no' }]);
    });
  });

  it('are forgotten some days after nobody wants them and nothing is there', async () => {
    const ledger = fresh();
    const one = owner();
    await ledger.hold('idle', '192.0.2.77', one);
    await ledger.release('idle', '192.0.2.77', one);
    await ledger.asOnlyWriter('idle', never, async (held) => {
      const [entry] = await held.entries();
      await held.note([{ value: '192.0.2.77', revision: entry?.revision ?? 0, written: 'no' }]);
      expect(await held.entries()).toEqual([]);
    });
    expect(await raw.collection('entries').findOne({ value: '192.0.2.77' })).toMatchObject({
      idleAt: expect.any(Date) as Date,
    });
    const indexes = await raw.collection('entries').indexes();
    expect(indexes.find(({ key }) => 'idleAt' in key)?.['expireAfterSeconds']).toBeGreaterThan(7 * 86_400);
  });
});
