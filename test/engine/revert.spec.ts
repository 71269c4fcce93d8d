import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import {
  OperationalError,
  UserError,
  isFinal,
  isUnresolved,
  type ActionStore,
  type EffectRecord,
  type NewAction,
  type SecurityAction,
} from '#domain';
import { CancelAction, LiftEffects, ProviderRegistry, RevertAction, RunAction, Sweep } from '#engine';
import { connectDatabase, type Database } from '#persistence';
import {
  PluginDied,
  ProviderError,
  Type,
  defineProvider,
  type CompletedAction,
  type ExecutionContext,
  type StepOutcome,
} from '#provider-sdk';
import { BullActionQueue } from '#queue';
import { createLogger } from '#telemetry';
import { plugins } from '#plugins';
import { CALLER, TENANT_B, claimOf, freshDatabaseUri, newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { SEAL } from '../support/secrets.js';
import { startMockVendor } from '../simulators/mock-vendor/start.js';

let database: Database;
let connection: mongoose.Connection;
beforeAll(async () => {
  const uri = freshDatabaseUri();
  database = await connectDatabase(uri, { appName: 'riposte-test' });
  connection = await mongoose.createConnection(uri).asPromise();
});
afterAll(async () => {
  await connection.close();
  await database.close();
});

const log = createLogger('riposte-test', 'silent');

type Undo = (context: ExecutionContext, done: CompletedAction<{ action: string }>) => StepOutcome;
const noAnswer = (): never => {
  throw new ProviderError('unknownOutcome', 'no answer');
};
const refused: Undo = () => {
  throw new ProviderError('permission', 'not allowed');
};
const undone: Undo = () => ({ kind: 'completed', result: { undone: true } });

interface Site {
  readonly execute?: (attempt: number) => StepOutcome;
  readonly onExecute?: (request: object) => void;
  /** What each call of the plugin's `revert` does; the last one goes on for ever. */
  readonly reverts?: readonly Undo[];
  readonly poll?: () => StepOutcome;
  readonly revertible?: boolean;
}

/** An installation with one worker. */
function site({ execute, onExecute, reverts = [undone], poll, revertible = true }: Site = {}) {
  const calls: CompletedAction<{ action: string }>[] = [];
  const polls: string[] = [];
  const provider = defineProvider({
    manifest: {
      vendor: 'Odd',
      provider: 'Odd',
      version: '1.0.0',
      settings: Type.Object({}),
      actions: {
        Block: {
          title: 'Block',
          parameters: Type.Object({ IP: Type.String() }),
          idempotency: 'none',
          cancellable: true,
          lane: 'containment',
          mutexKey: ['IP'],
          revertible,
        },
      },
    },
    execute: async ({ attempt }, request) => {
      onExecute?.(request);
      return execute?.(attempt) ?? { kind: 'completed', result: { rule: 7 }, effect: { changed: true } };
    },
    poll: (_context, operation) => {
      polls.push(operation.id);
      return Promise.resolve(poll?.() ?? { kind: 'completed' });
    },
    cancel: () => Promise.reject(new Error('an undoing is not cancelled at the vendor')),
    revert: (context, done) => {
      calls.push(done);
      const step = reverts[Math.min(calls.length, reverts.length) - 1] ?? undone;
      return new Promise((resolve) => resolve(step(context, done)));
    },
  });
  return { calls, polls, ...installation(provider) };
}

function installation(provider: ReturnType<typeof defineProvider>, settings = {}) {
  const instance = `odd-${randomUUID().slice(0, 8)}`;
  const registry = new ProviderRegistry(
    [
      {
        id: instance,
        plugin: 'odd',
        tenants: ['*'],
        settings,
        secrets: {},
        concurrency: 4,
        network: { allow: ['127.0.0.0/8'], ports: [] },
      },
    ],
    { odd: provider },
  );
  const queue = new BullActionQueue(inject('redisUrl'), [instance], () => undefined);
  onTestFinished(() => queue.close());
  const store = database.actions;
  const runner = new RunAction({ store, queue, registry, seal: SEAL, log, workerId: 'test' });
  const admission = { admit: () => Promise.resolve() };
  const revertFor = (around: Partial<ActionStore> = {}, parts = {}) =>
    new RevertAction({ store: wrapped(store, around), queue, registry, admission, log, ...parts });
  const find = async (id: string): Promise<SecurityAction> => {
    const action = await store.find(CALLER.tenantId, id);
    if (action === null) throw new Error(`${id} is gone`);
    return action;
  };
  const look = (actionId: string) =>
    runner.look(
      { actionId, instance, actionName: '', why: 'follow', isRelease: false, polls: true },
      new AbortController().signal,
    );
  const run = (id: string): Promise<SecurityAction> =>
    eventually(async () => {
      await look(id);
      const action = await find(id);
      return isFinal(action.status) && action;
    }, 20_000) as Promise<SecurityAction>;
  const create = (overrides: Partial<NewAction> = {}): Promise<SecurityAction> =>
    store.create(
      newAction({
        instance,
        actionName: 'Block',
        name: 'block',
        parameters: [{ name: 'ip', value: '192.0.2.1' }],
        mutexKey: JSON.stringify([instance, '"192.0.2.1"']),
        idempotency: 'none',
        ...overrides,
      }),
    );
  const done = async (overrides: Partial<NewAction> = {}): Promise<SecurityAction> =>
    run((await create(overrides)).id);
  /** A pass of a process of its own over the effects of this test. */
  const lift = async (around: Partial<ActionStore> = {}, parts = {}): Promise<void> =>
    new LiftEffects({
      lifts: {
        due: async (limit) => {
          const due = await database.lifts.due(limit);
          const ours = await Promise.all(due.map(async ({ id }) => (await find(id)).instance === instance));
          return due.filter((_one, index) => ours[index]);
        },
        postpone: (...given) => database.lifts.postpone(...given),
      },
      store,
      revert: revertFor(around, parts),
      log,
      retryMs: () => 0,
    }).pass();
  return { instance, registry, store, queue, runner, revertFor, find, look, run, create, done, lift };
}

function wrapped(store: ActionStore, around: Partial<ActionStore>): ActionStore {
  return new Proxy(store, {
    get: (real, name) => {
      const value: unknown = Reflect.get(around, name) ?? Reflect.get(real, name);
      return typeof value === 'function' ? (value.bind(real) as unknown) : value;
    },
  });
}

async function refusal(call: Promise<unknown>): Promise<UserError> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(UserError);
  return error as UserError;
}

