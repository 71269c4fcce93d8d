import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { ProviderError } from '#provider-sdk';
import { raceTrack, type HeldCall, type Race, type RaceOptions } from '../support/race.js';

/** What the engine knows of an attempt, and what it may therefore do next. */

let start: (options?: RaceOptions) => Promise<Race>;
beforeAll(async () => {
  start = await raceTrack();
});

const OPERATION = { id: 'op' };
const unreachable = () => new ProviderError('unreachable', 'away');
const noAnswer = () => new ProviderError('unknownOutcome', 'no answer');

describe('an intent under which nothing was sent', () => {
  it('is taken back when the process stops between the intent and the call, and costs no attempt', async () => {
    const race = await start();
    const shutdown = new AbortController();
    const worker = race.worker({
      recordIntent: (lease) => {
        shutdown.abort();
        return race.store.recordIntent(lease, '1.0.0');
      },
    });
    await race.look(worker, shutdown.signal);
    expect(await race.action()).toMatchObject({ intent: null, owner: null, attempts: [], crashes: 0 });
    expect(race.seen).toEqual([]);
    const looked = race.look();
    (await race.call('execute')).answer({ kind: 'completed' });
    await looked;
    expect(await race.end()).toBe('Completed done - no wish');
  });

  it.each(['none', 'key'] as const)(
    'is taken back, too, when the process stopped while it was claimed (%s)',
    async (idempotency) => {
      const race = await start({ idempotency });
      const shutdown = new AbortController();
      const worker = race.worker({
        claim: (id, owner, leaseMs) => {
          shutdown.abort();
          return race.store.claim(id, owner, leaseMs, '1.0.0');
        },
      });
      await race.look(worker, shutdown.signal);
      expect(await race.action()).toMatchObject({ intent: null, owner: null, attempts: [] });
      expect(race.seen).toEqual([]);
    },
  );

  it('is taken back when the lease could not be renewed in time, so that it is not taken for sent', async () => {
    const race = await start();
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const worker = race.worker({
      recordIntent: async (lease) => {
        const recorded = await race.store.recordIntent(lease, '1.0.0');
        // The machine slept: only the wall clock tells.
        vi.setSystemTime(Date.now() + 60_000);
        return recorded;
      },
      renew: () => Promise.reject(new Error('the database is slow')),
    });
    await race.look(worker);
    expect(race.seen).toEqual([]);
    expect(await race.action()).toMatchObject({ intent: null, owner: null, attempts: [] });
  });

  it('ends as 408, never issued, when the deadline passes before the call', async () => {
    const race = await start();
    const worker = race.worker({
      recordIntent: async (lease) => {
        const recorded = await race.store.recordIntent(lease, '1.0.0');
        return recorded === null ? null : { ...recorded, deadlineAt: new Date(0) };
      },
    });
    await race.look(worker);
    expect(await race.end()).toBe('Failed timedOut 408 no wish');
    expect(race.seen).toEqual([]);
  });
});

describe('a machine that slept', () => {
  it('renews its lease before it calls, although its monotonic clock stood still', async () => {
    const race = await start();
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const steps: string[] = [];
    const worker = race.worker({
      recordIntent: async (lease) => {
        const recorded = await race.store.recordIntent(lease, '1.0.0');
        vi.setSystemTime(Date.now() + 60_000);
        return recorded;
      },
      renew: (lease, leaseMs) => {
        steps.push('renew');
        return race.store.renew(lease, leaseMs);
      },
    });
    const looked = race.look(worker);
    const execute = await race.call('execute');
    expect(steps).toEqual(['renew']);
    execute.answer({ kind: 'completed' });
    await looked;
  });
});

describe('an attempt that repeats one of which nobody knows', () => {
  it('has begun when it was sent, and not when the first was', async () => {
    const race = await start({ idempotency: 'key' });
    const looked = race.look();
    (await race.call('execute')).fail(noAnswer());
    await looked;
    const between = await race.action();
    expect(between?.attempts).toHaveLength(1);
    // What is to come is no attempt yet.
    expect(between?.intent).toMatchObject({ attempt: 2, repeatedAt: null });
    const again = race.look();
    (await race.call('execute')).answer({ kind: 'completed' });
    await again;
    const [first, second] = (await race.action())?.attempts ?? [];
    expect(second).toMatchObject({ number: 2, outcome: 'completed' });
    expect(second?.startedAt.getTime()).toBeGreaterThanOrEqual(first?.endedAt.getTime() ?? Infinity);
  });
});

