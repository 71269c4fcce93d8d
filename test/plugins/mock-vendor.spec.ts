import { randomUUID } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ProviderError, type ExecutionContext } from '#provider-sdk';
import { provider } from '../../plugins/mock/index.js';
import { startMockVendor, type RunningVendor } from '../simulators/mock-vendor/start.js';

/** The plugin's real HTTP client against the vendor as a process of its own. */

const { calls } = provider;
type Mode = 'key' | 'natural' | 'lookup' | 'none';
const blockIp = { action: 'BlockIp', parameters: { IP: '1.2.3.4' } };
const long = { action: 'LongRunning', parameters: { durationMs: 60_000 } };

async function vendorIn(mode: Mode): Promise<RunningVendor> {
  const vendor = await startMockVendor(mode);
  onTestFinished(() => vendor.stop());
  return vendor;
}

function context(
  vendor: RunningVendor,
  mode: Mode,
  key: string = randomUUID(),
  signal = new AbortController().signal,
): ExecutionContext {
  return {
    actionId: key,
    tenantId: 't',
    instance: 'mock',
    settings: { mode, baseUrl: vendor.baseUrl, faultRates: { transient: 0, unknown: 0 } },
    secrets: {},
    signal,
    attempt: 1,
    idempotencyKey: key,
    deadlineAt: new Date(Date.now() + 60_000),
    log: { info: () => undefined, warn: () => undefined },
    saveOperation: () => Promise.resolve(),
  };
}

async function failureOf(call: Promise<unknown>): Promise<ProviderError> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ProviderError);
  return error as ProviderError;
}

describe('the same request twice', () => {
  it.each<[Mode, number]>([
    ['key', 1],
    ['natural', 1],
    ['lookup', 2],
    ['none', 2],
  ])('in mode %s has %i effect(s)', async (mode, effects) => {
    const vendor = await vendorIn(mode);
    const same = context(vendor, mode);
    expect(await calls.execute(same, blockIp)).toMatchObject({ kind: 'completed' });
    expect(await calls.execute(same, blockIp)).toMatchObject({ kind: 'completed' });
    expect(vendor.ledger()).toHaveLength(effects);
  });
});

describe('a request whose answer was lost', () => {
  it('is found by its correlation tag in mode lookup, and only there', async () => {
    for (const mode of ['lookup', 'none'] as const) {
      const vendor = await vendorIn(mode);
      await vendor.behave({ executeAndReset: 1 });
      const lost = context(vendor, mode);
      expect(await failureOf(calls.execute(lost, long))).toMatchObject({
        errorClass: 'unknownOutcome',
        next: 'unknown',
      });
      expect(vendor.ledger()).toHaveLength(1);
      expect(await calls.reconcile?.(lost, long)).toMatchObject({
        kind: mode === 'lookup' ? 'pending' : 'cannotTell',
      });
    }
  });

  it('that never arrived is not found', async () => {
    const vendor = await vendorIn('lookup');
    expect(await calls.reconcile?.(context(vendor, 'lookup'), blockIp)).toEqual({ kind: 'notFound' });
  });
});

describe('a long operation', () => {
  it('is pending, polled, and cancelled for good', async () => {
    const vendor = await vendorIn('key');
    const same = context(vendor, 'key');
    const begun = await calls.execute(same, long);
    if (begun.kind !== 'pending') throw new Error(begun.kind);
    expect(await calls.poll?.(same, begun.operation, long)).toMatchObject({ kind: 'pending', progress: 0 });
    expect(await calls.cancel(same, begun.operation, long)).toBe('cancelled');
    expect(await calls.poll?.(same, begun.operation, long)).toEqual({ kind: 'stopped' });
    expect(vendor.ledger().map(({ event }) => event)).toEqual(['executed', 'cancelled']);
  });

  it('that has ended is too late to cancel', async () => {
    const vendor = await vendorIn('none');
    const same = context(vendor, 'none');
    await calls.execute(same, blockIp);
    const operation = { id: vendor.ledger()[0]?.operationId ?? '' };
    expect(await calls.cancel(same, operation, blockIp)).toBe('tooLate');
  });

  it('cancelled by its key before it arrived is refused ever after', async () => {
    const vendor = await vendorIn('key');
    const same = context(vendor, 'key');
    expect(await calls.cancel(same, null, long)).toBe('cancelled');
    expect(await calls.execute(same, long)).toEqual({ kind: 'stopped' });
    expect(vendor.ledger()).toEqual([]);
  });
});

describe('a vendor that misbehaves is told apart:', () => {
  it.each([
    ['rateLimit', 'rateLimited', 1000],
    ['unavailable', 'transient', 1000],
    ['serverError', 'unknownOutcome', null],
    ['executeAndReset', 'unknownOutcome', null],
    ['garbage', 'unknownOutcome', null],
    ['huge', 'unknownOutcome', null],
    ['redirect', 'unknownOutcome', null],
  ])('%s is %s', async (behaviour, errorClass, retryAfterMs) => {
    const vendor = await vendorIn('key');
    await vendor.behave({ [behaviour]: 1 });
    expect(await failureOf(calls.execute(context(vendor, 'key'), blockIp))).toMatchObject({
      errorClass,
      retryAfterMs,
    });
  });

  it.each(['executeAndHang', 'drip'])('%s ends with the signal', async (behaviour) => {
    const vendor = await vendorIn('key');
    await vendor.behave({ [behaviour]: 1 });
    const abort = new AbortController();
    const reason = new Error('enough');
    const call = calls.execute(context(vendor, 'key', randomUUID(), abort.signal), blockIp);
    setTimeout(() => abort.abort(reason), 300);
    await expect(call).rejects.toBe(reason);
  });

  it('away: nothing was sent', async () => {
    const vendor = await startMockVendor('key');
    const gone = context(vendor, 'key');
    await vendor.stop();
    expect(await failureOf(calls.execute(gone, blockIp))).toMatchObject({
      errorClass: 'unreachable',
      next: 'retry',
    });
  });
});