const actions = () =>
  connection.collection<{
    _id: mongoose.mongo.UUID;
    liftAt?: Date;
    liftTries?: number;
    reverts?: string;
    keptUntil?: Date;
  }>('actions');
const idOf = (id: string) => ({ _id: new mongoose.mongo.UUID(id) });

/** As if they had been recorded, and asked to be undone, long ago. */
async function unkept(...ids: readonly string[]): Promise<void> {
  for (const id of ids) await actions().updateOne(idOf(id), { $set: { keptUntil: new Date(1) } });
}

/** What retention would remove that leaves nothing that has ended. */
const expired = async (): Promise<readonly string[]> =>
  (await database.retention.expired(CALLER.tenantId, 0, 1000, null)).ids;

describe('reverting a completed action', () => {
  it('makes another that undoes it, in the lane of releases, at the same target', async () => {
    const { done, revertFor, run, find, calls } = site();
    const original = await done();
    const { action, repeated } = await revertFor().revert(CALLER, original.id);
    expect(repeated).toBe(false);
    expect(action).toMatchObject({
      name: 'Revert block',
      actionName: 'Block',
      status: 'NotStarted',
      reverts: original.id,
      lane: 'release',
      idempotency: 'natural',
      mutexKey: original.mutexKey,
      parameters: original.parameters,
      vendorInformation: original.vendorInformation,
    });
    expect(await run(action.id)).toMatchObject({ status: 'Completed', result: { undone: true } });
    expect(calls).toEqual([
      {
        action: 'Block',
        parameters: { IP: '192.0.2.1' },
        actionId: original.id,
        completedAt: original.completedAt,
        result: { rule: 7 },
        effect: { changed: true },
      },
    ]);
    const { revertedBy, ...rest } = await find(original.id);
    expect(revertedBy).toBe(action.id);
    expect(rest).toEqual({ ...original, revertedBy: undefined });
  });

  it('comes to one action, however often and at whatever same time it is asked for', async () => {
    const { done, revertFor, run, calls } = site();
    const { id } = await done();
    const asked = await Promise.all(Array.from({ length: 8 }, () => revertFor().revert(CALLER, id)));
    expect(new Set(asked.map(({ action }) => action.id)).size).toBe(1);
    expect(asked.filter(({ repeated }) => !repeated)).toHaveLength(1);
    await run(asked[0]?.action.id ?? '');
    expect(await revertFor().revert(CALLER, id)).toMatchObject({
      repeated: true,
      action: { status: 'Completed' },
    });
    expect(calls).toHaveLength(1);
  });

  it('is gone on with under the same id when the first request died between its two writes', async () => {
    const { done, revertFor, find, run } = site();
    const { id } = await done();
    const dies = revertFor({ create: () => Promise.reject(new Error('killed')) });
    await expect(dies.revert(CALLER, id)).rejects.toThrow('killed');
    const { revertedBy } = await find(id);
    await unkept(id);
    const again = await revertFor().revert(CALLER, id);
    expect(again).toMatchObject({ repeated: true, action: { id: revertedBy } });
    // Retention that had looked before leaves what is undone now.
    expect(await database.retention.remove(CALLER.tenantId, 0, [id])).toBe(0);
    expect(await run(again.action.id)).toMatchObject({ status: 'Completed' });
  });

  it('can be asked for anew after it failed, and not before', async () => {
    const { done, revertFor, find, run } = site({ reverts: [refused, undone] });
    const { id } = await done();
    const first = await revertFor().revert(CALLER, id);
    expect(await revertFor().revert(CALLER, id)).toMatchObject({ repeated: true });
    expect(await run(first.action.id)).toMatchObject({ status: 'Failed', errorInfo: { code: 403 } });
    const second = await revertFor().revert(CALLER, id);
    expect(second.repeated).toBe(false);
    expect(second.action.id).not.toBe(first.action.id);
    expect(await run(second.action.id)).toMatchObject({ status: 'Completed' });
    expect((await find(id)).revertedBy).toBe(second.action.id);
  });

  it.each<[string, Undo, string]>([
    ['undone', undone, 'Completed'],
    ['refused', refused, 'Failed'],
  ])('stays on record as long as what it undoes: %s, it cannot be made again', async (_end, undo, status) => {
    const { done, revertFor, run } = site({ reverts: [undo] });
    const original = await done();
    const { action } = await revertFor().revert(CALLER, original.id);
    expect(await run(action.id)).toMatchObject({ status });
    await unkept(original.id, action.id);
    await eventually(async () => {
      const ids = await expired();
      expect(ids).not.toContain(action.id);
      return ids.includes(original.id);
    });
    expect(await database.retention.remove(CALLER.tenantId, 0, [original.id])).toBe(1);
    await eventually(async () => (await expired()).includes(action.id));
  });

  it('has what it undoes on record until it has ended', async () => {
    const { done, revertFor, run, calls } = site();
    const { id } = await done();
    await eventually(async () => (await expired()).includes(id));
    const { action } = await revertFor().revert(CALLER, id);
    expect(await database.retention.remove(CALLER.tenantId, 0, [id])).toBe(0);
    await unkept(id);
    expect(await expired()).not.toContain(id);
    expect(await run(action.id)).toMatchObject({ status: 'Completed' });
    expect(calls).toHaveLength(1);
    expect(await expired()).toContain(id);
  });

  it('writes nothing when too many wait for the instance', async () => {
    const { done, revertFor, find } = site();
    const { id } = await done();
    const full = { admit: () => Promise.reject(new OperationalError('tooManyRequests', 'full', 5)) };
    await expect(revertFor({}, { admission: full }).revert(CALLER, id)).rejects.toThrow('full');
    expect((await find(id)).revertedBy).toBeNull();
  });

  it('gives the plugin what it said it changed', async () => {
    const effect: EffectRecord = {
      changed: true,
      previous: { rule: 'allow' },
      ids: ['r1'],
      expiresAt: '2030-01-01T00:00:00Z',
    };
    const { done, revertFor, run, calls } = site({ execute: () => ({ kind: 'completed', effect }) });
    const original = await done();
    expect(original.effect).toEqual(effect);
    await run((await revertFor().revert(CALLER, original.id)).action.id);
    expect(calls).toMatchObject([{ effect }]);
  });
});

