import { beforeAll, describe, expect, it } from 'vitest';
import type { CancelOutcome } from '#domain';
import { ProviderRegistry, type RunAction } from '#engine';
import { ProviderError } from '#provider-sdk';
import { eventually } from '../support/eventually.js';
import { raceTrack, type HeldCall, type Race, type RaceOptions } from '../support/race.js';

/**
 * A cancel against everything that may happen to an action at the same time. Each rule says what was answered, how
 * it ended ("status phase code, what the provider said to the cancel"), and what the provider was called for.
 */

let start: (options?: RaceOptions) => Promise<Race>;
beforeAll(async () => {
  start = await raceTrack();
});

const OPERATION = { id: 'op' };
const GIVE_UP_MS = 120_000;
const unreachable = () => new ProviderError('unreachable', 'away');
const noAnswer = () => new ProviderError('unknownOutcome', 'no answer');

/** An action whose vendor works on it, with no worker holding it. */
async function pending(options: RaceOptions = {}): Promise<Race> {
  const race = await start(options);
  const looked = race.look();
  (await race.call('execute')).answer({ kind: 'pending', operation: OPERATION });
  await looked;
  return race;
}

/** An action whose first attempt ended so, with no worker holding it. */
async function failedOnce(error: ProviderError, options: RaceOptions = {}): Promise<Race> {
  const race = await start(options);
  const looked = race.look();
  (await race.call('execute')).fail(error);
  await looked;
  return race;
}

/** One look in which the provider answers the cancel so; then the next call, if one is expected. */
async function told(race: Race, outcome: CancelOutcome): Promise<Promise<void>> {
  const looked = race.look();
  (await race.call('cancel')).answer(outcome);
  return looked;
}

const aborted = ({ signal }: HeldCall) => eventually(() => signal.aborted);

describe('a cancel before the provider is called', () => {
  it('that is first ends the action at once, and nothing is ever sent', async () => {
    const race = await start();
    expect(await race.cancel()).toBe('cancelled');
    await race.look();
    expect(await race.end()).toBe('Failed cancelled 499 null');
    expect(race.seen).toEqual([]);
  });

  it('between claim and intent ends the action at once, and the intent is refused', async () => {
    const race = await start({ idempotency: 'lookup' });
    let answer = '';
    const worker = race.worker({
      recordIntent: async (lease) => {
        answer = await race.cancel();
        return race.store.recordIntent(lease, '1.0.0');
      },
    });
    await race.look(worker);
    expect(answer).toBe('cancelled');
    expect(await race.end()).toBe('Failed cancelled 499 null');
    expect(race.seen).toEqual([]);
  });

  it('right after the intent is only "requested"; the worker that hears of it in time sends nothing', async () => {
    const race = await start();
    let answer = '';
    let hear = (): void => undefined;
    const heard = new Promise<void>((resolve) => (hear = resolve));
    const worker: RunAction = race.worker({
      recordIntent: async (lease) => {
        const recorded = await race.store.recordIntent(lease, '1.0.0');
        answer = await race.cancel();
        await heard;
        return recorded;
      },
      renew: async (lease, leaseMs) => {
        const renewed = await race.store.renew(lease, leaseMs);
        // After the worker has taken its answer in.
        if (renewed?.cancel != null) setImmediate(hear);
        return renewed;
      },
    });
    await race.look(worker);
    expect(answer).toBe('requested');
    expect(await race.end()).toBe('Failed cancelled 499 null');
    expect(race.seen).toEqual([]);
  });

  it('right after claim and intent in one write is only "requested", and the provider decides', async () => {
    const race = await start({ idempotency: 'key', announces: false });
    let answer = '';
    const worker = race.worker({
      claim: async (id, owner, leaseMs) => {
        const claim = await race.store.claim(id, owner, leaseMs, '1.0.0');
        answer = await race.cancel();
        return claim;
      },
    });
    const looked = race.look(worker);
    (await race.call('execute')).answer({ kind: 'completed' });
    await looked;
    expect(answer).toBe('requested');
    expect(await race.end()).toBe('Completed done - null');
    expect(await race.cancel()).toBe('notAllowed');
  });
});

