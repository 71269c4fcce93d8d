import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import type { Lane, NewAction, RateWindow } from '#domain';
import { CancelAction, InstanceCalls, ProviderRegistry, RunAction, Sweep, quotasOf } from '#engine';
import type { Database } from '#persistence';
import { Type, defineProvider, type StepOutcome } from '#provider-sdk';
import { BullActionQueue, HintConsumer, RedisVendorPermits } from '#queue';
import { createLogger } from '#telemetry';
import { CALLER, TENANT_A, TENANT_B, freshDatabase, newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { SEAL } from '../support/secrets.js';

const silent = (): void => undefined;
const log = createLogger('riposte-test', 'silent');
let database: Database;

beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.close());

interface Call {
  readonly actionId: string;
  readonly lane: Lane;
  readonly tenantId: string;
  readonly startedAt: number;
  endedAt: number;
}

interface VendorOptions {
  readonly windows?: readonly RateWindow[];
  readonly concurrency?: number;
  readonly workers?: number;
  readonly execute?: () => Promise<StepOutcome>;
}

/** A vendor with a quota, and workers on the real queue and database that keep to it. */
async function vendor({ windows = [], concurrency = 8, workers = 1, execute }: VendorOptions = {}) {
  const calls: Call[] = [];
  const parameters = Type.Object({ Target: Type.Optional(Type.String()) });
  const action = (lane: Lane, mutexKey: readonly string[] = []) =>
    ({ title: lane, parameters, idempotency: 'natural', cancellable: true, lane, mutexKey }) as const;
  const provider = defineProvider({
    manifest: {
      vendor: 'Limited',
      provider: 'Limited',
      version: '1.0.0',
      rateLimits: windows,
      settings: Type.Object({}),
      actions: {
        Release: action('release'),
        Contain: action('containment'),
        Routine: action('routine'),
        AtTarget: action('containment', ['Target']),
      },
    },
    execute: async ({ actionId, tenantId }, request) => {
      const call: Call = {
        actionId,
        tenantId,
        lane: LANE_OF[request.action],
        startedAt: performance.now(),
        endedAt: 0,
      };
      calls.push(call);
      const outcome = (await execute?.()) ?? ({ kind: 'completed' } as const);
      call.endedAt = performance.now();
      return outcome;
    },
    poll: () => Promise.resolve({ kind: 'pending', operation: { id: 'one' }, nextPollMs: 100 }),
    cancel: () => Promise.resolve('cancelled'),
  });
  const instance = `limited-${randomUUID().slice(0, 8)}`;
  const registry = new ProviderRegistry(
    [{ id: instance, plugin: 'limited', tenants: ['*'], settings: {}, secrets: {}, concurrency }],
    { limited: provider },
  );
  const url = inject('redisUrl');
  const queue = new BullActionQueue(url, [instance], silent);
  onTestFinished(() => queue.close());
  const permitsOf = async () => {
    const permits = new RedisVendorPermits({
      redis: url,
      quotas: quotasOf(registry),
      recentCalls: database.recentCalls,
      records: database.instances,
      onError: silent,
    });
    onTestFinished(() => permits.close());
    await permits.ready();
    return permits;
  };
  const permits = await permitsOf();
  const start = async (): Promise<void> => {
    for (let index = 0; index < workers; index += 1) {
      const own = index === 0 ? permits : await permitsOf();
      const runner = new RunAction({
        store: database.actions,
        queue,
        registry,
        permits: own,
        calls: new InstanceCalls({ permits: own, log }),
        seal: SEAL,
        log,
        workerId: `worker-${index}`,
      });
      const consumer = new HintConsumer({
        redis: url,
        instances: [{ id: instance, concurrency }],
        handle: (hint, signal) => runner.look(hint, signal),
        onCancel: (actionId) => runner.hearCancel(actionId),
        onError: silent,
        onHintFailed: silent,
      });
      onTestFinished(() => consumer.stop(0, 1000));
      await consumer.ready();
    }
  };
  const submit = async (actionName: keyof typeof LANE_OF, more: Partial<NewAction> = {}): Promise<string> => {
    const lane = LANE_OF[actionName];
    const { id, tenantId } = await database.actions.create(
      newAction({ instance, actionName, name: actionName, parameters: [], lane, ...more }),
    );
    await eventually(() => queue.hint({ actionId: id, tenantId, instance, lane, actionName, epoch: 0 }));
    return id;
  };
  const statusOf = async (id: string) => (await database.actions.find(CALLER.tenantId, id))?.status;
  const sweep = new Sweep({ store: database.actions, queue, permits, log });
  return { instance, calls, permits, queue, start, submit, statusOf, sweep };
}

