import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import type { ActionStore, SecurityAction } from '#domain';
import { ProviderRegistry, RunAction } from '#engine';
import type { Database } from '#persistence';
import { ProviderError, Type, defineProvider, type ExecutionContext, type StepOutcome } from '#provider-sdk';
import { BullActionQueue } from '#queue';
import { createLogger } from '#telemetry';
import { CALLER, claimOf, freshDatabase, newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { SEAL } from '../support/secrets.js';

let database: Database;
beforeAll(async () => {
  database = await freshDatabase();
});

/** One action, at a plugin that does what it is given. */
async function site(
  steps: readonly ((context: ExecutionContext) => Promise<StepOutcome>)[],
  { leaseMs = 15_000, around = {} }: { leaseMs?: number; around?: Partial<ActionStore> } = {},
) {
  let called = 0;
  const provider = defineProvider({
    manifest: {
      vendor: 'Steps',
      provider: 'Steps',
      version: '1.0.0',
      settings: Type.Object({}),
      actions: {
        Do: { title: 'Do', parameters: Type.Object({}), idempotency: 'natural', cancellable: false },
      },
    },
    execute: (context) => {
      const step = steps[Math.min(called, steps.length - 1)];
      called += 1;
      if (step === undefined) throw new Error('no step');
      return step(context);
    },
    cancel: () => Promise.resolve('notSupported'),
  });
  const instance = `steps-${randomUUID().slice(0, 8)}`;
  const registry = new ProviderRegistry(
    [{ id: instance, plugin: 'steps', tenants: ['*'], settings: {}, secrets: {}, concurrency: 4 }],
    { steps: provider },
  );
  const queue = new BullActionQueue(inject('redisUrl'), [instance], () => undefined);
  onTestFinished(() => queue.close());
  const store = database.actions;
  const log = createLogger('riposte-test', 'silent');
  const watched = new Proxy<ActionStore>(store, {
    get: (real, name) => {
      const value: unknown = Reflect.get(around, name) ?? Reflect.get(real, name);
      return typeof value === 'function' ? (value.bind(real) as unknown) : value;
    },
  });
  const runner = new RunAction({
    store: watched,
    queue,
    registry,
    seal: SEAL,
    log,
    workerId: randomUUID(),
    leaseMs,
  });
  const { id } = await store.create(newAction({ instance, actionName: 'Do', name: 'Do', parameters: [] }));
  const find = async (): Promise<SecurityAction> => {
    const action = await store.find(CALLER.tenantId, id);
    if (action === null) throw new Error('gone');
    return action;
  };
  const look = () =>
    runner.look(
      { actionId: id, instance, actionName: '', why: 'follow', isRelease: false, polls: true },
      new AbortController().signal,
    );
  const until = (isSo: (action: SecurityAction) => boolean): Promise<SecurityAction> =>
    eventually(async () => {
      await look();
      const action = await find();
      return isSo(action) && action;
    }) as Promise<SecurityAction>;
  return { id, store, find, look, until };
}

describe('a heartbeat of a plugin', () => {
  it('shows its progress while it works', async () => {
    let go: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (go = resolve));
    const { find, look } = await site([
      async (context) => {
        await context.heartbeat({ progress: { done: 1, of: 3 } });
        await held;
        return { kind: 'completed' };
      },
    ]);
    const looked = look();
    expect(await eventually(async () => (await find()).progress)).toEqual({ done: 1, of: 3 });
    go();
    await looked;
    expect(await find()).toMatchObject({ status: 'Completed' });
  });

  it('keeps what is too large for a record out of it, and says so', async () => {
    const { look, find } = await site([
      async (context) => {
        await context.heartbeat({ progress: 'x'.repeat(20_000) });
        return { kind: 'completed' };
      },
    ]);
    await look();
    expect(JSON.stringify((await find()).progress)).toContain('of 20002 bytes is over the limit');
  });

  it('is refused once another worker has taken over, and so is what the plugin ends with', async () => {
    const seen: unknown[] = [];
    let go: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (go = resolve));
    const { id, store, look, find } = await site(
      [
        async (context) => {
          await held;
          await context.heartbeat({ progress: 'mine' }).catch((error: unknown) => seen.push(error));
          await context.saveOperation({ id: 'mine' }).catch((error: unknown) => seen.push(error));
          return { kind: 'completed', result: 'mine' };
        },
      ],
      {
        leaseMs: 300,
        around: {
          // The engine's own heartbeats hang, as on a link that went bad; the plugin's comes through.
          renew: (lease, leaseMs, report) =>
            report?.progress === undefined
              ? new Promise(() => undefined)
              : database.actions.renew(lease, leaseMs, report),
        },
      },
    );
    const looked = look();
    await eventually(async () => (await find()).owner);
    await eventually(() => claimOf(store.claim(id, 'other', 15_000, '1.0.0')));
    go();
    await looked;
    expect(seen).toEqual([expect.any(Error), expect.any(Error)]);
    expect(await find()).toMatchObject({ status: 'Running', owner: 'other', progress: null, result: null });
  });
});