describe('a cancel while the provider is being called', () => {
  it('stops the call, and ends as 499 when the provider confirms', async () => {
    const race = await start();
    const looked = race.look();
    const execute = await race.call('execute');
    expect(await race.cancel()).toBe('requested');
    await aborted(execute);
    (await race.call('cancel')).answer('cancelled');
    await looked;
    expect(await race.end()).toBe('Failed cancelledAtProvider 499 cancelled');
    expect(race.seen).toEqual(['execute', 'cancel']);
    expect(await race.cancel()).toBe('cancelled');
  });

  it('stops it by the operation where that is known already', async () => {
    const race = await start();
    const looked = race.look();
    const execute = await race.call('execute');
    await execute.save(OPERATION);
    expect(await race.cancel()).toBe('requested');
    (await race.call('cancel')).answer('cancelled');
    await looked;
    expect(await race.end()).toBe('Failed cancelledAtProvider 499 cancelled');
    expect(race.seen).toEqual(['execute', 'cancel op']);
  });

  it('leaves the call alone where the action cannot be cancelled, and ends as what happened', async () => {
    const race = await start({ cancellable: false });
    const looked = race.look();
    const execute = await race.call('execute');
    expect(await race.cancel()).toBe('requested');
    execute.answer({ kind: 'completed' });
    await looked;
    expect(execute.signal.aborted).toBe(false);
    expect(await race.end()).toBe('Completed done - null');
    expect(race.seen).toEqual(['execute']);
    expect(await race.cancel()).toBe('notAllowed');
  });

  it('does not undo a call that completes all the same', async () => {
    const race = await start({ obeys: false });
    const looked = race.look();
    const execute = await race.call('execute');
    expect(await race.cancel()).toBe('requested');
    await aborted(execute);
    execute.answer({ kind: 'completed' });
    await looked;
    expect(await race.end()).toBe('Completed done - null');
    expect(await race.cancel()).toBe('notAllowed');
  });

  it('ends as failed, not as cancelled, when the call fails for good', async () => {
    const race = await start({ cancellable: false });
    const looked = race.look();
    const execute = await race.call('execute');
    expect(await race.cancel()).toBe('requested');
    execute.fail(new ProviderError('permission', 'no'));
    await looked;
    expect(await race.end()).toBe('Failed failed 403 null');
    expect(await race.cancel()).toBe('notAllowed');
  });

  it('ends as 499 without another attempt when nothing was applied', async () => {
    const race = await start({ obeys: false });
    const looked = race.look();
    const execute = await race.call('execute');
    expect(await race.cancel()).toBe('requested');
    await aborted(execute);
    execute.answer({ kind: 'failed', error: unreachable() });
    await looked;
    expect(await race.end()).toBe('Failed cancelled 499 null');
    expect(race.seen).toEqual(['execute']);
  });

  it('is told to the provider when the call comes back pending', async () => {
    const race = await start({ obeys: false });
    const looked = race.look();
    const execute = await race.call('execute');
    expect(await race.cancel()).toBe('requested');
    await aborted(execute);
    execute.answer({ kind: 'pending', operation: OPERATION });
    (await race.call('cancel')).answer('cancelled');
    await looked;
    expect(await race.end()).toBe('Failed cancelledAtProvider 499 cancelled');
    expect(race.seen).toEqual(['execute', 'cancel op']);
  });

  it('given twice at once is answered twice, and told once', async () => {
    const race = await start();
    const looked = race.look();
    await race.call('execute');
    expect(await Promise.all([race.cancel(), race.cancel()])).toEqual(['requested', 'requested']);
    const cancel = await race.call('cancel');
    expect(await race.cancel()).toBe('requested');
    cancel.answer('cancelled');
    await looked;
    expect(race.seen).toEqual(['execute', 'cancel']);
    expect(await race.cancel()).toBe('cancelled');
  });
});