describe('a revert is refused in words', () => {
  it('for an action that is not completed, is one itself, cannot be undone, or has lost its provider', async () => {
    const { create, done, revertFor, run } = site();
    const open = await create();
    expect(await refusal(revertFor().revert(CALLER, open.id))).toMatchObject({
      code: 'notAllowed',
      message: `Action ${open.id} cannot be reverted: it is NotStarted; only what is Completed can be.`,
    });
    const original = await done();
    const { action } = await revertFor().revert(CALLER, original.id);
    await run(action.id);
    const twice = await refusal(revertFor().revert(CALLER, action.id));
    expect(twice).toMatchObject({ code: 'notAllowed' });
    expect(twice.message).toContain(`it is itself the revert of ${original.id}`);
    const another = new ProviderRegistry([], {});
    const gone = await refusal(revertFor({}, { registry: another }).revert(CALLER, original.id));
    expect(gone.message).toContain('is not configured any more');
    const fixed = site({ revertible: false });
    const kept = await fixed.done();
    expect((await refusal(fixed.revertFor().revert(CALLER, kept.id))).message).toContain(
      'Block of Mock cannot be undone',
    );
  });

  it('as not found, to another tenant and for no id at all', async () => {
    const { done, revertFor, find } = site();
    const { id } = await done();
    const other = { ...CALLER, tenantId: TENANT_B };
    expect(await refusal(revertFor().revert(other, id))).toMatchObject({ code: 'itemNotFound' });
    expect(await refusal(revertFor().revert(CALLER, 'nothing'))).toMatchObject({ code: 'itemNotFound' });
    expect((await find(id)).revertedBy).toBeNull();
  });
});

