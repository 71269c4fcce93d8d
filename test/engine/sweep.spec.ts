import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type {
  ActionQueue,
  ActionStore,
  DueAction,
  DueList,
  DuePosition,
  Hint,
  SecurityAction,
} from '#domain';
import { HintMemory, Sweep, Watchdog } from '#engine';
import { TENANT_A } from '../support/database.js';
import { createLogger } from '#telemetry';

/** A sweep over so many due actions, with a Redis that can go away or forget, and a clock in hand. */
function sweeping(count: number, facts: Partial<DueAction> = {}) {
  const actions: DueAction[] = Array.from({ length: count }, (_, index) => ({
    id: randomUUID(),
    tenantId: TENANT_A,
    lane: 'routine',
    instance: 'mock',
    actionName: 'BlockIp',
    epoch: 0,
    nextAt: new Date(index),
    overdue: false,
    ...facts,
  }));
  const world = {
    actions,
    incarnation: 'first' as string | null,
    takesHints: true,
    hinted: [] as Hint[],
    reads: 0,
    now: 0,
    idleMs: 0,
    unclosable: '',
    renewed: [] as string[],
  };
  const beyondOf = (after: DuePosition | null): readonly DueAction[] =>
    after === null ? world.actions : world.actions.filter(({ nextAt }) => nextAt > after.nextAt);
  const store = {
    due: (list: DueList, limit: number, _graceMs: number, after: DuePosition | null) => {
      world.reads += 1;
      const beyond = beyondOf(after);
      return Promise.resolve(beyond.filter(({ epoch }) => epoch > 0 === (list === 'begun')).slice(0, limit));
    },
    overdue: (among: number, _graceMs: number, after: DuePosition | null) => {
      const seen = beyondOf(after)
        .filter(({ epoch }) => epoch === 0)
        .slice(0, among);
      return Promise.resolve({
        ids: seen.filter(({ overdue }) => overdue).map(({ id }) => id),
        next: seen.length === among ? (seen.at(-1) ?? null) : null,
      });
    },
    closeOverdue: (id: string) => {
      if (id === world.unclosable) return Promise.reject(new TypeError('no date'));
      world.actions = world.actions.filter((action) => action.id !== id);
      const at = new Date();
      return Promise.resolve({
        id,
        tenantId: 't',
        phase: 'timedOut',
        createdAt: at,
        completedAt: at,
      } as SecurityAction);
    },
  } as unknown as ActionStore;
  const queue: ActionQueue = {
    hint: () => Promise.resolve(true),
    announceCancel: () => Promise.resolve(true),
    incarnation: () => Promise.resolve(world.incarnation),
    hintMany: (hints) => {
      if (world.takesHints) world.hinted.push(...hints);
      return Promise.resolve(world.takesHints);
    },
  };
  const log = createLogger('riposte-test', 'silent');
  const sweep = new Sweep({
    store,
    queue,
    log,
    memory: new HintMemory({ now: () => world.now, random: () => 0.5 }),
    watchdog: new Watchdog({
      idleMs: () => world.idleMs,
      renew: (instance) => world.renewed.push(instance),
      log,
      now: () => world.now,
    }),
  });
  return { world, sweep };
}