describe('a cancel that crosses the end of an attempt', () => {
  /** Nobody hears of the wish before the attempt is recorded as not applied. */
  async function crossed(options: RaceOptions = {}): Promise<Race> {
    const race = await start({ ...options, announces: false });
    const worker = race.worker({
      retry: async (lease, step) => {
        expect(await race.cancel()).toBe('requested');
        return race.store.retry(lease, step);
      },
    });
    const looked = race.look(worker);
    (await race.call('execute')).fail(unreachable());
    await looked;
    return race;
  }

  it('ends as 499 at the next claim, with nothing sent again', async () => {
    const race = await crossed();
    expect(await race.cancel()).toBe('cancelled');
    expect(await race.end()).toBe('Failed cancelled 499 null');
  });

  it('ends as 499 also when the next claim comes without another cancel', async () => {
    const race = await crossed();
    await race.look();
    expect(await race.end()).toBe('Failed cancelled 499 null');
    expect(race.seen).toEqual(['execute']);
  });

  it('ends as 499, not as timed out, when its deadline passes before the next claim', async () => {
    const race = await crossed();
    await race.deadlinePassed();
    await race.look();
    expect((await race.action()).status).toBe('Running');
    expect(await race.store.closeOverdue(race.id, GIVE_UP_MS)).toMatchObject({
      phase: 'cancelled',
      errorInfo: { code: 499 },
    });
    expect(await race.cancel()).toBe('cancelled');
  });

  it('ends as 499, not as expired, when its startBefore passes before the next claim', async () => {
    const race = await crossed();
    await race.age({ startBefore: new Date(Date.now() - 1000) });
    await race.look();
    expect(await race.end()).toBe('Failed cancelled 499 null');
  });

  it('is ended by the sweep where no worker serves the provider any more', async () => {
    const race = await crossed();
    await race.age({ nextAt: new Date(Date.now() - 5000) });
    const due = await race.store.due('begun', 1000, 0, null);
    expect(due.find(({ id }) => id === race.id)).toMatchObject({ overdue: true });
    expect(await race.store.closeOverdue(race.id, GIVE_UP_MS)).toMatchObject({
      phase: 'cancelled',
      attempts: [{ outcome: 'failed' }],
    });
  });

  it('ends as 499 also when its provider was taken out of the configuration meanwhile', async () => {
    const race = await crossed();
    const other = new ProviderRegistry([], {});
    const worker = race.worker({}, other);
    await race.age({ nextAt: new Date(0) });
    // A cancel's hint needs no permit, as no instance is known.
    await worker.look(
      {
        actionId: race.id,
        instance: 'scripted',
        actionName: '',
        why: 'cancel',
        isRelease: false,
        polls: false,
      },
      new AbortController().signal,
    );
    expect(await race.end()).toBe('Failed cancelled 499 null');
  });
});

describe('a cancel between two attempts', () => {
  it('ends the action at once when the last attempt is known not to have been applied', async () => {
    const race = await failedOnce(unreachable());
    expect(await race.cancel()).toBe('cancelled');
    await race.look();
    expect(await race.end()).toBe('Failed cancelled 499 null');
    expect(race.seen).toEqual(['execute']);
  });

  it('is "requested" while an attempt of unknown outcome stands; 499 only when the provider confirms', async () => {
    const race = await failedOnce(noAnswer(), { idempotency: 'key' });
    expect(await race.cancel()).toBe('requested');
    await told(race, 'cancelled');
    expect(await race.end()).toBe('Failed cancelledAtProvider 499 cancelled');
    expect(race.seen).toEqual(['execute', 'cancel']);
  });

  it('is "requested" also when a later attempt was not applied: the earlier one may have been', async () => {
    const race = await failedOnce(noAnswer(), { idempotency: 'key' });
    const looked = race.look();
    (await race.call('execute')).fail(unreachable());
    await looked;
    expect(await race.cancel()).toBe('requested');
    await told(race, 'cancelled');
    expect(await race.end()).toBe('Failed cancelledAtProvider 499 cancelled');
  });

  it('that the provider cannot settle has a request with a key repeated, to learn what happened', async () => {
    const race = await failedOnce(noAnswer(), { idempotency: 'key' });
    expect(await race.cancel()).toBe('requested');
    const looked = told(race, 'tooLate');
    (await race.call('execute')).answer({ kind: 'completed' });
    await looked;
    expect(await race.end()).toBe('Completed done - tooLate');
  });

  it('never says "nothing was done" of a repeat that was not applied, after one that may have been', async () => {
    const race = await failedOnce(noAnswer(), { idempotency: 'key' });
    expect(await race.cancel()).toBe('requested');
    const looked = told(race, 'unknown');
    (await race.call('execute')).fail(unreachable());
    await looked;
    expect(await race.action()).toMatchObject({ status: 'Running', intent: { attempt: 3 } });
    const again = race.look();
    (await race.call('execute')).answer({ kind: 'completed' });
    await again;
    expect(await race.end()).toBe('Completed done - unknown');
  });

  it('that the provider cannot settle has a request without a key looked up', async () => {
    const race = await start({ idempotency: 'lookup' });
    const looked = race.look();
    (await race.call('execute')).fail(noAnswer());
    (await race.call('reconcile')).answer({ kind: 'notFound' });
    await looked;
    expect(await race.cancel()).toBe('requested');
    const again = told(race, 'unknown');
    (await race.call('reconcile')).answer({ kind: 'completed' });
    await again;
    expect(await race.end()).toBe('Completed done - unknown');
    expect(race.seen).toEqual(['execute', 'reconcile', 'cancel', 'reconcile']);
  });

  it('ends as 520 when neither the provider nor anything else can tell', async () => {
    const race = await start({ obeys: false });
    const looked = race.look();
    const execute = await race.call('execute');
    expect(await race.cancel()).toBe('requested');
    await aborted(execute);
    execute.answer({ kind: 'failed', error: noAnswer() });
    (await race.call('cancel')).answer('unknown');
    await looked;
    expect(await race.end()).toBe('Failed outcomeUnknown 520 unknown');
    expect(await race.cancel()).toBe('notAllowed');
  });
});

