import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { OperationalError } from '#domain';
import { Backlog, TellOverload } from '#engine';
import { createLogger } from '#telemetry';
import { TENANT_A, TENANT_B } from '../support/database.js';

const log = createLogger('riposte-test', 'silent');

/** A bound of 3 on an instance `fw`, a clock that is moved by hand, and a database that is asked. */
function backlogOf(bound = 3) {
  const world = {
    nowMs: 1_000_000,
    waiting: 0,
    counts: 0,
    /** Set, the database does not answer before it is called. */
    answer: null as null | (() => void),
    slow: false,
    broken: false,
    /** A worker says that it cannot keep up. */
    overload: () => undefined as void,
    waits: [] as number[],
    /** Called in each wait. */
    meanwhile: () => undefined as void,
  };
  const backlog = new Backlog({
    bounds: new Map([['fw', bound]]),
    log,
    nowMs: () => world.nowMs,
    bell: { listen: (_about, heard) => void (world.overload = () => heard('fw')) },
    wait: async (ms) => {
      world.waits.push(ms);
      world.meanwhile();
    },
    counter: {
      countWaiting: async (_instance, atMost) => {
        world.counts += 1;
        const { waiting } = world;
        if (world.slow) await new Promise<void>((resolve) => (world.answer = resolve));
        if (world.broken) throw new Error('the database is away');
        return Math.min(waiting, atMost);
      },
    },
  });
  return { world, backlog, admit: (tenant = TENANT_A) => backlog.admit('fw', tenant) };
}

type World = ReturnType<typeof backlogOf>['world'];

/** Lets time pass and the count of then end. */
async function pass(world: World, ms: number, admit: () => Promise<void>): Promise<void> {
  world.nowMs += ms;
  await admit().catch(() => undefined);
  await new Promise((resolve) => setImmediate(resolve));
}

const refusal = (promise: Promise<void>): Promise<OperationalError> =>
  promise.then(
    () => Promise.reject(new Error('it was admitted')),
    (error: unknown) => error as OperationalError,
  );

describe('the bound of a backlog', () => {
  it('admits as many as may wait, counted and accepted since, and not one more', async () => {
    const { world, admit } = backlogOf();
    world.waiting = 1;
    await admit();
    await admit();
    const error = await refusal(admit());
    expect(error).toBeInstanceOf(OperationalError);
    expect(error.code).toBe('tooManyRequests');
    expect(error.message).toMatch(/3 actions wait for provider instance "fw"/);
    expect(error.retryAfterSeconds).toBeGreaterThanOrEqual(1);
  });

  it('lets nothing but the first create wait for the count, all of its time together', async () => {
    const { world, admit } = backlogOf(100);
    world.slow = true;
    const first = [admit(), admit(), admit()];
    expect(world.counts).toBe(1);
    world.answer?.();
    await Promise.all(first);
    world.nowMs += 1000;
    await admit();
    await admit();
    expect(world.counts).toBe(2);
  });

  it('counts at most once a second', async () => {
    const { world, admit } = backlogOf(100);
    await admit();
    for (let create = 0; create < 50; create += 1) await pass(world, 100, admit);
    expect(world.counts).toBe(6);
  });

  it('counts less often where it takes long', async () => {
    const { world, admit } = backlogOf(100);
    world.slow = true;
    const first = admit();
    world.nowMs += 200;
    world.answer?.();
    await first;
    world.slow = false;
    await pass(world, 3700, admit);
    expect(world.counts).toBe(1);
    await pass(world, 100, admit);
    expect(world.counts).toBe(2);
  });

  it('admits again once it was worked off, also what nobody asked for in the meantime', async () => {
    const { world, admit } = backlogOf();
    world.waiting = 3;
    await refusal(admit());
    world.waiting = 0;
    await pass(world, 1000, admit);
    await admit();
    world.waiting = 3;
    await pass(world, 1000, admit);
    await refusal(admit());
    world.waiting = 0;
    world.nowMs += 3_600_000;
    await admit();
  });

  it('leaves other instances alone', async () => {
    const { world, backlog, admit } = backlogOf();
    world.waiting = 3;
    await refusal(admit());
    await backlog.admit('other', TENANT_A);
  });

  it.each([
    ['a quick one: a second', 1000, 500, 1],
    ['one action in four seconds', 4000, 1, 4],
    ['very slow: 20 s for one that takes 20 s', 20_000, 1, 20],
    ['none was started: some seconds', 2000, 0, 10],
    ['none was started for long: as long again', 25_000, 0, 25],
  ])('says when to come again by how fast it went lately, %s', async (_what, ms, started, seconds) => {
    const { world, admit } = backlogOf(1000);
    world.waiting = 1000 + started;
    await refusal(admit());
    world.waiting = 1000;
    await pass(world, ms, admit);
    expect((await refusal(admit())).retryAfterSeconds).toBe(seconds);
  });

  it('never says more than five minutes', async () => {
    const { world, admit } = backlogOf(1000);
    world.waiting = 1001;
    await refusal(admit());
    await pass(world, 5000, admit);
    world.waiting = 100_000;
    await pass(world, 5000, admit);
    expect((await refusal(admit())).retryAfterSeconds).toBeLessThanOrEqual(300);
  });
});

/** How many of a tenant are admitted until one is refused. */
async function fill(admit: (tenant: string) => Promise<void>, tenant: string): Promise<number> {
  for (let admitted = 0; ; admitted += 1) {
    const isIn = await admit(tenant).then(
      () => true,
      () => false,
    );
    if (!isIn) return admitted;
  }
}