const LANE_OF = {
  Release: 'release',
  Contain: 'containment',
  Routine: 'routine',
  AtTarget: 'containment',
} as const;
const RANK = { release: 0, containment: 1, routine: 2 };
const callerOf = (tenantId: string) => ({ ...CALLER, tenantId });

describe('actions at a vendor with a quota', () => {
  it('all run, within every window, in the order of their lanes', async () => {
    const windows = [
      { calls: 20, perSeconds: 1 },
      { calls: 50, perSeconds: 3 },
    ];
    const { calls, start, submit } = await vendor({ windows, concurrency: 4, workers: 2 });
    const names = ['Routine', 'Contain', 'Release'] as const;
    const all = await Promise.all(
      Array.from({ length: 75 }, (_, index) =>
        submit(names[index % 3] ?? 'Routine', { caller: callerOf(index % 2 === 0 ? TENANT_A : TENANT_B) }),
      ),
    );
    await start();
    await eventually(() => calls.length >= all.length, 30_000);
    expect(new Set(calls.map(({ actionId }) => actionId)).size).toBe(75);
    expect(calls).toHaveLength(75);
    for (const { calls: most, perSeconds } of windows)
      for (const { startedAt } of calls)
        expect(
          calls.filter(
            (call) => call.startedAt >= startedAt && call.startedAt < startedAt + perSeconds * 1000,
          ).length,
        ).toBeLessThanOrEqual(most);
    // What two workers have in hand starts side by side: four starts each, and four releases.
    const order = calls.map(({ lane }) => RANK[lane]);
    const late = order.filter((rank, index) => order.slice(index + 16).some((later) => later < rank));
    expect(late).toEqual([]);
  }, 60_000);

  it('can be cancelled while its quota for starts is used up', async () => {
    const { start, submit, statusOf, queue } = await vendor({
      windows: [{ calls: 5, perSeconds: 600 }],
      execute: () => Promise.resolve({ kind: 'pending', operation: { id: 'one' }, nextPollMs: 600_000 }),
    });
    const ids: string[] = [];
    for (let index = 0; index < 6; index += 1) ids.push(await submit('Contain'));
    await start();
    await eventually(
      async () => (await Promise.all(ids.map(statusOf))).filter((one) => one === 'Running').length === 4,
    );
    const running = (await Promise.all(ids.map(async (id) => [id, await statusOf(id)] as const))).find(
      ([, status]) => status === 'Running',
    )?.[0];
    const cancel = new CancelAction({ store: database.actions, queue, log });
    expect(await cancel.cancel(CALLER, running ?? '')).toMatchObject({ kind: 'requested' });
    await eventually(async () => (await statusOf(running ?? '')) === 'Failed');
  }, 30_000);

  it('show what they wait for, and are not started while their instance is paused', async () => {
    const { instance, calls, permits, start, submit, sweep, statusOf } = await vendor();
    await database.instances.pause(instance, CALLER, 'maintenance');
    await permits.announce(instance);
    await start();
    const [id, release] = [await submit('Routine'), await submit('Release')];
    await eventually(async () => {
      await sweep.pass();
      const [one, other] = await Promise.all(
        [id, release].map((each) => database.actions.find(CALLER.tenantId, each)),
      );
      return one?.phase === 'throttled' && other?.phase === 'throttled';
    });
    expect(await database.actions.find(CALLER.tenantId, id)).toMatchObject({
      status: 'NotStarted',
      waiting: { reason: 'paused', until: null, blockedBy: null },
    });
    expect(calls).toHaveLength(0);
    await database.instances.resume(instance);
    await permits.announce(instance);
    await eventually(async () => (await statusOf(id)) === 'Completed', 4000);
    expect(await database.actions.find(CALLER.tenantId, id)).toMatchObject({ waiting: null });
  }, 30_000);

  it('of a tenant with few do not wait behind those of one with many', async () => {
    const { calls, start, submit } = await vendor({ concurrency: 1 });
    const many = Array.from({ length: 200 }, () => submit('Routine', { caller: callerOf(TENANT_A) }));
    await Promise.all(many);
    await submit('Routine', { caller: callerOf(TENANT_B) });
    await start();
    await eventually(() => calls.length > 20);
    expect(calls.findIndex(({ tenantId }) => tenantId === TENANT_B)).toBeLessThan(5);
  }, 30_000);
});