describe('a vendor that has taken the action', () => {
  it.each([
    ['throws a failure that may pass', (call: HeldCall) => call.fail(unreachable())],
    [
      'returns a failure that may pass',
      (call: HeldCall) => call.answer({ kind: 'failed', error: unreachable() }),
    ],
    ['does not know the outcome', (call: HeldCall) => call.answer({ kind: 'failed', error: noAnswer() })],
    ['has a defect', (call: HeldCall) => call.fail(new TypeError('oops'))],
  ])('is polled, not sent it again, when execute %s afterwards', async (_name, end) => {
    for (const idempotency of ['none', 'key'] as const) {
      const race = await start({ idempotency });
      const looked = race.look();
      const execute = await race.call('execute');
      await execute.save(OPERATION);
      end(execute);
      await looked;
      const again = race.look();
      (await race.call('poll')).answer({ kind: 'completed' });
      await again;
      expect(await race.end()).toBe('Completed done - no wish');
      expect(race.seen).toEqual(['execute', 'poll op']);
    }
  });

  it('is polled by the next worker, when this one stops while its operation is being written', async () => {
    const race = await start();
    const shutdown = new AbortController();
    const worker = race.worker({
      saveOperation: () => {
        shutdown.abort();
        return new Promise(() => undefined);
      },
    });
    const looked = race.look(worker, shutdown.signal);
    const execute = await race.call('execute');
    void execute.save(OPERATION);
    await looked;
    const next = race.look();
    (await race.call('poll')).answer({ kind: 'completed' });
    await next;
    expect(await race.end()).toBe('Completed done - no wish');
  });

  it('is told of a cancel again, once credentials that were refused are mended', async () => {
    const race = await start();
    const looked = race.look();
    (await race.call('execute')).answer({ kind: 'pending', operation: OPERATION });
    await looked;
    await race.cancel();
    const refused = race.look();
    (await race.call('cancel')).fail(new ProviderError('auth', 'the key was revoked'));
    (await race.call('poll')).answer({ kind: 'pending', operation: OPERATION });
    await refused;
    const mended = race.look();
    (await race.call('cancel')).answer('cancelled');
    await mended;
    expect(await race.end()).toBe('Failed cancelledAtProvider 499 cancelled');
  });

  it('is asked again when a poll is refused for its credentials, for that says nothing of the operation', async () => {
    const race = await start();
    const looked = race.look();
    (await race.call('execute')).answer({ kind: 'pending', operation: OPERATION });
    await looked;
    const refused = race.look();
    (await race.call('poll')).fail(new ProviderError('auth', 'the key was revoked'));
    await refused;
    expect(await race.action()).toMatchObject({ status: 'Running', phase: 'waitingOnVendor' });
    const mended = race.look();
    (await race.call('poll')).answer({ kind: 'completed' });
    await mended;
    expect(await race.end()).toBe('Completed done - no wish');
  });

  it('and says of the operation that it was refused, ends it as failed', async () => {
    const race = await start();
    const looked = race.look();
    (await race.call('execute')).answer({ kind: 'pending', operation: OPERATION });
    await looked;
    const polled = race.look();
    (await race.call('poll')).answer({
      kind: 'failed',
      error: new ProviderError('permission', 'not allowed'),
    });
    await polled;
    expect(await race.end()).toBe('Failed failed 403 no wish');
  });

  it('is not sent it again when a look-up fails in a way that may pass, thrown or returned', async () => {
    const race = await start({ idempotency: 'lookup' });
    const looked = race.look();
    (await race.call('execute')).fail(noAnswer());
    (await race.call('reconcile')).answer({ kind: 'failed', error: unreachable() });
    await looked;
    expect((await race.action()).intent).not.toBeNull();
    const again = race.look();
    (await race.call('reconcile')).fail(unreachable());
    await again;
    const found = race.look();
    (await race.call('reconcile')).answer({ kind: 'completed' });
    await found;
    expect(await race.end()).toBe('Completed done - no wish');
    expect(race.seen.filter((name) => name === 'execute')).toHaveLength(1);
  });

  it('or not: attempts that fail for want of an answer and then for want of a connection end as 520', async () => {
    const race = await start({ idempotency: 'key' });
    const looked = race.look();
    (await race.call('execute')).fail(noAnswer());
    await looked;
    const again = race.look();
    // The vendor asks for more time than there is.
    (await race.call('execute')).fail(new ProviderError('rateLimited', 'later', { retryAfterMs: 3_600_000 }));
    await again;
    expect(await race.end()).toBe('Failed outcomeUnknown 520 no wish');
  });
});