describe('the backlog of an instance that tenants share', () => {
  it('is never all of one tenant’s: the tenth that is left is for others', async () => {
    const { admit } = backlogOf(100);
    expect(await fill(admit, TENANT_A)).toBe(90);
    const error = await refusal(admit(TENANT_A));
    expect(error.code).toBe('tooManyRequests');
    expect(error.message).toMatch(/Most of the 100 actions that may wait .*"fw" are of this tenant/);
    expect(error.retryAfterSeconds).toBeGreaterThanOrEqual(1);
    expect(await fill(admit, TENANT_B)).toBe(9);
    // And there is still room for whoever comes next.
    await admit(randomUUID());
  });

  it('comes to be shared alike by those who fill it, as it is worked off', async () => {
    const { world, admit } = backlogOf(100);
    await fill(admit, TENANT_A);
    const brought = { [TENANT_A]: 0, [TENANT_B]: 0 };
    for (let second = 0; second < 60; second += 1) {
      world.waiting = 80;
      await pass(world, 1000, () => admit(randomUUID()));
      for (let turn = 0; turn < 20; turn += 1)
        for (const tenant of [TENANT_A, TENANT_B] as const)
          await admit(tenant).then(
            () => (brought[tenant] += 1),
            () => undefined,
          );
    }
    expect(brought[TENANT_B]).toBeGreaterThan(300);
    expect(brought[TENANT_A]).toBeGreaterThan(300);
  });

  it('is nobody’s as far as another process accepted it', async () => {
    const { world, admit } = backlogOf(100);
    world.waiting = 95;
    expect(await fill(admit, TENANT_A)).toBe(5);
  });

  it('is not divided where nothing is known of it', async () => {
    const { world, admit } = backlogOf(10);
    world.broken = true;
    for (let create = 0; create < 200; create += 1) await admit();
  });
});

describe('where the count fails', () => {
  it('admits everything, without a wait after the first', async () => {
    const { world, admit } = backlogOf();
    world.broken = true;
    for (let create = 0; create < 10; create += 1) await admit();
    expect(world.counts).toBe(1);
    await pass(world, 1000, admit);
    expect(world.counts).toBe(2);
  });

  it('holds to the last count for some seconds, then admits', async () => {
    const { world, admit } = backlogOf();
    world.waiting = 3;
    await refusal(admit());
    world.broken = true;
    await pass(world, 1000, admit);
    await refusal(admit());
    await pass(world, 10_000, admit);
    await admit();
  });

  it('refuses again once it counts again', async () => {
    const { world, admit } = backlogOf();
    world.broken = true;
    world.waiting = 3;
    await admit();
    world.broken = false;
    await pass(world, 1000, admit);
    await refusal(admit());
  });
});

describe('creates while the workers cannot keep up', () => {
  it('are slowed down the more wait, and refused where it does not help', async () => {
    const { world, admit } = backlogOf(100_000);
    const slowedBy = async (waiting: number): Promise<number | undefined> => {
      world.waiting = waiting;
      await pass(world, 1000, admit);
      world.overload();
      world.waits.length = 0;
      await admit();
      return world.waits[0];
    };
    expect(await slowedBy(900)).toBeUndefined();
    expect(await slowedBy(1500)).toBeGreaterThan(200);
    expect(await slowedBy(1500)).toBeLessThan(300);
    expect(await slowedBy(1900)).toBeGreaterThan(750);
    expect(await slowedBy(4900)).toBe(1000);
    world.waiting = 5000;
    await pass(world, 1000, admit);
    const error = await refusal(admit());
    expect(error.code).toBe('tooManyRequests');
    expect(error.message).toMatch(/5000 actions wait .* while the workers cannot keep up/);
    expect(error.retryAfterSeconds).toBeGreaterThanOrEqual(1);
  });

  it('are dropped, and do not count, when their caller hangs up while they wait', async () => {
    const { world, backlog, admit } = backlogOf(100_000);
    world.waiting = 4998;
    await pass(world, 1000, () => Promise.resolve());
    world.overload();
    let isWanted = true;
    world.meanwhile = () => (isWanted = false);
    await admit();
    isWanted = true;
    const error = await refusal(backlog.admit('fw', TENANT_A, () => isWanted));
    expect(error.code).toBe('tooManyRequests');
    expect(error.message).toMatch(/hung up .* Nothing was written/);
    await admit();
    expect((await refusal(admit())).message).toMatch(/5000 actions wait/);
  });

  it('go on as ever once the workers say so no more', async () => {
    const { world, admit } = backlogOf(100_000);
    world.waiting = 50_000;
    await admit();
    world.overload();
    await refusal(admit());
    world.nowMs += 2000;
    await admit();
    expect(world.waits).toEqual([]);
  });
});

describe('a worker says that it cannot keep up with an instance', () => {
  const looks = (load: { readonly inHand: number; readonly atVendor: number }, times = 5): string[] => {
    const rung: string[] = [];
    const overload = new TellOverload({
      registry: { instances: [{ id: 'fw', concurrency: 16 }] },
      load: () => load,
      bell: { ring: async (about, id) => rung.push(`${about} ${id}`) > 0 },
    });
    for (let look = 0; look < times; look += 1) overload.look();
    return rung;
  };

  it('when its slots are taken by what does not wait for the vendor', () => {
    expect(looks({ inHand: 16, atVendor: 2 })).toEqual(['overloaded fw']);
  });

  it('and not while it waits for a slow vendor, has slots left, or was so for a moment alone', () => {
    expect(looks({ inHand: 16, atVendor: 14 })).toEqual([]);
    expect(looks({ inHand: 6, atVendor: 0 })).toEqual([]);
    expect(looks({ inHand: 16, atVendor: 0 }, 4)).toEqual([]);
  });
});