describe('actions at one target', () => {
  it('run one at a time, in the order they were asked for, whichever worker runs them', async () => {
    const { calls, start, submit, statusOf, sweep } = await vendor({
      workers: 2,
      execute: async () => {
        await new Promise((resolve) => setTimeout(resolve, 15));
        return { kind: 'completed' };
      },
    });
    const mutexKey = `host-${randomUUID()}`;
    const ids: string[] = [];
    for (let index = 0; index < 12; index += 1) ids.push(await submit('AtTarget', { mutexKey }));
    const beside = await submit('AtTarget', { mutexKey: `host-${randomUUID()}` });
    await start();
    await eventually(async () => {
      await sweep.pass();
      return (await Promise.all([...ids, beside].map(statusOf))).every((status) => status === 'Completed');
    }, 30_000);
    const here = calls.filter(({ actionId }) => actionId !== beside);
    expect(here.map(({ actionId }) => actionId)).toEqual(ids);
    for (const [index, call] of here.entries())
      expect(call.startedAt).toBeGreaterThanOrEqual(here[index - 1]?.endedAt ?? 0);
  }, 60_000);

  it('go on when the worker of the one before died, as soon as its lease is over', async () => {
    const { calls, start, submit, statusOf, sweep } = await vendor();
    const mutexKey = `host-${randomUUID()}`;
    const first = await submit('AtTarget', { mutexKey });
    const second = await submit('AtTarget', { mutexKey });
    // A worker that was killed: nobody beats for its claim, and nobody ends it.
    const dead = await database.actions.claim(first, 'killed', 600, '1.0.0', { inTurn: true });
    expect(dead.kind).toBe('claimed');
    await start();
    await eventually(
      async () => (await database.actions.find(CALLER.tenantId, second))?.phase === 'throttled',
    );
    expect(calls).toHaveLength(0);
    await eventually(async () => {
      await sweep.pass();
      return (await Promise.all([first, second].map(statusOf))).every((status) => status === 'Completed');
    }, 20_000);
    expect(calls.map(({ actionId }) => actionId)).toEqual([first, second]);
  }, 30_000);

  it("do not tell a tenant the id of another tenant's action that they wait for", async () => {
    const { start, submit } = await vendor({
      execute: () => Promise.resolve({ kind: 'pending', operation: { id: 'one' }, nextPollMs: 600_000 }),
    });
    const mutexKey = `host-${randomUUID()}`;
    await submit('AtTarget', { mutexKey, caller: callerOf(TENANT_A) });
    const second = await submit('AtTarget', { mutexKey, caller: callerOf(TENANT_B) });
    await start();
    await eventually(async () => (await database.actions.find(TENANT_B, second))?.phase === 'throttled');
    expect(await database.actions.find(TENANT_B, second)).toMatchObject({
      waiting: { reason: 'targetBusy', blockedBy: null },
    });
  }, 30_000);

  it('say which of them they wait for, and go on when that one is cancelled', async () => {
    const { start, submit, statusOf, queue } = await vendor({
      execute: () => Promise.resolve({ kind: 'pending', operation: { id: 'one' }, nextPollMs: 600_000 }),
    });
    const mutexKey = `host-${randomUUID()}`;
    const first = await submit('AtTarget', { mutexKey });
    const second = await submit('AtTarget', { mutexKey });
    await start();
    await eventually(
      async () => (await database.actions.find(CALLER.tenantId, second))?.phase === 'throttled',
    );
    expect(await database.actions.find(CALLER.tenantId, second)).toMatchObject({
      status: 'NotStarted',
      waiting: { reason: 'targetBusy', blockedBy: first },
    });
    await new CancelAction({ store: database.actions, queue, log }).cancel(CALLER, first);
    await eventually(async () => (await statusOf(second)) === 'Running');
  }, 30_000);
});
