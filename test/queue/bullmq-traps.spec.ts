import { randomUUID } from 'node:crypto';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { TENANT_A } from '../support/database.js';
import type { Hint } from '#domain';
import { RedisServer, findRedisServer } from '#embedded-servers';
import { BullActionQueue, HintConsumer, type ConsumerOptions, type TakenHint } from '#queue';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually } from '../support/eventually.js';

/** What BullMQ does that is easily overlooked, and that it does us no harm. */

const silent = (): void => undefined;
let redis: RedisServer;
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-queue-'));
  redis = await RedisServer.start({
    binary: await findRedisServer(silent),
    dir: path.join(dir, 'redis'),
    report: silent,
  });
});
afterAll(async () => {
  await redis.stop();
  await rm(dir, { recursive: true, force: true });
});

function hintFor(instance: string, epoch = 0): Hint {
  return {
    actionId: randomUUID(),
    tenantId: TENANT_A,
    lane: 'routine',
    instance,
    actionName: 'BlockIp',
    epoch,
  };
}

function queueFor(instance: string): BullActionQueue {
  const queue = new BullActionQueue(redis.url, [instance], silent);
  onTestFinished(() => queue.close());
  return queue;
}

function consume(
  instance: string,
  handle: ConsumerOptions['handle'],
  more: Partial<ConsumerOptions> = {},
): HintConsumer {
  const consumer = new HintConsumer({
    redis: redis.url,
    instances: [{ id: instance, concurrency: 4 }],
    handle,
    onCancel: silent,
    onError: silent,
    onHintFailed: silent,
    ...more,
  });
  onTestFinished(() => consumer.stop(0, 500));
  return consumer;
}

const newInstance = (): string => `i-${randomUUID().slice(0, 8)}`;

describe('retained job ids', () => {
  it('in BullMQ swallow a second hint of the same id without an error', async () => {
    const name = newInstance();
    const connection = new Redis(redis.url, { maxRetriesPerRequest: null });
    const plain = new Queue(name, { connection });
    onTestFinished(async () => {
      await plain.close();
      connection.disconnect();
    });
    await plain.add('x', {}, { jobId: 'kept' });
    await plain.add('x', {}, { jobId: 'kept' });
    expect(await plain.getWaitingCount()).toBe(1);
  });

  it('do not exist here: a hint that was looked at, or failed, can be given again', async () => {
    const instance = newInstance();
    const queue = queueFor(instance);
    const seen: TakenHint[] = [];
    consume(instance, (hint) => {
      seen.push(hint);
      return seen.length === 2 ? Promise.reject(new Error('a defect')) : Promise.resolve(undefined);
    });
    const stopAt = new Date('2026-01-01T00:00:00.123Z');
    const hint: Hint = { ...hintFor(instance), polls: true, stopAt };
    for (const times of [1, 2, 3]) {
      await eventually(async () => {
        await queue.hint(hint);
        return seen.length >= times;
      });
    }
    for (const one of seen) expect(one).toMatchObject({ actionId: hint.actionId, polls: true, stopAt });
  });

  it('a hint that waits is not doubled; a cancel, and a hint given again, are not swallowed by it', async () => {
    const instance = newInstance();
    const queue = queueFor(instance);
    const hint = hintFor(instance);
    await eventually(() => queue.hint(hint));
    await queue.hint(hint);
    await queue.hintMany([hint, { ...hint, kind: 'cancel' }, { ...hint, kind: 'again' }]);
    const [board, urgent] = queue.dashboardQueues().map((one) => one.queue);
    expect((await urgent?.getJobs(['waiting', 'prioritized']))?.map(({ id }) => id)).toEqual([
      `${hint.actionId}-c`,
    ]);
    expect((await board?.getJobs(['waiting', 'prioritized']))?.map(({ id }) => id).toSorted()).toEqual([
      `${hint.actionId}-e0`,
      `${hint.actionId}-e0s`,
    ]);
    expect((await board?.getJobs(['waiting', 'prioritized']))?.[0]).toMatchObject({
      name: 'BlockIp',
      data: { actionId: hint.actionId },
    });
  });
});

describe('a delayed hint', () => {
  it("is due by the database's time, whatever this process's clock says", async () => {
    const instance = newInstance();
    const queue = queueFor(instance);
    const hint = hintFor(instance);
    await eventually(() => queue.hint(hintFor(instance)));
    const at = new Date(Date.now() + 60_000);
    const fiveMinutesAhead = Date.now() + 300_000;
    vi.spyOn(Date, 'now').mockReturnValue(fiveMinutesAhead);
    try {
      expect(await queue.hint(hint, { at, inMs: 60_000 })).toBe(true);
    } finally {
      vi.restoreAllMocks();
    }
    const [board] = queue.dashboardQueues().map((one) => one.queue);
    const [job] = (await board?.getDelayed()) ?? [];
    expect((job?.timestamp ?? 0) + (job?.delay ?? 0)).toBe(at.getTime());
  });
});

describe('the AbortSignal', () => {
  it('is handed to the handler and aborted when the process stops', async () => {
    const instance = newInstance();
    const queue = queueFor(instance);
    let signal: AbortSignal | undefined;
    const consumer = consume(instance, async (_hint, given) => {
      signal = given;
      await new Promise((resolve) => given.addEventListener('abort', resolve));
      return undefined;
    });
    await eventually(async () => {
      await queue.hint(hintFor(instance));
      return signal;
    });
    expect(signal?.aborted).toBe(false);
    await consumer.stop(0, 2000);
    expect(signal?.aborted).toBe(true);
  });

  it('does not depend on the one that BullMQ hands over, or drops by the shape of a function', async () => {
    const instance = newInstance();
    const queue = queueFor(instance);
    const signals: AbortSignal[] = [];
    // Rest arguments: BullMQ would give such a processor no signal at all.
    const consumer = consume(instance, async (...given) => {
      signals.push(given[1]);
      await new Promise((resolve) => given[1].addEventListener('abort', resolve));
      return undefined;
    });
    await eventually(async () => {
      await queue.hint(hintFor(instance));
      return signals.length > 0;
    });
    await consumer.stop(0, 2000);
    expect(signals.every(({ aborted }) => aborted)).toBe(true);
  });
});

