import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import type { PermitAnswer, PermitRequest, SecurityAction } from '#domain';
import { CancelAction, InstanceCalls, ProviderRegistry, RunAction } from '#engine';
import type { Database } from '#persistence';
import { ProviderError, Type, defineProvider, type StepOutcome } from '#provider-sdk';
import { BullActionQueue } from '#queue';
import { createLogger } from '#telemetry';
import { CALLER, freshDatabase, newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { SEAL } from '../support/secrets.js';

let database: Database;
beforeAll(async () => {
  database = await freshDatabase();
});

const log = createLogger('riposte-test', 'silent');
type Answers = (ids: readonly string[], signal: AbortSignal) => Promise<ReadonlyMap<string, StepOutcome>>;

const completed: Answers = (ids) =>
  Promise.resolve(new Map(ids.map((id) => [id, { kind: 'completed' } as const])));

/** A worker at a provider whose every action is pending, and that is asked about many at once. */
function site(
  answers: Answers,
  options: { readonly nextPollMs?: number; readonly calls?: InstanceCalls } = {},
) {
  /** The actions that each call asked about. */
  const asked: (readonly string[])[] = [];
  const cancelled: string[] = [];
  const { nextPollMs = 50, calls } = options;
  const provider = defineProvider({
    manifest: {
      vendor: 'Many',
      provider: 'Many',
      version: '1.0.0',
      settings: Type.Object({}),
      actions: {
        Do: { title: 'Do', parameters: Type.Object({}), idempotency: 'natural', cancellable: true },
      },
    },
    execute: ({ actionId }) =>
      Promise.resolve({ kind: 'pending', operation: { id: `op-${actionId}` }, nextPollMs }),
    poll: () => Promise.reject(new Error('pollMany goes before poll')),
    pollMany: ({ signal }, pending) => {
      const ids = pending.map(({ actionId, operation, request }) => {
        expect(operation.id).toBe(`op-${actionId}`);
        expect(request).toEqual({ action: 'Do', parameters: {} });
        return actionId;
      });
      asked.push(ids);
      return answers(ids, signal);
    },
    cancel: ({ actionId }) => {
      cancelled.push(actionId);
      return Promise.resolve('cancelled');
    },
  });
  const instance = `many-${randomUUID().slice(0, 8)}`;
  const registry = new ProviderRegistry(
    [{ id: instance, plugin: 'many', tenants: ['*'], settings: {}, secrets: {}, concurrency: 20 }],
    { many: provider },
  );
  const queue = new BullActionQueue(inject('redisUrl'), [instance], () => undefined);
  onTestFinished(() => queue.close());
  const store = database.actions;
  const runner = new RunAction({
    store,
    queue,
    registry,
    seal: SEAL,
    log,
    workerId: 'test',
    ...(calls === undefined ? {} : { calls }),
  });
  const look = (actionId: string, signal = new AbortController().signal) =>
    runner.look({ actionId, instance, actionName: '', why: 'follow', isRelease: false, polls: true }, signal);
  const find = async (id: string): Promise<SecurityAction> => {
    const action = await store.find(CALLER.tenantId, id);
    if (action === null) throw new Error(`${id} is gone`);
    return action;
  };
  /** So many actions at the vendor. */
  const started = (count: number): Promise<readonly string[]> =>
    Promise.all(
      Array.from({ length: count }, async () => {
        const { id } = await store.create(
          newAction({ instance, actionName: 'Do', name: 'Do', parameters: [] }),
        );
        await look(id);
        return id;
      }),
    );
  /** The same, due to be asked about. */
  const begun = async (count: number): Promise<readonly string[]> => {
    const ids = await started(count);
    await eventually(async () => {
      const due = await Promise.all(ids.map(find));
      return due.every(({ nextAt }) => (nextAt?.getTime() ?? Infinity) < Date.now() - 20);
    });
    return ids;
  };
  return { asked, cancelled, store, queue, runner, look, find, started, begun };
}

describe('a plugin that can be asked about many', () => {
  it('is asked once about all that are due together', async () => {
    const { asked, look, find, begun } = site(completed);
    const ids = await begun(12);
    await Promise.all(ids.map((id) => look(id)));
    expect(asked.map((group) => group.length)).toEqual([12]);
    expect(new Set(asked[0])).toEqual(new Set(ids));
    for (const id of ids) expect(await find(id)).toMatchObject({ status: 'Completed' });
  });

  it('is asked about those that come meanwhile by the next call, not beside it', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const { asked, look, begun } = site(async (ids, signal) => {
      await held;
      return completed(ids, signal);
    });
    const [first = '', ...others] = await begun(6);
    const looked = [look(first)];
    await eventually(() => asked.length === 1);
    looked.push(...others.map((id) => look(id)));
    // Their turn would have come, if there were no call under way.
    await eventually(async () => {
      const actions = await Promise.all(others.map((id) => database.actions.find(CALLER.tenantId, id)));
      return actions.every((action) => action?.owner !== null);
    });
    expect(asked).toHaveLength(1);
    release();
    await Promise.all(looked);
    expect(asked.map((group) => group.length)).toEqual([1, 5]);
  });

  it('and leaves one out, or says something that is no outcome of it, is asked about that one again', async () => {
    const { asked, look, find, begun } = site((ids) =>
      Promise.resolve(
        new Map(
          ids
            .slice(1)
            .map((id, index) => [
              id,
              (index === 0 ? { kind: 'what' } : { kind: 'completed' }) as StepOutcome,
            ]),
        ),
      ),
    );
    const ids = await begun(3);
    await Promise.all(ids.map((id) => look(id)));
    const [left = '', odd = '', told = ''] = asked[0] ?? [];
    expect(await find(told)).toMatchObject({ status: 'Completed' });
    for (const id of [left, odd])
      expect(await find(id)).toMatchObject({ status: 'Running', phase: 'waitingOnVendor', owner: null });
  });

  it('and fails, has failed for all of them: an error that may pass is asked past', async () => {
    const { asked, look, find, begun } = site(() => Promise.reject(new ProviderError('transient', 'away')));
    const ids = await begun(3);
    await Promise.all(ids.map((id) => look(id)));
    expect(asked.map((group) => group.length)).toEqual([3]);
    for (const id of ids) expect(await find(id)).toMatchObject({ phase: 'waitingOnVendor', owner: null });
  });

  it('and says that it may not ask of any, ends none: credentials can be mended', async () => {
    const { look, find, begun } = site(() => Promise.reject(new ProviderError('auth', 'revoked')));
    const [id = ''] = await begun(1);
    await look(id);
    expect(await find(id)).toMatchObject({ phase: 'waitingOnVendor', owner: null });
  });

  it('that returns no map is asked again', async () => {
    const { look, find, begun } = site(() => Promise.resolve({} as ReadonlyMap<string, StepOutcome>));
    const [id = ''] = await begun(1);
    await look(id);
    expect(await find(id)).toMatchObject({ phase: 'waitingOnVendor', owner: null });
  });

  it('keeps none of them from being cancelled while the call is under way', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const { asked, cancelled, look, find, begun, queue, store, runner } = site(async (ids, signal) => {
      await held;
      return completed(ids, signal);
    });
    const ids = await begun(2);
    const [unwanted = '', wanted = ''] = ids;
    const looked = ids.map((id) => look(id));
    await eventually(() => asked.length === 1);
    expect(await new CancelAction({ store, queue, log }).cancel(CALLER, unwanted)).toMatchObject({
      kind: 'requested',
    });
    runner.hearCancel(unwanted);
    await looked[0];
    expect(await find(unwanted)).toMatchObject({ status: 'Failed', phase: 'cancelledAtProvider' });
    expect(cancelled).toEqual([unwanted]);
    release();
    await Promise.all(looked);
    expect(await find(wanted)).toMatchObject({ status: 'Completed' });
  });

  it('is stopped when nobody waits for it any more, and the actions are handed over', async () => {
    let stopped = false;
    const { asked, look, find, begun } = site(
      (_ids, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            stopped = true;
            reject(signal.reason as Error);
          });
        }),
    );
    const ids = await begun(2);
    const shutdown = new AbortController();
    const looked = ids.map((id) => look(id, shutdown.signal));
    await eventually(() => asked.length === 1);
    shutdown.abort();
    await Promise.all(looked);
    await eventually(() => stopped);
    for (const id of ids) expect(await find(id)).toMatchObject({ status: 'Running', owner: null });
  });

  it('has its polls come due together, at most a quarter later than it asked for', async () => {
    const asked = 1_800_000;
    const { started, find } = site(completed, { nextPollMs: asked });
    const before = Date.now();
    const due = (await Promise.all((await started(3)).map(find))).map(({ nextAt }) => nextAt?.getTime() ?? 0);
    // A power of two of milliseconds, a quarter of the delay at most; the writes took some of them.
    const grid = 2 ** 18;
    for (const at of due) {
      expect(at % grid).toBeLessThan(5000);
      expect(at - before).toBeGreaterThan(asked - 5000);
      expect(at - before).toBeLessThan(asked * 1.25 + 10_000);
    }
  });

  it('takes one permit of the quota for all of them', async () => {
    const taken: PermitRequest[] = [];
    const settled: (number | undefined)[] = [];
    const { asked, look, begun } = site(completed, {
      calls: limitedBy((request) => {
        taken.push(request);
        return {
          kind: 'granted',
          permit: { spend: () => Promise.resolve(), settle: (made) => void settled.push(made) },
        };
      }),
    });
    const ids = await begun(4);
    await Promise.all(ids.map((id) => look(id)));
    expect(asked.map((group) => group.length)).toEqual([4]);
    expect(taken).toMatchObject([{ purpose: 'poll', calls: 1, actionName: 'Do' }]);
    expect(settled).toEqual([1]);
  });

  it('is not asked while the quota does not allow it', async () => {
    const { asked, look, find, begun } = site(completed, {
      calls: limitedBy(() => ({ kind: 'wait', reason: 'quota', waitMs: 60_000 })),
    });
    const [id = ''] = await begun(1);
    await look(id);
    expect(asked).toEqual([]);
    expect(await find(id)).toMatchObject({ phase: 'waitingOnVendor', owner: null });
  });
});

function limitedBy(take: (request: PermitRequest) => PermitAnswer): InstanceCalls {
  const permits = {
    take: (request: PermitRequest) => Promise.resolve(take(request)),
    note: () => undefined,
    vendorBusy: () => undefined,
  };
  return new InstanceCalls({ log, permits });
}
