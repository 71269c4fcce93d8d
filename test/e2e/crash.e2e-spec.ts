import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Client, NativeAction } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import type { ProductProcess } from '../support/product-process.js';
import { Stack } from '../support/stack.js';

let stack: Stack;
let client: Client;

beforeAll(async () => {
  stack = await Stack.start({
    config: `
providers:
  - id: mock
    plugin: mock
    attemptTimeoutMs: 600000
`,
  });
  client = await stack.client();
  // Each test starts its own.
  await Promise.all(stack.workers.map((one) => one.end()));
  stack.workers.length = 0;
});
afterAll(() => stack.stop());
afterEach(async () => {
  for (const one of stack.workers) one.signal('SIGCONT');
  await Promise.all(stack.workers.map((one) => one.end()));
  stack.workers.length = 0;
});

async function worker(): Promise<ProductProcess> {
  const started = stack.startWorker();
  await started.ready();
  return started;
}

const executing = (id: string): Promise<NativeAction> => client.inPhase(id, 'executing');

describe('a worker that is killed', () => {
  it('is followed by another, which polls what is known to run at the vendor', async () => {
    const first = await worker();
    const id = await client.act('LongRunning', { durationMs: 3000 });
    await client.inPhase(id, 'waitingOnVendor');
    await first.end('SIGKILL');
    await worker();
    const action = await client.ended(id, 40_000);
    expect(action.status).toBe('Completed');
    expect(action.attempts).toHaveLength(1);
  });

  it('in the middle of a call loses its lease; the action is issued again, for it is idempotent, and ends', async () => {
    const first = await worker();
    const id = await client.act('Hang');
    await executing(id);
    await first.end('SIGKILL');
    await worker();
    await eventually(async () => (await client.native(id)).status === 'Running');
    // The next worker hangs in the same call; a cancel reaches it.
    const second = stack.workers.at(-1);
    await eventually(() => second?.log.some(({ msg }) => msg === 'taken over') === true, 40_000);
    await client.cancel(id);
    expect(await client.ended(id)).toMatchObject({ status: 'Failed', phase: 'cancelledAtProvider' });
  });
});

describe('a worker that is paused past its lease', () => {
  it('changes nothing when it goes on', async () => {
    const paused = await worker();
    const id = await client.act('Hang');
    await executing(id);
    paused.signal('SIGSTOP');
    const other = await worker();
    await eventually(() => other.log.some(({ msg }) => msg === 'taken over'), 40_000);
    await client.cancel(id);
    const ended = await client.ended(id);
    paused.signal('SIGCONT');
    // It serves again: proof that it had its turn, and that the record stayed as it was.
    const next = await client.act('BlockIp', { IP: '1.2.3.4' });
    await client.ended(next);
    await eventually(
      () => paused.log.some(({ msg, actionId }) => msg === 'lease lost' && actionId === id),
      40_000,
    );
    expect(await client.native(id)).toEqual(ended);
  });
});

describe('a cancel of what a worker is doing right now', () => {
  it('reaches the plugin within a second, also from another process', async () => {
    await worker();
    const id = await client.act('Hang');
    await executing(id);
    const asked = performance.now();
    await client.cancel(id);
    await client.ended(id);
    // Its signal reaches the plugin at once; the heartbeat alone would take up to five seconds.
    expect(performance.now() - asked).toBeLessThan(4000);
  });
});

describe('a worker that is asked to stop', () => {
  it('takes nothing new, hands over what it cannot finish, and ends by itself', async () => {
    const first = await worker();
    const id = await client.act('Hang');
    await executing(id);
    const second = await worker();
    expect(await first.end('SIGTERM')).toBe(0);
    await eventually(() => second.log.some(({ msg }) => msg === 'taken over'), 5000);
    await client.cancel(id);
    expect(await client.ended(id)).toMatchObject({ status: 'Failed', errorInfo: { code: 499 } });
  });
});

describe('the API process', () => {
  it('answers the requests under way before it ends', async () => {
    await worker();
    const answers = Array.from({ length: 20 }, () => client.act('BlockIp', { IP: '1.2.3.4' }));
    await answers[0];
    const ended = stack.api.end('SIGTERM');
    const settled = await Promise.allSettled(answers);
    expect(await ended).toBe(0);
    const { api } = stack;
    stack.api = await stack.startApi();
    expect(api.running).toBe(false);
    for (const answer of settled)
      if (answer.status === 'fulfilled') expect((await client.ended(answer.value)).status).toBe('Completed');
    expect(settled.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0);
  });
});