describe('a hint to a Redis that does not answer', () => {
  const timed = async (hint: () => Promise<boolean>): Promise<{ hinted: boolean; ms: number }> => {
    const startedAt = performance.now();
    return { hinted: await hint(), ms: performance.now() - startedAt };
  };

  it('that was away when the queue was made is given up in a fraction of a second, without an error', async () => {
    const queue = new BullActionQueue('redis://127.0.0.1:1', ['mock'], silent);
    onTestFinished(() => queue.close());
    const { hinted, ms } = await timed(() => queue.hint(hintFor('mock')));
    expect(hinted).toBe(false);
    expect(ms).toBeLessThan(900);
    expect(await queue.problems()).toEqual(['redis']);
  });

  it('that is frozen is given up in a fraction of a second, and works again afterwards', async () => {
    const instance = newInstance();
    const queue = queueFor(instance);
    expect(await eventually(() => queue.hint(hintFor(instance)))).toBe(true);
    redis.signal('SIGSTOP');
    const { hinted, ms } = await timed(() => queue.hint(hintFor(instance))).finally(() =>
      redis.signal('SIGCONT'),
    );
    expect(hinted).toBe(false);
    expect(ms).toBeLessThan(900);
    expect(await eventually(() => queue.hint(hintFor(instance)))).toBe(true);
  });

  it('of an instance that is not configured any more is left to the sweep', async () => {
    expect(await queueFor('mock').hint(hintFor('gone'))).toBe(false);
  });
});

describe('a job whose worker died', () => {
  it('is free for the next hint within 20 seconds, where BullMQ alone takes a minute', async () => {
    const instance = newInstance();
    const queue = queueFor(instance);
    const hint = hintFor(instance);
    let taken = 0;
    const dying = consume(instance, async () => {
      taken += 1;
      await new Promise(() => undefined);
      return undefined;
    });
    await eventually(async () => {
      await queue.hint(hint);
      return taken === 1;
    });
    // Its connections are cut: it renews no lock any more, like a process that was killed.
    await dying.stop(0, 0);
    const diedAt = performance.now();
    let again = false;
    consume(instance, () => {
      again = true;
      return Promise.resolve(undefined);
    });
    await eventually(async () => {
      await queue.hint(hint);
      return again;
    }, 30_000);
    expect(performance.now() - diedAt).toBeLessThan(20_000);
  });
});

describe('a handler that asks to look again later', () => {
  it('is called again with the same hint, and not before', async () => {
    const instance = newInstance();
    const queue = queueFor(instance);
    const calls: number[] = [];
    consume(instance, () => {
      calls.push(performance.now());
      return Promise.resolve(calls.length < 2 ? { lookAgainMs: 400 } : undefined);
    });
    await eventually(async () => (calls.length > 0 ? true : queue.hint(hintFor(instance)).then(() => false)));
    await eventually(() => calls.length === 2);
    expect((calls[1] ?? 0) - (calls[0] ?? 0)).toBeGreaterThan(350);
  });
});

describe('starts that are held back', () => {
  it('are taken again in the order they were given, those too that came while nothing else waited', async () => {
    const instance = newInstance();
    const queue = queueFor(instance);
    const inHand = new Set<string>();
    let letGo: () => void = silent;
    const release = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const holding = consume(
      instance,
      async ({ actionId }) => {
        inHand.add(actionId);
        await release;
        return { holdMs: 60_000 };
      },
      { instances: [{ id: instance, concurrency: 8 }] },
    );
    await holding.ready();
    const given: string[] = [];
    for (let index = 0; index < 6; index += 1) {
      const hint = hintFor(instance);
      given.push(hint.actionId);
      expect(await queue.hint(hint)).toBe(true);
      await eventually(() => inHand.has(hint.actionId));
    }
    letGo();
    await holding.stop(10_000, 0);
    // One after the other: of several that are taken at the same time nobody can say which was first.
    const taken: string[] = [];
    consume(instance, async ({ actionId }) => void taken.push(actionId), {
      instances: [{ id: instance, concurrency: 1 }],
    });
    await eventually(() => taken.length === given.length);
    expect(taken).toEqual(given);
  });
});

describe('a cancel announcement', () => {
  it('reaches every worker at once', async () => {
    const instance = newInstance();
    const queue = queueFor(instance);
    const heard: string[] = [];
    for (let worker = 0; worker < 2; worker += 1)
      consume(instance, () => Promise.resolve(undefined), { onCancel: (id) => heard.push(id) });
    await eventually(async () => {
      await queue.announceCancel('some-action');
      return heard.length >= 2;
    });
    expect(new Set(heard)).toEqual(new Set(['some-action']));
  });
});

describe('a Redis that would lose work', () => {
  it('is reported: a memory policy that evicts', async () => {
    const queue = queueFor(newInstance());
    const admin = new Redis(redis.url);
    await eventually(async () => (await queue.problems()).length === 0);
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    expect(await queue.problems()).toEqual([expect.stringContaining('allkeys-lru')]);
    await admin.config('SET', 'maxmemory-policy', 'noeviction');
    admin.disconnect();
  });
});