describe('a revert under way', () => {
  it('is polled like any other operation', async () => {
    const { done, revertFor, run, polls } = site({
      reverts: [() => ({ kind: 'pending', operation: { id: 'undoing' }, nextPollMs: 50 })],
    });
    const { action } = await revertFor().revert(CALLER, (await done()).id);
    expect(await run(action.id)).toMatchObject({ status: 'Completed' });
    expect(polls).toEqual(['undoing']);
  });

  it('is issued again after its answer was lost, or its worker died, for undoing twice does no harm', async () => {
    const lost: Undo = () => {
      throw new ProviderError('unknownOutcome', 'no answer');
    };
    const { done, revertFor, run, store, calls } = site({ reverts: [lost, undone] });
    const { action } = await revertFor().revert(CALLER, (await done()).id);
    const dead = await claimOf(store.claim(action.id, 'dead/1', 1, '1.0.0'));
    expect(dead?.freshIntent).toBe(true);
    const end = await run(action.id);
    expect(end).toMatchObject({
      status: 'Completed',
      attempts: [{ outcome: 'unknown' }, { outcome: 'completed' }],
    });
    expect(calls).toHaveLength(2);
  });

  it("is not issued for ever where it ends the plugin's process: after the fifth time it is left to people", async () => {
    const dies: Undo = () => {
      throw new PluginDied('unknownOutcome', 'it exited');
    };
    const { done, revertFor, run, calls } = site({ reverts: [dies] });
    const { id } = await done();
    const { action } = await revertFor().revert(CALLER, id);
    const ended = await run(action.id);
    expect(ended).toMatchObject({ status: 'Failed', phase: 'poisoned', errorInfo: { code: 500 } });
    expect(ended.attempts.map(({ outcome }) => outcome)).toEqual(Array(5).fill('unknown'));
    expect(calls).toHaveLength(5);
    expect(isUnresolved(ended)).toBe(true);
  });

  it('can be cancelled before it is issued, and then asked for again', async () => {
    const { done, revertFor, store, queue, find } = site();
    const { id } = await done();
    const first = await revertFor().revert(CALLER, id);
    const cancel = new CancelAction({ store, queue, log });
    expect(await cancel.cancel(CALLER, first.action.id)).toMatchObject({ kind: 'cancelled' });
    expect(await find(first.action.id)).toMatchObject({ status: 'Failed', phase: 'cancelled' });
    expect(await revertFor().revert(CALLER, id)).toMatchObject({ repeated: false });
  });

  it('is not cancelled at the vendor: it ends as what really happened', async () => {
    const { done, revertFor, run, look, store, queue } = site({
      reverts: [() => ({ kind: 'pending', operation: { id: 'undoing' } })],
    });
    const { action } = await revertFor().revert(CALLER, (await done()).id);
    await look(action.id);
    expect(await new CancelAction({ store, queue, log }).cancel(CALLER, action.id)).toMatchObject({
      kind: 'requested',
    });
    expect(await run(action.id)).toMatchObject({ status: 'Completed', cancel: { outcome: 'notSupported' } });
  });

  it('fails in words when what it undoes is not on record any more', async () => {
    const { create, run, calls } = site();
    const reverts = randomUUID();
    const { id } = await create({ reverts, idempotency: 'natural' });
    const end = await run(id);
    expect(end).toMatchObject({ status: 'Failed', phase: 'failed' });
    expect(end.errorInfo?.message).toContain(
      `Action ${reverts}, which it undoes, is not on record any more.`,
    );
    expect(isUnresolved(end)).toBe(false);
    expect(calls).toEqual([]);
  });
});