describe('a cancel while the vendor works', () => {
  it('makes the action due at once, and ends as 499 when the vendor confirms later', async () => {
    const race = await pending();
    expect(await race.cancel()).toBe('requested');
    expect((await race.action()).nextAt?.getTime()).toBeLessThanOrEqual(Date.now() + 500);
    const looked = told(race, 'requested');
    (await race.call('poll')).answer({ kind: 'pending', operation: OPERATION });
    await looked;
    expect(await race.end()).toBe('Running cancelling - requested');
    expect(await race.cancel()).toBe('requested');
    const again = race.look();
    (await race.call('poll')).answer({ kind: 'stopped' });
    await again;
    expect(await race.end()).toBe('Failed cancelledAtProvider 499 cancelled');
    expect(race.seen).toEqual(['execute', 'cancel op', 'poll op', 'poll op']);
  });

  it.each(['tooLate', 'notSupported', 'unknown', 'requested'] as const)(
    'that the vendor answers with "%s" ends as completed when it completed',
    async (outcome) => {
      const race = await pending();
      expect(await race.cancel()).toBe('requested');
      const looked = told(race, outcome);
      (await race.call('poll')).answer({ kind: 'completed' });
      await looked;
      expect(await race.end()).toBe(`Completed done - ${outcome}`);
      expect(await race.cancel()).toBe('notAllowed');
    },
  );

  it('stops a poll under way, and tells the vendor first', async () => {
    const race = await pending();
    const looked = race.look();
    const poll = await race.call('poll');
    expect(await race.cancel()).toBe('requested');
    await aborted(poll);
    (await race.call('cancel')).answer('cancelled');
    await looked;
    expect(await race.end()).toBe('Failed cancelledAtProvider 499 cancelled');
  });

  it('is too late for a poll that finds it completed all the same', async () => {
    const race = await pending({ obeys: false });
    const looked = race.look();
    const poll = await race.call('poll');
    expect(await race.cancel()).toBe('requested');
    await aborted(poll);
    poll.answer({ kind: 'completed' });
    await looked;
    expect(await race.end()).toBe('Completed done - null');
  });

  it('that the vendor refuses for good is noted as unknown, and the action followed on', async () => {
    const race = await pending();
    expect(await race.cancel()).toBe('requested');
    const looked = race.look();
    (await race.call('cancel')).fail(new ProviderError('permanent', 'no'));
    (await race.call('poll')).answer({ kind: 'completed' });
    await looked;
    expect(await race.end()).toBe('Completed done - unknown');
  });

  it('that the vendor cannot take now is told again, and does not keep the end from being seen', async () => {
    const race = await pending();
    expect(await race.cancel()).toBe('requested');
    const looked = race.look();
    (await race.call('cancel')).fail(unreachable());
    (await race.call('poll')).answer({ kind: 'pending', operation: OPERATION });
    await looked;
    expect(await race.end()).toBe('Running cancelling - null');
    const again = race.look();
    (await race.call('cancel')).fail(unreachable());
    (await race.call('poll')).answer({ kind: 'completed' });
    await again;
    expect(await race.end()).toBe('Completed done - null');
  });
});

