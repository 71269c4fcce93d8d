import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import { ProviderRegistry, RunAction } from '#engine';
import type { Database } from '#persistence';
import { Type, defineProvider } from '#provider-sdk';
import { BullActionQueue } from '#queue';
import { createLogger } from '#telemetry';
import { CALLER, freshDatabase, newAction } from '../support/database.js';
import { SEAL } from '../support/secrets.js';

let database: Database;
beforeAll(async () => {
  database = await freshDatabase();
});

/** The record after one look at an action whose plugin answers so. */
async function after(answer: () => unknown, idempotency: 'natural' | 'none' = 'natural') {
  const provider = defineProvider({
    manifest: {
      vendor: 'Odd',
      provider: 'Odd',
      version: '1.0.0',
      settings: Type.Object({}),
      actions: { Do: { title: 'Do', parameters: Type.Object({}), idempotency, cancellable: false } },
    },
    execute: () => Promise.resolve(answer() as never),
    poll: () => Promise.resolve(answer() as never),
    cancel: () => Promise.resolve('notSupported'),
  });
  const instance = `odd-${randomUUID().slice(0, 8)}`;
  const registry = new ProviderRegistry(
    [{ id: instance, plugin: 'odd', tenants: ['*'], settings: {}, secrets: {}, concurrency: 4 }],
    { odd: provider },
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
  const { id } = await database.actions.create(
    newAction({ instance, actionName: 'Do', name: 'Do', parameters: [], idempotency }),
  );
  await runner.look(
    { actionId: id, instance, actionName: '', why: 'follow', isRelease: false, polls: true },
    new AbortController().signal,
  );
  return database.actions.find(CALLER.tenantId, id);
}

describe('what a plugin answers', () => {
  it('is kept as its result', async () => {
    expect(await after(() => ({ kind: 'completed', result: { id: 7 } }))).toMatchObject({
      status: 'Completed',
      result: { id: 7 },
    });
  });

  const cyclic: Record<string, unknown> = {};
  cyclic['self'] = cyclic;
  const nested = (levels: number): unknown => JSON.parse('{"a":'.repeat(levels) + '1' + '}'.repeat(levels));
  const nul = { fine: [{ 'a\0b': 1 }] };

  it('is kept as deep as 100 levels, whatever its keys are', async () => {
    const result = { deep: nested(99), $set: 1, 'a.b': '\0', '': [{ $literal: '$id' }] };
    expect(await after(() => ({ kind: 'completed', result }))).toMatchObject({ status: 'Completed', result });
  });

  it.each([
    ['too large', 'x'.repeat(20_000_000), /is over the limit of 262144/],
    ['cyclic', cyclic, /was no JSON/],
    ['a bigint', 7n, /was no JSON/],
    ['nested too deep', nested(101), /is nested deeper than 100 levels/],
    ['nested deeper than anybody reads', nested(20_000), /was no JSON|nested deeper/],
    ['of a key that MongoDB refuses', nul, /has a key with a NUL/],
  ])(
    'is recorded as completed where its result is %s, with a note in its place',
    async (_name, result, note) => {
      const action = await after(() => ({ kind: 'completed', result }));
      expect(action).toMatchObject({
        status: 'Completed',
        result: { omitted: expect.stringMatching(note) as string },
      });
    },
  );

  it.each([
    ['nothing', undefined],
    ['an unknown kind', { kind: 'done' }],
    ['a text', 'completed'],
    ['an operation without an id', { kind: 'pending', operation: {} }],
    ['an operation that is no JSON', { kind: 'pending', operation: { id: 'a', state: 7n } }],
    ['an operation that is too deep', { kind: 'pending', operation: { id: 'a', state: nested(100) } }],
    [
      'an operation that is too large',
      { kind: 'pending', operation: { id: 'a', state: 'x'.repeat(20_000) } },
    ],
  ])('ends the action as a defect at once where it is %s', async (_name, answer) => {
    const action = await after(() => answer);
    expect(action).toMatchObject({ status: 'Failed', phase: 'failed', errorInfo: { code: 500 } });
    expect(action?.errorInfo?.message).toContain('may have taken effect');
  });

  it.each([NaN, 'soon', null])(
    'is asked about again soon where the time to poll is %s',
    async (nextPollMs) => {
      const action = await after(() => ({ kind: 'pending', operation: { id: 'op' }, nextPollMs }));
      expect(action).toMatchObject({ status: 'Running', phase: 'waitingOnVendor' });
      const inMs = (action?.nextAt?.getTime() ?? NaN) - Date.now();
      expect(inMs).toBeGreaterThan(-5000);
      expect(inMs).toBeLessThan(5000);
    },
  );

  it('ends as outcome unknown where it is nonsense and a repeat could do harm', async () => {
    expect(await after(() => undefined, 'none')).toMatchObject({
      status: 'Failed',
      phase: 'outcomeUnknown',
      errorInfo: { code: 520 },
    });
  });
});
