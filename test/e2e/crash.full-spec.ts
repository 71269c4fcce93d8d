import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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

async function endWorkers(): Promise<void> {
  for (const one of stack.workers) one.signal('SIGCONT');
  await Promise.all(stack.workers.map((one) => one.end()));
  stack.workers.length = 0;
}

async function worker(): Promise<ProductProcess> {
  const started = stack.startWorker();
  await started.ready();
  return started;
}

const executing = (id: string): Promise<NativeAction> => client.inPhase(id, 'executing');

describe('a worker that is killed', () => {
  afterAll(endWorkers);

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
});

describe('in the middle of a call', () => {
  interface Held {
    readonly worker: ProductProcess;
    readonly id: string;
  }

  let stopped: Held;
  let exitCode: Promise<number | null>;
  let killed: Held;
  let paused: Held;

  /** A worker of its own with an action that it is at: those before it take nothing new. */
  async function atWork(): Promise<Held> {
    const started = await worker();
    const id = await client.act('Hang');
    await executing(id);
    return { worker: started, id };
  }

  const takenOver = (held: Held, timeoutMs: number): Promise<unknown> =>
    eventually(
      () =>
        stack.workers.some(({ log }) =>
          log.some(({ msg, actionId }) => msg === 'taken over' && actionId === held.id),
        ),
      timeoutMs,
    );

  // Leases and the time to drain pass for all three at once.
  beforeAll(async () => {
    stopped = await atWork();
    exitCode = stopped.worker.end('SIGTERM');
    killed = await atWork();
    await killed.worker.end('SIGKILL');
    paused = await atWork();
    paused.worker.signal('SIGSTOP');
    await worker();
  });
  afterAll(endWorkers);

  it('a worker that is asked to stop hands over what it cannot finish, and ends by itself', async () => {
    expect(await exitCode).toBe(0);
    // Its lease would be over later.
    await takenOver(stopped, 5000);
    // The next worker hangs in the same call; a cancel reaches it.
    await client.cancel(stopped.id);
    expect(await client.ended(stopped.id)).toMatchObject({ status: 'Failed', errorInfo: { code: 499 } });
  });

  it('one that is killed loses its lease; the action is issued again, for it is idempotent, and ends', async () => {
    await takenOver(killed, 40_000);
    expect((await client.native(killed.id)).status).toBe('Running');
    await client.cancel(killed.id);
    expect(await client.ended(killed.id, 40_000)).toMatchObject({
      status: 'Failed',
      phase: 'cancelledAtProvider',
    });
  });

  it('one that is paused past its lease changes nothing when it goes on', async () => {
    await takenOver(paused, 40_000);
    await client.cancel(paused.id);
    const ended = await client.ended(paused.id);
    paused.worker.signal('SIGCONT');
    // It finds out by itself that it had its turn, and the record stays as it was.
    await eventually(
      () => paused.worker.log.some(({ msg, actionId }) => msg === 'lease lost' && actionId === paused.id),
      40_000,
    );
    expect(await client.native(paused.id)).toEqual(ended);
  });
});

describe('a cancel of what a worker is doing right now', () => {
  afterAll(endWorkers);

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

describe('the API process', () => {
  afterAll(endWorkers);

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