describe('an intent of which the provider knows that nothing was sent under it', () => {
  const held = () => start({ idempotency: 'lookup' });
  /** A worker that stops while the provider is called. */
  const stopped = async (race: Race) => {
    const shutdown = new AbortController();
    const looked = race.look(race.worker(), shutdown.signal);
    await race.call('execute');
    shutdown.abort();
    await looked;
  };

  it('is issued anew by the next worker, and what comes then is no doubt', async () => {
    const race = await held();
    await stopped(race);
    const next = race.look();
    (await race.call('reconcile')).answer({ kind: 'neverSent' });
    (await race.call('execute')).fail(new ProviderError('permission', 'no'));
    await next;
    expect(await race.end()).toBe('Failed failed 403 no wish');
    expect(race.seen).toEqual(['execute', 'reconcile', 'execute']);
  });

  it('counts as an attempt that was not applied, where the call itself failed', async () => {
    const race = await held();
    const looked = race.look();
    (await race.call('execute')).fail(noAnswer());
    (await race.call('reconcile')).answer({ kind: 'neverSent' });
    await looked;
    expect(await race.action()).toMatchObject({
      phase: 'retrying',
      intent: null,
      attempts: [
        { outcome: 'failed', error: { code: 503, message: 'no answer Nothing had been sent yet.' } },
      ],
    });
  });

  it('ends as 408 when its deadline falls into the call, with what was said before', async () => {
    const race = await held();
    const first = race.look();
    (await race.call('execute')).fail(unreachable());
    await first;
    await race.age({ deadlineAt: new Date(Date.now() + 500) });
    const looked = race.look();
    await race.call('execute');
    (await race.call('reconcile')).answer({ kind: 'neverSent' });
    await looked;
    expect(await race.end()).toBe('Failed timedOut 408 no wish');
    expect((await race.action()).errorInfo?.message).toMatch(
      /nothing was done\. The last attempt said: away$/,
    );
  });

  it('ends as 408 also where its deadline passed while nobody held it', async () => {
    const race = await held();
    await stopped(race);
    await race.deadlinePassed();
    const late = race.look();
    (await race.call('cancel')).answer('neverSent');
    await late;
    expect(await race.end()).toBe('Failed timedOut 408 cancelled');
  });

  it('ends as 499, nothing done, where somebody wants it cancelled', async () => {
    const race = await held();
    await stopped(race);
    await race.cancel();
    const late = race.look();
    (await race.call('cancel')).answer('neverSent');
    await late;
    expect(await race.end()).toBe('Failed cancelled 499 null');
  });
});

describe('a target that is busy at the vendor', () => {
  const busy = () => new ProviderError('targetBusy', 'a scan is under way', { retryAfterMs: 5000 });

  it('is waited for as long as there is time, and then said to have been busy', async () => {
    const race = await start();
    for (let tries = 0; tries < 10; tries += 1) {
      const looked = race.look();
      (await race.call('execute')).fail(busy());
      await looked;
    }
    expect(await race.action()).toMatchObject({ status: 'Running', phase: 'throttled', intent: null });
    await race.age({ deadlineAt: new Date(Date.now() + 4000) });
    const last = race.look();
    (await race.call('execute')).fail(busy());
    await last;
    expect(await race.action()).toMatchObject({
      phase: 'failed',
      errorInfo: { code: 409, message: 'a scan is under way' },
    });
  });
});

