import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import { isFinal, isUnresolved, type Idempotency, type SecurityAction } from '#domain';
import { ProviderRegistry, RunAction } from '#engine';
import type { Database } from '#persistence';
import { PluginDied, ProviderError, Type, defineProvider, type StepOutcome } from '#provider-sdk';
import { BullActionQueue } from '#queue';
import { createLogger } from '#telemetry';
import { claimOf, CALLER, freshDatabase, newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { SEAL } from '../support/secrets.js';

let database: Database;
beforeAll(async () => {
  database = await freshDatabase();
});

interface Course {
  readonly idempotency: Idempotency;
  /** What each call of the plugin does; the last one goes on for ever. */
  readonly calls: readonly (() => StepOutcome)[];
  /** Workers that die on it, one after the other, before one lives. */
  readonly deaths?: number;
}

/** How an action ends that takes this course. */
async function endOf({ idempotency, calls, deaths = 0 }: Course): Promise<SecurityAction> {
  let called = 0;
  const next = (): Promise<StepOutcome> =>
    new Promise((resolve) => {
      const call = calls[Math.min(called, calls.length - 1)];
      called += 1;
      if (call === undefined) throw new Error('the plugin was not to be called');
      resolve(call());
    });
  const provider = defineProvider({
    manifest: {
      vendor: 'Odd',
      provider: 'Odd',
      version: '1.0.0',
      settings: Type.Object({}),
      actions: { Do: { title: 'Do', parameters: Type.Object({}), idempotency, cancellable: false } },
    },
    execute: next,
    poll: next,
    reconcile: () => Promise.resolve({ kind: 'cannotTell' }),
    cancel: () => Promise.resolve('notSupported'),
  });
  const instance = `odd-${randomUUID().slice(0, 8)}`;
  const registry = new ProviderRegistry(
    [{ id: instance, plugin: 'odd', tenants: ['*'], settings: {}, secrets: {}, concurrency: 4 }],
    { odd: provider },
  );
  const queue = new BullActionQueue(inject('redisUrl'), [instance], () => undefined);
  onTestFinished(() => queue.close());
  const store = database.actions;
  const log = createLogger('riposte-test', 'silent');
  const runner = new RunAction({ store, queue, registry, seal: SEAL, log, workerId: 'test' });
  const { id } = await store.create(
    newAction({ instance, actionName: 'Do', name: 'Do', parameters: [], idempotency }),
  );
  for (let death = 0; death < deaths; death += 1)
    await eventually(() => claimOf(store.claim(id, `dead/${death}`, 1, '1.0.0')));
  return eventually(async () => {
    await runner.look(
      { actionId: id, instance, actionName: '', why: 'follow', isRelease: false, polls: true },
      new AbortController().signal,
    );
    const action = await store.find(CALLER.tenantId, id);
    return action !== null && isFinal(action.status) && action;
  }, 30_000) as Promise<SecurityAction>;
}

const noAnswer = (): never => {
  throw new ProviderError('unknownOutcome', 'no answer');
};
const defect = (): never => {
  throw new TypeError('a bug');
};
const refused = (): never => {
  throw new ProviderError('auth', 'the key was revoked');
};

describe('an action of which nobody can say whether it was applied', () => {
  it.each<[string, Course, object]>([
    [
      'no answer came back and it cannot be repeated',
      { idempotency: 'none', calls: [noAnswer] },
      { phase: 'outcomeUnknown', errorInfo: { code: 520 } },
    ],
    [
      'the plugin failed unexpectedly',
      { idempotency: 'natural', calls: [defect] },
      { phase: 'failed', errorInfo: { code: 500 } },
    ],
    [
      'workers died on it after it was issued',
      { idempotency: 'natural', calls: [], deaths: 6 },
      { phase: 'poisoned', errorInfo: { code: 500 } },
    ],
    [
      "the plugin's process ended on it again and again",
      {
        idempotency: 'key',
        calls: Array.from({ length: 5 }, () => () => {
          throw new PluginDied('unknownOutcome', 'it exited');
        }),
      },
      { phase: 'poisoned', errorInfo: { code: 500 } },
    ],
    [
      'no answer came back, and then its repeat was refused',
      { idempotency: 'key', calls: [noAnswer, refused] },
      { phase: 'outcomeUnknown', errorInfo: { code: 520 } },
    ],
  ])('is left to be resolved: %s', async (_why, course, end) => {
    const action = await endOf(course);
    expect(action).toMatchObject({ status: 'Failed', ...end });
    expect(action.attempts.at(-1)?.outcome).toBe('unknown');
    expect(isUnresolved(action)).toBe(true);
  });
});

describe('an action that is known not to have been applied', () => {
  it.each<[string, Course, object]>([
    [
      'the provider refused it',
      { idempotency: 'natural', calls: [refused] },
      { phase: 'failed', errorInfo: { code: 401 } },
    ],
    [
      'workers died on it before it was issued',
      { idempotency: 'none', calls: [], deaths: 6 },
      { phase: 'poisoned', errorInfo: { code: 500 } },
    ],
    [
      'no answer came back, its repeat was taken, and then the provider said that it failed',
      {
        idempotency: 'key',
        calls: [
          noAnswer,
          () => ({ kind: 'pending', operation: { id: 'op' }, nextPollMs: 50 }),
          () => ({ kind: 'failed', error: new ProviderError('permanent', 'no such machine') }),
        ],
      },
      { phase: 'failed', errorInfo: { code: 502 } },
    ],
  ])('is left to nobody: %s', async (_why, course, end) => {
    const action = await endOf(course);
    expect(action).toMatchObject({ status: 'Failed', ...end });
    expect(isUnresolved(action)).toBe(false);
  });
});
