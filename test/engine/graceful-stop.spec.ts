import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import type { Idempotency } from '#domain';
import { ProviderRegistry, RunAction } from '#engine';
import type { Database } from '#persistence';
import { Type, defineProvider } from '#provider-sdk';
import { BullActionQueue } from '#queue';
import { createLogger } from '#telemetry';
import { claimOf, CALLER, freshDatabase, newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { SEAL } from '../support/secrets.js';

let database: Database;
beforeAll(async () => {
  database = await freshDatabase();
});

/** A worker with one permit, at a provider whose calls end when they are told to. */
function worker(idempotency: Idempotency) {
  const calls: (() => void)[] = [];
  const provider = defineProvider({
    manifest: {
      vendor: 'Slow',
      provider: 'Slow',
      version: '1.0.0',
      settings: Type.Object({}),
      actions: { Do: { title: 'Do', parameters: Type.Object({}), idempotency, cancellable: false } },
    },
    execute: () => new Promise((resolve) => calls.push(() => resolve({ kind: 'completed' }))),
    cancel: () => Promise.resolve('notSupported'),
  });
  const instance = `slow-${randomUUID().slice(0, 8)}`;
  const registry = new ProviderRegistry(
    [{ id: instance, plugin: 'slow', tenants: ['*'], settings: {}, secrets: {}, concurrency: 1 }],
    { slow: provider },
  );
  const queue = new BullActionQueue(inject('redisUrl'), [instance], () => undefined);
  onTestFinished(() => queue.close());
  const log = createLogger('riposte-test', 'silent');
  const runner = new RunAction({
    store: database.actions,
    queue,
    registry,
    seal: SEAL,
    log,
    workerId: 'test',
  });
  const create = async (): Promise<string> => {
    const { id } = await database.actions.create(
      newAction({ instance, actionName: 'Do', name: 'Do', parameters: [], idempotency }),
    );
    return id;
  };
  const look = (actionId: string) =>
    runner.look(
      { actionId, instance, actionName: '', why: 'follow', isRelease: false, polls: true },
      new AbortController().signal,
    );
  return { runner, calls, create, look };
}

describe('a worker that is about to stop', () => {
  it('lets the call under way end, and leaves what comes then to others', async () => {
    const { runner, calls, create, look } = worker('none');
    const [first, second] = [await create(), await create()];
    const running = look(first);
    await eventually(() => calls.length === 1);
    runner.drain();
    const waiting = look(second);
    calls[0]?.();
    await running;
    expect(await database.actions.find(CALLER.tenantId, first)).toMatchObject({ status: 'Completed' });
    expect(await waiting).toEqual({ lookAgainMs: 0 });
    expect(await database.actions.find(CALLER.tenantId, second)).toMatchObject({
      status: 'NotStarted',
      epoch: 0,
    });
    expect(calls).toHaveLength(1);
  });

  it.each(['natural', 'none'] as const)(
    'hands over what it has claimed and not issued (%s)',
    async (idempotency) => {
      const { runner, calls, create, look } = worker(idempotency);
      const claim = database.actions.claim.bind(database.actions);
      vi.spyOn(database.actions, 'claim').mockImplementationOnce(async (...claimed) => {
        const answer = await claim(...claimed);
        runner.drain();
        return answer;
      });
      const id = await create();
      await look(id);
      expect(calls).toHaveLength(0);
      expect(await database.actions.find(CALLER.tenantId, id)).toMatchObject({
        status: 'Running',
        owner: null,
        intent: null,
        crashes: 0,
      });
      const next = await claimOf(database.actions.claim(id, 'another', 1000, '1.0.0'));
      expect(next?.action.epoch).toBe(2);
    },
  );
});