/** As if the time had come to look at it again. */
async function comeDue(id: string): Promise<void> {
  await actions().updateOne({ ...idOf(id), liftAt: { $exists: true } }, { $set: { liftAt: new Date(1) } });
}

const revertsOf = (id: string): Promise<number> => actions().countDocuments({ reverts: id });
const isToBeLifted = async (id: string): Promise<boolean> =>
  (await actions().findOne(idOf(id)))?.liftAt !== undefined;

const soon = (ms = 3_600_000): Date => new Date(Date.now() + ms);
const over = (): Date => new Date(Date.now() - 1000);

describe('an effect whose time is over', () => {
  it('is lifted by a revert of the same application, which says why', async () => {
    const { done, lift, find, run, calls } = site();
    const { id } = await done({ effectUntil: over() });
    await lift();
    const { revertedBy } = await find(id);
    const revert = await run(revertedBy ?? '');
    expect(revert).toMatchObject({
      status: 'Completed',
      reverts: id,
      lane: 'release',
      tenantId: CALLER.tenantId,
      appId: CALLER.appId,
      user: null,
      actionReason: `Undoes action ${id}: the effect's time is over.`,
      effectUntil: null,
    });
    await comeDue(id);
    await lift();
    expect(await isToBeLifted(id)).toBe(false);
    expect(calls).toHaveLength(1);
  });

  it('stays until then, and so does one that has no end', async () => {
    const { done, lift, find } = site();
    const [later, never] = [await done({ effectUntil: soon() }), await done()];
    await lift();
    expect((await find(later.id)).revertedBy).toBeNull();
    expect([await isToBeLifted(later.id), await isToBeLifted(never.id)]).toEqual([true, false]);
  });

  it('is told to the plugin, for a vendor that keeps to it by itself', async () => {
    const requests: unknown[] = [];
    const { done } = site({ onExecute: (request) => requests.push(request) });
    const effectUntil = soon();
    await done({ effectUntil });
    await done();
    expect(requests).toEqual([
      { action: 'Block', parameters: { IP: '192.0.2.1' }, effectUntil },
      { action: 'Block', parameters: { IP: '192.0.2.1' } },
    ]);
  });

  it('is lifted when the action has completed, where that came later', async () => {
    const { create, look, run, lift, find } = site({
      execute: () => ({ kind: 'pending', operation: { id: 'slow' }, nextPollMs: 50 }),
    });
    const { id } = await create({ effectUntil: over() });
    await look(id);
    await lift();
    expect(await find(id)).toMatchObject({ status: 'Running', revertedBy: null });
    expect(await run(id)).toMatchObject({ status: 'Completed' });
    await lift();
    expect((await find(id)).revertedBy).not.toBeNull();
  });

  it('is not lifted where the action failed', async () => {
    const { create, run, lift, find } = site({
      execute: () => ({ kind: 'failed', error: new ProviderError('permission', 'no') }),
    });
    const { id } = await create({ effectUntil: over() });
    await run(id);
    await lift();
    expect((await find(id)).revertedBy).toBeNull();
    expect(await isToBeLifted(id)).toBe(false);
  });

  it('is lifted where nobody could say whether it was applied, and somebody found that it was', async () => {
    const { create, run, lift, find, store, revertFor, calls } = site({ execute: noAnswer });
    const [applied, not] = [await create({ effectUntil: over() }), await create({ effectUntil: over() })];
    for (const { id } of [applied, not]) {
      expect(await run(id)).toMatchObject({ phase: 'outcomeUnknown' });
      await lift();
      // Nobody knows whether there is anything to be lifted.
      expect((await find(id)).revertedBy).toBeNull();
      await expect(revertFor().revert(CALLER, id)).rejects.toMatchObject({
        code: 'notAllowed',
        message: expect.stringMatching(/nobody can say whether it was applied.*resolve it/) as string,
      });
    }
    await store.resolve(CALLER, applied.id, { verdict: 'applied', note: 'seen' });
    await store.resolve(CALLER, not.id, { verdict: 'notApplied', note: 'looked' });
    await lift();
    expect(await run((await find(applied.id)).revertedBy ?? '')).toMatchObject({ status: 'Completed' });
    expect(calls).toMatchObject([{ actionId: applied.id, effect: null }]);
    expect([await revertsOf(applied.id), await revertsOf(not.id)]).toEqual([1, 0]);
    await comeDue(applied.id);
    await lift();
    expect(await isToBeLifted(applied.id)).toBe(false);
  });

  it('is lifted once, by however many processes at the same time', async () => {
    const { done, lift, run, find, calls } = site();
    const { id } = await done({ effectUntil: over() });
    await Promise.all(Array.from({ length: 8 }, () => lift()));
    expect(await revertsOf(id)).toBe(1);
    await run((await find(id)).revertedBy ?? '');
    expect(calls).toHaveLength(1);
  });

  it('is lifted once, wherever a process dies', async () => {
    const { done, lift, run, find, calls } = site();
    const { id } = await done({ effectUntil: over() });
    const killed = (): Promise<never> => Promise.reject(new Error('killed'));
    await lift({ reserveRevert: killed });
    expect((await find(id)).revertedBy).toBeNull();
    await comeDue(id);
    await lift({ create: killed });
    const { revertedBy } = await find(id);
    expect(await revertsOf(id)).toBe(0);
    await comeDue(id);
    await lift();
    expect((await find(id)).revertedBy).toBe(revertedBy);
    await run(revertedBy ?? '');
    await comeDue(id);
    await lift();
    expect(await revertsOf(id)).toBe(1);
    expect(calls).toHaveLength(1);
  });

  it('is lifted however many wait for the instance', async () => {
    const { done, lift, find } = site();
    const { id } = await done({ effectUntil: over() });
    const full = { admit: () => Promise.reject(new OperationalError('tooManyRequests', 'full', 5)) };
    await lift({}, { admission: full });
    expect((await find(id)).revertedBy).not.toBeNull();
  });

  it('is tried again after its revert failed, five times, and then left to people', async () => {
    const { done, lift, run, find, calls } = site({ reverts: [refused] });
    const { id } = await done({ effectUntil: over() });
    for (let tries = 1; tries <= 5; tries += 1) {
      await comeDue(id);
      await lift();
      expect(await revertsOf(id)).toBe(tries);
      await run((await find(id)).revertedBy ?? '');
    }
    await comeDue(id);
    await lift();
    expect(await revertsOf(id)).toBe(5);
    expect(calls).toHaveLength(5);
    expect(await isToBeLifted(id)).toBe(false);
    // What everybody sees of it: its time is over, and what was to lift it failed.
    const { revertedBy, effectUntil } = await find(id);
    expect(effectUntil?.getTime()).toBeLessThan(Date.now());
    expect(await find(revertedBy ?? '')).toMatchObject({ status: 'Failed' });
  });

  it('is tried later where its provider is not configured just now', async () => {
    const { done, lift, find } = site();
    const { id } = await done({ effectUntil: over() });
    await lift({}, { registry: new ProviderRegistry([], {}) });
    expect((await find(id)).revertedBy).toBeNull();
    await comeDue(id);
    await lift();
    expect((await find(id)).revertedBy).not.toBeNull();
  });

  it('is tried later by the clock of the database, however wrong that of the process is', async () => {
    const { done, lift } = site();
    const { id } = await done({ effectUntil: over() });
    const clock = vi.spyOn(Date, 'now').mockReturnValue(Date.UTC(2060, 0));
    onTestFinished(() => clock.mockRestore());
    await lift({}, { registry: new ProviderRegistry([], {}) });
    expect((await actions().findOne(idOf(id)))?.liftAt?.getTime()).toBeLessThan(Date.UTC(2059, 0));
  });

  it('can be lifted earlier by anybody, and is not lifted again at its time', async () => {
    const { done, revertFor, lift, run, calls } = site();
    const { id } = await done({ effectUntil: soon() });
    await run((await revertFor().revert(CALLER, id)).action.id);
    await comeDue(id);
    await lift();
    expect(await isToBeLifted(id)).toBe(false);
    expect(await revertsOf(id)).toBe(1);
    expect(calls).toHaveLength(1);
  });

  it('stays until its time when an earlier revert was cancelled, and is lifted then', async () => {
    const { done, revertFor, lift, store, queue, find } = site();
    const { id } = await done({ effectUntil: soon() });
    const early = await revertFor().revert(CALLER, id);
    await new CancelAction({ store, queue, log }).cancel(CALLER, early.action.id);
    await comeDue(id);
    await lift();
    expect(await revertsOf(id)).toBe(1);
    expect(await isToBeLifted(id)).toBe(true);
    await actions().updateOne(idOf(id), { $set: { liftAt: over(), effectUntil: over() } });
    await lift();
    expect(await revertsOf(id)).toBe(2);
    expect((await find(id)).revertedBy).not.toBe(early.action.id);
  });

  it('stays when somebody cancels the revert that was to lift it', async () => {
    const { done, lift, store, queue, find } = site();
    const { id } = await done({ effectUntil: over() });
    await lift();
    const { revertedBy } = await find(id);
    await new CancelAction({ store, queue, log }).cancel(CALLER, revertedBy ?? '');
    await comeDue(id);
    await lift();
    expect(await revertsOf(id)).toBe(1);
    expect(await isToBeLifted(id)).toBe(false);
  });

  it('keeps its action on record until then', async () => {
    const { done, revertFor, run, lift } = site();
    const { id } = await done({ effectUntil: soon() });
    expect(await database.retention.remove(CALLER.tenantId, 0, [id])).toBe(0);
    expect(await expired()).not.toContain(id);
    await run((await revertFor().revert(CALLER, id)).action.id);
    await comeDue(id);
    await lift();
    await unkept(id);
    await eventually(async () => (await expired()).includes(id));
  });

  it('is looked at by the sweep, also while Redis is away', async () => {
    const { done, lift, find, store, queue } = site();
    const { id } = await done({ effectUntil: over() });
    const away = Object.assign(Object.create(queue) as BullActionQueue, {
      incarnation: () => Promise.resolve(null),
    });
    await new Sweep({ store, queue: away, log, lifts: { pass: () => lift() } }).pass();
    expect((await find(id)).revertedBy).not.toBeNull();
  });
});