describe('the sweep', () => {
  it('says in a hint whether the vendor is at work, and from when on it is to be told to stop', async () => {
    const stopAt = new Date(7);
    const { world, sweep } = sweeping(1, { epoch: 1, polls: true, stopAt });
    await sweep.pass();
    expect(world.hinted).toMatchObject([{ polls: true, stopAt }]);
  });

  it('closes nothing more once it is to stop, however much there is', async () => {
    const { sweep } = sweeping(10, { overdue: true });
    const pass = sweep.pass();
    await sweep.stop();
    expect((await pass).closed).toBe(0);
  });

  it('hints a due action once, and again after growing delays while it stays due', async () => {
    const { world, sweep } = sweeping(1);
    const hintedAt: number[] = [];
    for (; world.now <= 60_000; world.now += 1000) {
      const { hinted } = await sweep.pass();
      if (hinted > 0) hintedAt.push(world.now);
    }
    expect(hintedAt).toEqual([0, 5000, 20_000, 50_000]);
  });

  it('takes the job of what was hinted twice in vain for stuck, and hints under another id', async () => {
    const { world, sweep } = sweeping(1);
    for (; world.now <= 30_000; world.now += 1000) await sweep.pass();
    expect(world.hinted.map(({ kind }) => kind)).toEqual([undefined, undefined, 'again']);
  });

  it('is not stopped by a record that cannot be closed', async () => {
    const { world, sweep } = sweeping(3, { overdue: true });
    world.unclosable = world.actions[0]?.id ?? '';
    expect(await sweep.pass()).toMatchObject({ closed: 2, hinted: 1 });
  });

  it('hints what has begun under an id that no job of an earlier look can swallow', async () => {
    const { world, sweep } = sweeping(1, { epoch: 3 });
    await sweep.pass();
    expect(world.hinted).toMatchObject([{ epoch: 3, kind: 'again' }]);
  });

  it('hints at once what was looked at since and is due again', async () => {
    const { world, sweep } = sweeping(1);
    await sweep.pass();
    world.actions = world.actions.map((action) => ({ ...action, epoch: 1, nextAt: new Date(500) }));
    expect(await sweep.pass()).toMatchObject({ hinted: 1 });
  });

  it('reads one batch a pass of a backlog that waits its turn, and hints none of it again', async () => {
    const { world, sweep } = sweeping(1000);
    await sweep.pass();
    world.hinted = [];
    world.reads = 0;
    for (let pass = 0; pass < 4; pass += 1) await sweep.pass();
    // And one of what has begun.
    expect(world.reads).toBe(4 * 2);
    expect(world.hinted).toEqual([]);
  });

  it('hints what has begun and is due at once, however much waits before it', async () => {
    const { world, sweep } = sweeping(4000);
    for (let pass = 0; pass < 2; pass += 1) await sweep.pass();
    world.hinted = [];
    const last = world.actions.at(-1);
    world.actions = world.actions.map((action) => (action === last ? { ...action, epoch: 1 } : action));
    await sweep.pass();
    expect(world.hinted).toMatchObject([{ actionId: last?.id, epoch: 1 }]);
  });

  it('closes what is late among 5,000 that wait before it, within two passes', async () => {
    const { world, sweep } = sweeping(5001);
    world.actions = world.actions.map((action, index) => ({ ...action, overdue: index === 5000 }));
    world.incarnation = null;
    const passes = [await sweep.pass(), await sweep.pass()];
    expect(passes.map(({ closed }) => closed)).toEqual([0, 1]);
  });

  it('goes on closing for as long as it finds what is late', async () => {
    const { world, sweep } = sweeping(3001, { overdue: true });
    expect(await sweep.pass()).toMatchObject({ closed: 3001 });
    expect(world.actions).toEqual([]);
  });

  it('hints 10,000 actions within four passes when Redis holds other data than before', async () => {
    const { world, sweep } = sweeping(10_000);
    for (let pass = 0; pass < 4; pass += 1) await sweep.pass();
    world.hinted = [];
    world.incarnation = 'second';
    for (let pass = 0; pass < 4; pass += 1) await sweep.pass();
    expect(new Set(world.hinted.map(({ actionId }) => actionId)).size).toBe(10_000);
    expect(world.hinted).toHaveLength(10_000);
  });

  it('remembers nothing as hinted while Redis is away, and hints everything when it is back', async () => {
    const { world, sweep } = sweeping(700);
    await sweep.pass();
    world.hinted = [];
    world.incarnation = null;
    expect(await sweep.pass()).toMatchObject({ hinted: 0 });
    world.incarnation = 'first';
    expect(await sweep.pass()).toMatchObject({ due: 700, hinted: 700 });
  });

  it('hints everything again when Redis answers but did not take the hints', async () => {
    const { world, sweep } = sweeping(5);
    world.takesHints = false;
    expect(await sweep.pass()).toMatchObject({ due: 5, hinted: 0 });
    world.takesHints = true;
    expect(await sweep.pass()).toMatchObject({ due: 5, hinted: 5 });
  });

  it('closes what is overdue also while Redis is away', async () => {
    const { world, sweep } = sweeping(3, { overdue: true });
    world.incarnation = null;
    expect(await sweep.pass()).toMatchObject({ due: 3, hinted: 0, closed: 3 });
    expect(sweep.last).toMatchObject({ due: 3, hinted: 0, closed: 3 });
  });

  it('has the queue listened to anew when its hints are never taken while this worker idles', async () => {
    const { world, sweep } = sweeping(1);
    for (; world.now < 30_000; world.now += 1000) {
      world.idleMs = world.now;
      await sweep.pass();
    }
    expect(world.renewed).toEqual([]);
    world.now = 31_000;
    world.idleMs = 31_000;
    await sweep.pass();
    expect(world.renewed).toEqual(['mock']);
  });
});