describe('a cancel and a worker that dies', () => {
  /** From now on nothing of this worker reaches the database. */
  function mortal(race: Race) {
    let dead = false;
    const around = Object.fromEntries(
      (['renew', 'saveOperation', 'noteCancelOutcome', 'park', 'retry', 'takeBack', 'handOver'] as const).map(
        (name) => [
          name,
          (...args: readonly unknown[]) =>
            dead
              ? Promise.reject(new Error('dead'))
              : (race.store[name] as (...all: readonly unknown[]) => Promise<unknown>)(...args),
        ],
      ),
    );
    return {
      worker: race.worker(around),
      die: async () => {
        dead = true;
        await race.age({ nextAt: new Date(0) });
      },
    };
  }

  it('while it tells the provider: the next one tells it again', async () => {
    const race = await pending();
    const { worker, die } = mortal(race);
    expect(await race.cancel()).toBe('requested');
    const lost = race.look(worker).catch(() => undefined);
    const late = await race.call('cancel');
    await die();
    await told(race, 'cancelled');
    expect(await race.end()).toBe('Failed cancelledAtProvider 499 cancelled');
    late.answer('tooLate');
    await lost;
    expect(await race.end()).toBe('Failed cancelledAtProvider 499 cancelled');
    expect(race.seen).toEqual(['execute', 'cancel op', 'cancel op']);
  });

  it.each([
    ['cancelled', 'Failed cancelledAtProvider 499 cancelled'],
    ['unknown', 'Failed outcomeUnknown 520 unknown'],
  ] as const)(
    'with a call out that nobody saw answered: "%s" decides, and nothing is sent again',
    async (outcome, end) => {
      const race = await start();
      const { worker, die } = mortal(race);
      const lost = race.look(worker).catch(() => undefined);
      const execute = await race.call('execute');
      await die();
      expect(await race.cancel()).toBe('requested');
      await told(race, outcome);
      expect(await race.end()).toBe(end);
      // The dead one was only paused: its late result changes nothing.
      execute.answer({ kind: 'completed' });
      await lost;
      expect(await race.end()).toBe(end);
      expect(race.seen.filter((name) => name === 'execute')).toHaveLength(1);
    },
  );

  it('before it recorded an intent: the cancel ends it at once', async () => {
    const race = await start({ idempotency: 'lookup' });
    const worker = race.worker({ recordIntent: () => Promise.reject(new Error('dead')) });
    await race.look(worker).catch(() => undefined);
    expect((await race.action()).status).toBe('Running');
    expect(await race.cancel()).toBe('cancelled');
  });
});

describe('a cancel and the deadline', () => {
  it("keeps a caller's wish a caller's: 499 when the vendor confirms after the deadline", async () => {
    const race = await pending();
    expect(await race.cancel()).toBe('requested');
    await race.deadlinePassed();
    await told(race, 'cancelled');
    expect(await race.end()).toBe('Failed cancelledAtProvider 499 cancelled');
  });

  it('that wanted it stopped first ends as 408, and a cancel meanwhile is under way, then too late', async () => {
    const race = await pending();
    await race.deadlinePassed();
    const looked = race.look();
    const cancel = await race.call('cancel');
    expect(await race.cancel()).toBe('requested');
    cancel.answer('cancelled');
    await looked;
    expect(await race.end()).toBe('Failed timedOut 408 cancelled');
    expect(await race.cancel()).toBe('notAllowed');
  });

  it.each(['key', 'natural'] as const)(
    'ends as 520, once, when the vendor could not settle a cancel before it (%s)',
    async (idempotency) => {
      const race = await failedOnce(noAnswer(), { idempotency });
      expect(await race.cancel()).toBe('requested');
      const looked = told(race, 'unknown');
      (await race.call('execute')).fail(noAnswer());
      await looked;
      await race.deadlinePassed();
      await race.look();
      expect(await race.end()).toBe('Failed outcomeUnknown 520 unknown');
      expect(race.seen).toEqual(['execute', 'cancel', 'execute']);
    },
  );

  it('ends as 520, once, also where the action cannot be cancelled', async () => {
    const race = await failedOnce(noAnswer(), { idempotency: 'key', cancellable: false });
    expect(await race.cancel()).toBe('requested');
    await race.deadlinePassed();
    await race.look();
    expect(await race.end()).toBe('Failed outcomeUnknown 520 notSupported');
    expect(race.seen).toEqual(['execute']);
  });

  it('ends what the vendor never settles, half a minute after it', async () => {
    const race = await pending();
    expect(await race.cancel()).toBe('requested');
    await race.deadlinePassed(31_000);
    const looked = told(race, 'requested');
    (await race.call('poll')).answer({ kind: 'pending', operation: OPERATION });
    await looked;
    expect(await race.end()).toBe('Failed outcomeUnknown 520 requested');
  });
});

describe('a cancel after the end', () => {
  it('is refused when the action completed or failed, and changes nothing', async () => {
    for (const outcome of ['completed', 'failed'] as const) {
      const race = await start();
      const looked = race.look();
      const error = new ProviderError('conflict', 'no');
      (await race.call('execute')).answer(
        outcome === 'completed' ? { kind: 'completed' } : { kind: 'failed', error },
      );
      await looked;
      const before = await race.action();
      expect(await race.cancel()).toBe('notAllowed');
      expect(await race.action()).toEqual(before);
    }
  });

  it('is answered "cancelled" again when it ended as 499', async () => {
    const race = await start();
    await race.cancel();
    const before = await race.action();
    expect(await race.cancel()).toBe('cancelled');
    expect(await race.action()).toEqual(before);
  });
});