describe('what an action changed', () => {
  it.each<[string, unknown]>([
    ['says nothing of whether it changed anything', { previous: 1 }],
    ['has ids that are no texts', { changed: true, ids: [1] }],
    ['has an end that is no time', { changed: true, expiresAt: 'soon' }],
    ['is larger than 64 KiB', { changed: true, previous: 'x'.repeat(70_000) }],
    ['is no JSON', { changed: true, previous: 10n }],
  ])('is not kept when the plugin’s effect %s, and the action ends all the same', async (_what, effect) => {
    const { done } = site({ execute: () => ({ kind: 'completed', effect: effect as EffectRecord }) });
    expect(await done()).toMatchObject({ status: 'Completed', effect: null });
  });

  it('is not known where an attempt before may have done it, so that its undoing is not skipped', async () => {
    const { done } = site({
      execute: (attempt) => {
        if (attempt === 1) throw new ProviderError('unknownOutcome', 'no answer');
        return { kind: 'completed', effect: { changed: false } };
      },
    });
    expect(await done({ idempotency: 'natural' })).toMatchObject({ status: 'Completed', effect: null });
    const plain = site({ execute: () => ({ kind: 'completed', effect: { changed: false } }) });
    expect(await plain.done()).toMatchObject({ effect: { changed: false } });
  });
});

describe('the mock provider', () => {
  it('undoes a block at its vendor, once, and leaves alone what it did not change', async () => {
    const vendor = await startMockVendor('natural');
    onTestFinished(() => vendor.stop());
    const { mock } = plugins;
    if (mock === undefined) throw new Error('no mock');
    const { done, revertFor, run } = installation(mock, { baseUrl: vendor.baseUrl });
    const block = {
      actionName: 'BlockIp',
      name: 'BlockIp',
      parameters: [{ name: 'IP', value: '192.0.2.9' }],
    };
    const [first, second] = [await done(block), await done(block)];
    expect([first.effect?.changed, second.effect?.changed]).toEqual([true, false]);
    const idle = await run((await revertFor().revert(CALLER, second.id)).action.id);
    expect(idle).toMatchObject({ status: 'Completed', effect: { changed: false } });
    expect(vendor.ledger().map(({ event }) => event)).toEqual(['executed']);
    await vendor.behave({ cancelReset: 0.5 });
    const real = await run((await revertFor().revert(CALLER, first.id)).action.id);
    expect(real).toMatchObject({ status: 'Completed', effect: { changed: true } });
    expect(vendor.ledger().map(({ event }) => event)).toEqual(['executed', 'undone']);
  });
});
