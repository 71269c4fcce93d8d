import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  errorInfo,
  isFinal,
  isLegalHistory,
  phaseFits,
  type ActionStore,
  type CancelAnswer,
  type Idempotency,
  type Lease,
  type ClaimedAction,
  type SecurityAction,
} from '#domain';
import { claimOf, CALLER, freshDatabase, historyOf, newAction } from '../support/database.js';

/**
 * Random interleavings of everything that may happen to one action, by three workers, callers and sweeps at
 * once, against the real database. Leases are 1 ms long, so that takeovers happen all the time and most
 * writes come from an owner that has been fenced out.
 */

const STEPS = [
  'claim',
  'renew',
  'intent',
  'operation',
  'park',
  'retryNo',
  'retryUnknown',
  'handOver',
  'complete',
  'fail',
  'cancel',
  'throttle',
  'closeOverdue',
] as const;
type Step = (typeof STEPS)[number];

let store: ActionStore;
beforeAll(async () => {
  store = (await freshDatabase()).actions;
});

const step = fc.record({
  what: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom<Step>('claim', 'cancel', 'complete', 'fail') },
    { weight: 5, arbitrary: fc.constantFrom(...STEPS) },
  ),
  worker: fc.nat(2),
  together: fc.boolean(),
});

const scenario = fc.record({
  idempotency: fc.constantFrom<Idempotency>('key', 'natural', 'lookup', 'none'),
  steps: fc.array(step, { minLength: 3, maxLength: 14 }),
  leaseMs: fc.constantFrom(1, 60_000),
  deadlineMs: fc.constantFrom(5, 60_000),
});

describe('whatever happens to an action, in whatever order', () => {
  it('its history is a legal path, its final state never changes, and every cancel answer was true', async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async ({ idempotency, steps, leaseMs, deadlineMs }) => {
        const { id } = await store.create(newAction({ idempotency, deadlineMs }));
        const world = new World(id, leaseMs);
        let batch: Promise<void>[] = [];
        for (const { what, worker, together } of steps) {
          batch.push(world.take(what, worker));
          if (!together) {
            await Promise.all(batch);
            batch = [];
          }
        }
        await Promise.all(batch);
        await world.check();
      }),
      { numRuns: 150, interruptAfterTimeLimit: 45_000 },
    );
  });
});

class World {
  readonly #leases: (Lease | undefined)[] = [];
  readonly #answers: CancelAnswer[] = [];
  readonly #finals: SecurityAction[] = [];

  constructor(
    readonly id: string,
    readonly leaseMs: number,
  ) {}

  async take(what: Step, worker: number): Promise<void> {
    const lease = this.#leases[worker];
    switch (what) {
      case 'claim': {
        const claim = await claimOf(
          store.claim(this.id, `w${worker}/${randomUUID()}`, this.leaseMs, '1.0.0'),
        );
        if (claim !== null) {
          this.#leases[worker] = claim.lease;
        }
        if (this.leaseMs === 1) await sleep(2);
        return;
      }
      case 'cancel':
        this.#answers.push(await store.requestCancel(CALLER, this.id));
        return;
      case 'throttle':
        return store.throttle([this.id], 0, { reason: 'quota', until: null, blockedBy: null });
      case 'closeOverdue':
        return this.#note(await store.closeOverdue(this.id, 0));
      default:
        if (lease === undefined) return;
        if (what === 'complete' || what === 'fail') return this.#noteEnd(await this.#end(what, lease), lease);
        return this.#noteOwn(await this.#held(what, lease), lease);
    }
  }

  #held(
    what: Exclude<Step, 'claim' | 'cancel' | 'throttle' | 'closeOverdue' | 'complete' | 'fail'>,
    lease: Lease,
  ): Promise<ClaimedAction | null> {
    const release = { delayMs: 0, sawCancel: false };
    switch (what) {
      case 'renew':
        return store.renew(lease, this.leaseMs);
      case 'intent':
        return store.recordIntent(lease, '1.0.0');
      case 'operation':
        return store.saveOperation(lease, { id: 'op' });
      case 'park':
        return store.park(lease, {
          ...release,
          operation: { id: 'op' },
          progress: null,
          phase: 'waitingOnVendor',
        });
      case 'retryNo':
        return store.retry(lease, {
          ...release,
          error: errorInfo(503, 'no'),
          applied: 'no',
          phase: 'retrying',
        });
      case 'retryUnknown':
        return store.retry(lease, {
          ...release,
          error: errorInfo(520, '?'),
          applied: 'unknown',
          phase: 'retrying',
        });
      case 'handOver':
        return store.handOver(lease);
    }
  }

  #end(what: 'complete' | 'fail', lease: Lease): Promise<boolean> {
    return what === 'complete'
      ? store.complete(lease, null)
      : store.fail(lease, { phase: 'failed', errorInfo: errorInfo(502, 'vendor') });
  }

  async #noteEnd(ended: boolean, lease: Lease): Promise<void> {
    if (!ended) return;
    const action = await store.find(CALLER.tenantId, this.id);
    this.#noteOwn(action, lease);
    this.#note(action);
  }

  /** Whoever has been fenced out changes nothing. */
  #noteOwn(action: ClaimedAction | null, lease: Lease): void {
    if (action !== null) expect(action.epoch).toBe(lease.epoch);
  }

  #note(action: SecurityAction | null): void {
    if (action !== null && isFinal(action.status)) this.#finals.push(action);
  }

  async check(): Promise<void> {
    const action = await store.find(CALLER.tenantId, this.id);
    if (action === null) throw new Error('the action is gone');
    expect(isLegalHistory(historyOf(action) as never)).toBe(true);
    expect(action.states.at(-1)?.status).toBe(action.status);
    expect(phaseFits(action.status, action.phase)).toBe(true);
    const times = action.states.map(({ updatedAt }) => updatedAt.getTime());
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(action.lastActionAt.getTime()).toBeGreaterThanOrEqual(times.at(-1) ?? 0);
    // At most one write ever ended it, and what it wrote still stands.
    const ended = this.#answers.flatMap((answer) => (answer.kind === 'cancelled' ? [answer.action] : []));
    for (const final of [...this.#finals, ...ended]) expect(action).toEqual(final);
    expect(this.#finals.length).toBeLessThanOrEqual(1);
    expect(isFinal(action.status)).toBe(action.completedAt !== null);
    expect(isFinal(action.status)).toBe(action.nextAt === null);
    expect(action.status === 'Failed').toBe(action.errorInfo !== null);
    for (const answer of this.#answers) {
      if (answer.kind === 'cancelled')
        expect(action).toMatchObject({ phase: 'cancelled', errorInfo: { code: 499 } });
      if (answer.kind === 'requested') expect(action.phase).not.toBe('queued');
      if (answer.kind === 'tooLate') expect(answer.status).toBe(action.status);
    }
  }
}