describe('what the vendor said', () => {
  it('stands in what nobody knows, to the end', async () => {
    const race = await start({ idempotency: 'lookup' });
    const looked = race.look();
    (await race.call('execute')).fail(noAnswer());
    (await race.call('reconcile')).fail(
      new ProviderError('transient', 'the list is away', { httpStatus: 503 }),
    );
    await looked;
    const [attempt] = (await race.action()).attempts;
    expect(attempt?.error).toMatchObject({
      code: 520,
      subcode: 503,
      message: expect.stringMatching(/Check the target\. \(the list is away\)$/) as string,
    });
    await race.age({ intent: new Date(Date.now() - 120_000) });
    const late = race.look();
    (await race.call('reconcile')).answer({ kind: 'notFound' });
    await late;
    expect(await race.end()).toBe('Failed outcomeUnknown 520 no wish');
    expect((await race.action()).errorInfo?.message).toMatch(/\(the list is away\)$/);
  });
});

describe('an action past its deadline', () => {
  it('is looked at again within half a minute, whenever the vendor wants to be asked', async () => {
    const race = await start();
    const looked = race.look();
    (await race.call('execute')).answer({ kind: 'pending', operation: OPERATION });
    await looked;
    await race.deadlinePassed();
    const late = race.look();
    (await race.call('cancel')).answer('requested');
    (await race.call('poll')).answer({ kind: 'pending', operation: OPERATION, nextPollMs: 3_600_000 });
    await late;
    const { nextAt, deadlineAt } = await race.action();
    expect((nextAt?.getTime() ?? Infinity) - deadlineAt.getTime()).toBeLessThan(35_000);
  });

  it.each(['poll', 'cancel'] as const)('ends although %s always fails', async (name) => {
    const race = await start();
    const looked = race.look();
    (await race.call('execute')).answer({ kind: 'pending', operation: OPERATION });
    await looked;
    await race.deadlinePassed(31_000);
    const late = race.look();
    const cancel = await race.call('cancel');
    if (name === 'cancel') cancel.fail(unreachable());
    else cancel.answer('requested');
    (await race.call('poll')).fail(new TypeError('always'));
    await late;
    expect(await race.end()).toMatch(/^Failed outcomeUnknown 520/);
  });

  it('ends although the look-up can never tell', async () => {
    const race = await start({ idempotency: 'lookup' });
    const looked = race.look();
    (await race.call('execute')).fail(noAnswer());
    (await race.call('reconcile')).answer({ kind: 'cannotTell' });
    await looked;
    await race.deadlinePassed();
    const late = race.look();
    (await race.call('cancel')).answer('unknown');
    await late;
    expect(await race.end()).toBe('Failed outcomeUnknown 520 unknown');
  });

  it('ends at once, with why, where its deadline falls into a call that cannot be cancelled', async () => {
    const race = await start({ idempotency: 'natural', cancellable: false });
    await race.age({ deadlineAt: new Date(Date.now() + 400) });
    const looked = race.look();
    await race.call('execute');
    await looked;
    expect(await race.end()).toBe('Failed outcomeUnknown 520 no wish');
    expect((await race.action()).errorInfo?.message).toMatch(/did not answer within \d+ ms\.\)$/);
  });

  it('ends although the provider was taken out of the configuration: by the sweep, 2 minutes later', async () => {
    const race = await start();
    const looked = race.look();
    (await race.call('execute')).answer({ kind: 'pending', operation: OPERATION });
    await looked;
    await race.deadlinePassed(119_000);
    await race.age({ nextAt: new Date(0) });
    expect(await race.store.closeOverdue(race.id, 120_000)).toBeNull();
    await race.deadlinePassed(121_000);
    expect(await race.store.closeOverdue(race.id, 120_000)).toMatchObject({ phase: 'outcomeUnknown' });
    expect((await race.action()).attempts).toMatchObject([{ outcome: 'unknown', error: { code: 520 } }]);
  });
});
