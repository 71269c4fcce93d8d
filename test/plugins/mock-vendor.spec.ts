import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { vendorHttp } from '#provider-sdk';
import { ProviderError, type ExecutionContext } from '#provider-sdk';
import { provider } from '../../plugins/mock/index.js';
import { readLedger } from '../simulators/mock-vendor/ledger.js';
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
    settings: { mode, baseUrl: vendor.baseUrl, faultRates: { transient: 0, unknown: 0 }, crashes: false },
    secrets: {},
    signal,
    attempt: 1,
    idempotencyKey: key,
    deadlineAt: new Date(Date.now() + 60_000),
    log: { info: () => undefined, warn: () => undefined },
    saveOperation: () => Promise.resolve(),
    heartbeat: () => Promise.resolve(),
    lastCheckpoint: null,
    issuedAt: null,
    http: vendorHttp({
      network: { allow: ['127.0.0.0/8'], ports: [] },
      signal,
      spend: () => Promise.resolve(),
      secrets: [],
    }),
  };
}

/** What the vendor really did. */
const effects = (vendor: RunningVendor): readonly string[] =>
  vendor.ledger().flatMap(({ event }) => (event === 'executed' || event === 'cancelled' ? [event] : []));

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
  ])('in mode %s has %i effect(s)', async (mode, times) => {
    const vendor = await vendorIn(mode);
    const same = context(vendor, mode);
    expect(await calls.execute(same, blockIp)).toMatchObject({ kind: 'completed' });
    expect(await calls.execute(same, blockIp)).toMatchObject({ kind: 'completed' });
    expect(effects(vendor)).toHaveLength(times);
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
      expect(effects(vendor)).toEqual(['executed']);
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
    expect(effects(vendor)).toEqual(['executed', 'cancelled']);
  });

  it('that has ended is too late to cancel', async () => {
    const vendor = await vendorIn('none');
    const same = context(vendor, 'none');
    await calls.execute(same, blockIp);
    const [entry] = vendor.ledger();
    if (entry?.event !== 'executed') throw new Error(entry?.event);
    const operation = { id: entry.operationId };
    expect(await calls.cancel(same, operation, blockIp)).toBe('tooLate');
  });

  it('cancelled by its key before it arrived is refused ever after', async () => {
    const vendor = await vendorIn('key');
    const same = context(vendor, 'key');
    expect(await calls.cancel(same, null, long)).toBe('cancelled');
    expect(await calls.execute(same, long)).toEqual({ kind: 'stopped' });
    expect(vendor.ledger()).toMatchObject([{ event: 'refusedEver', key: same.actionId }]);
  });
});

describe('the ledger', () => {
  it.each([
    ['serverError', ['misbehaved']],
    ['rateLimit', ['misbehaved']],
    ['executeAndReset', ['executed', 'misbehaved']],
    ['garbage', ['executed', 'misbehaved']],
  ])('says which submission %s hit', async (how, events) => {
    const vendor = await vendorIn('none');
    await vendor.behave({ [how]: 1 });
    const hit = context(vendor, 'none');
    await failureOf(calls.execute(hit, long));
    const ledger = vendor.ledger();
    expect(ledger.map(({ event }) => event)).toEqual(events);
    expect(ledger.at(-1)).toMatchObject({
      event: 'misbehaved',
      how,
      key: hit.actionId,
      action: 'LongRunning',
    });
    expect(ledger.at(-1)).toHaveProperty('at');
    expect('operationId' in (ledger.at(-1) ?? {})).toBe(events.includes('executed'));
  });

  it('is left where it was asked for, and gone on with', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'riposte-ledger-'));
    onTestFinished(() => rm(dir, { recursive: true }));
    const ledgerFile = path.join(dir, 'ledger.jsonl');
    for (const times of [1, 2]) {
      const vendor = await startMockVendor('none', { ledgerFile, seed: 7 });
      expect(new URL(vendor.baseUrl).port).toBe(String(vendor.port));
      expect(() => process.kill(vendor.pid, 0)).not.toThrow();
      await calls.execute(context(vendor, 'none'), blockIp);
      await vendor.stop();
      expect(readLedger(ledgerFile)).toHaveLength(times);
    }
  });
});

describe('a poll that the vendor answers badly', () => {
  it.each(['pollError', 'pollGarbage'])('(%s) is a question that failed, not the operation', async (how) => {
    const vendor = await vendorIn('lookup');
    const same = context(vendor, 'lookup');
    const begun = await calls.execute(same, long);
    if (begun.kind !== 'pending' || calls.poll === undefined || calls.reconcile === undefined)
      throw new Error(begun.kind);
    await vendor.behave({ [how]: 1 });
    expect(await failureOf(calls.poll(same, begun.operation, long))).toMatchObject({
      errorClass: 'transient',
    });
    expect(await failureOf(calls.reconcile(same, long))).toMatchObject({ errorClass: 'transient' });
    await vendor.behave({});
    expect(await calls.poll(same, begun.operation, long)).toMatchObject({ kind: 'pending' });
  });
});

describe('a cancel that the vendor answers badly', () => {
  it.each([
    ['cancelError', ['executed']],
    ['cancelReset', ['executed', 'cancelled']],
  ])('(%s) may or may not have been done', async (how, events) => {
    const vendor = await vendorIn('key');
    const same = context(vendor, 'key');
    const begun = await calls.execute(same, long);
    if (begun.kind !== 'pending') throw new Error(begun.kind);
    await vendor.behave({ [how]: 1 });
    expect(await failureOf(calls.cancel(same, begun.operation, long))).toMatchObject({
      errorClass: 'unknownOutcome',
    });
    expect(effects(vendor)).toEqual(events);
    await vendor.behave({});
    expect(await calls.cancel(same, begun.operation, long)).toBe('cancelled');
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
    await expect(call).rejects.toMatchObject({ errorClass: 'unknownOutcome' });
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