describe('a checkpoint', () => {
  it('reaches the next attempt, whether it followed a failure of unknown outcome or one not applied', async () => {
    const courses = (['unknownOutcome', 'transient'] as const).map(async (errorClass) => {
      const found: unknown[] = [];
      const { until } = await site([
        async (context) => {
          found.push(context.lastCheckpoint);
          await context.heartbeat({ checkpoint: { page: 3 } });
          throw new ProviderError(errorClass, 'not yet');
        },
        (context) => {
          found.push(context.lastCheckpoint);
          return Promise.resolve({ kind: 'completed' });
        },
      ]);
      await until(({ status }) => status === 'Completed');
      return found;
    });
    for (const found of await Promise.all(courses)) expect(found).toEqual([null, { page: 3 }]);
  });

  it('that could not be kept rejects, so that nothing is done that counts on it', async () => {
    const seen: unknown[] = [];
    const { until } = await site(
      [
        async (context) => {
          await context.heartbeat({ progress: 'shown in vain' });
          await context.heartbeat({ checkpoint: 'sending' }).catch((error: unknown) => seen.push(error));
          return { kind: 'completed' };
        },
      ],
      { around: { renew: () => Promise.reject(new Error('the database is away')) } },
    );
    await until(({ status }) => status === 'Completed');
    expect(seen).toMatchObject([{ errorClass: 'unknownOutcome' }]);
  });

  it('reaches the worker that takes over from one that died', async () => {
    const found: unknown[] = [];
    const { id, store, until } = await site([
      (context) => {
        found.push(context.lastCheckpoint);
        return Promise.resolve({ kind: 'completed' });
      },
    ]);
    const dead = await claimOf(store.claim(id, 'dead/1', 300, '1.0.0'));
    if (dead === null) throw new Error('not claimed');
    await store.renew(dead.lease, 1, { checkpoint: 'half' });
    await until(({ status }) => status === 'Completed');
    expect(found).toEqual(['half']);
  });
});

describe('the time of issue', () => {
  it('is that of the first of the attempts that may have been applied', async () => {
    const found: (Date | null)[] = [];
    const { until } = await site([
      ({ issuedAt }) => {
        found.push(issuedAt);
        throw new ProviderError('unknownOutcome', 'no answer');
      },
      ({ issuedAt }) => {
        found.push(issuedAt);
        throw new ProviderError('transient', 'away');
      },
      ({ issuedAt }) => {
        found.push(issuedAt);
        return Promise.resolve({ kind: 'completed' });
      },
    ]);
    const { createdAt } = await until(({ status }) => status === 'Completed');
    const [first, second, third] = found;
    expect(first).toBeInstanceOf(Date);
    expect(first?.getTime()).toBeGreaterThanOrEqual(createdAt.getTime() - 100);
    expect([second, third]).toEqual([first, first]);
  });
});
