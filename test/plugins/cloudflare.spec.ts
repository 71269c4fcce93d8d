import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { checkConformance, formatReport } from '#provider-sdk/conformance';
import { declaredProvider } from '../../plugins/http/index.js';
import { CloudflareSimulator } from '../simulators/cloudflare/vendor.js';
import { callContext } from '../support/call-context.js';

/** The shipped definition against a simulator made from Cloudflare's documentation, over HTTP. */

const file = 'plugins/http/examples/cloudflare.provider.yaml';
const source = await readFile(file, 'utf8');
const provider = declaredProvider(source, file);
const { calls } = provider;
const scopeId = '023e105f4ecef8ad9ca31a8372d0c353';
const block = { action: 'BlockIp', parameters: { IP: '203.0.113.7' } };
const unblock = { action: 'UnblockIp', parameters: { IP: '203.0.113.7' } };

let vendor: CloudflareSimulator;
beforeAll(async () => {
  vendor = await CloudflareSimulator.start(['token-of-one', 'token-of-two']);
});
afterAll(() => vendor.stop());
beforeEach(() => vendor.reset());

const context = (token = 'token-of-one', key = 'key-1'): ReturnType<typeof callContext> =>
  callContext({
    settings: { baseUrl: vendor.baseUrl, scope: 'accounts', scopeId },
    secrets: { apiToken: token },
    key,
  });
const done = (effect: { changed: boolean; ids?: readonly string[] }): object => ({
  ...block,
  actionId: 'a',
  completedAt: new Date(),
  result: null,
  effect,
});

describe('blocking an address at Cloudflare', () => {
  it('makes a rule and notes its id', async () => {
    const outcome = await calls.execute(context(), block);
    const [rule] = [...vendor.rules.values()];
    expect(rule).toMatchObject({ mode: 'block', configuration: { target: 'ip', value: '203.0.113.7' } });
    expect(outcome).toEqual({
      kind: 'completed',
      result: { ruleId: rule?.id },
      effect: { changed: true, ids: [rule?.id] },
    });
  });

  it("changes nothing where somebody's rule is in place, and does not take that away", async () => {
    const { id } = vendor.add('203.0.113.7', 'by hand');
    const outcome = await calls.execute(context(), block);
    expect(outcome).toMatchObject({ kind: 'completed', effect: { changed: false, ids: [id] } });
    await calls.revert?.(context(), done({ changed: false, ids: [id] }) as never);
    expect(vendor.rules.has(id)).toBe(true);
  });

  it('is undone by removing the rule it made; to undo it twice succeeds', async () => {
    const outcome = await calls.execute(context(), block);
    if (outcome.kind !== 'completed' || outcome.effect === undefined) throw new TypeError(outcome.kind);
    for (const _ of [1, 2])
      expect(await calls.revert?.(context(), done(outcome.effect) as never)).toMatchObject({
        kind: 'completed',
      });
    expect(vendor.rules.size).toBe(0);
  });

  it('finds what it made when the answer was lost, and nothing where it never arrived', async () => {
    expect(await calls.reconcile?.(context(), block)).toEqual({ kind: 'notFound' });
    await calls.execute(context(), block);
    expect(await calls.reconcile?.(context(), block)).toMatchObject({
      kind: 'completed',
      effect: { changed: true },
    });
    expect(await calls.reconcile?.(context('token-of-one', 'other'), block)).toMatchObject({
      effect: { changed: false },
    });
  });

  it('takes HTTP 200 with success false for the failure it is', async () => {
    const body = { success: false, errors: [{ code: 1, message: 'quota of rules reached' }], result: null };
    vendor.next.push({ status: 200, body: { success: true, result: [] } }, { status: 200, body });
    await expect(calls.execute(context(), block)).rejects.toMatchObject({
      errorClass: 'permanent',
      message: 'The vendor says: quota of rules reached',
    });
  });

  it('tells an answer that nobody described as an unknown outcome', async () => {
    vendor.next.push(
      { status: 200, body: { success: true, result: [] } },
      { status: 200, body: 'maintenance' },
    );
    await expect(calls.execute(context(), block)).rejects.toMatchObject({ errorClass: 'unknownOutcome' });
  });

  it('says which credentials were refused', async () => {
    await expect(calls.execute(context('wrong'), block)).rejects.toMatchObject({ errorClass: 'auth' });
  });
});

describe('unblocking', () => {
  it('removes the rule, and does nothing where there is none', async () => {
    vendor.add('203.0.113.7', 'by hand');
    expect(await calls.execute(context(), unblock)).toMatchObject({ effect: { changed: true } });
    expect(await calls.execute(context(), unblock)).toMatchObject({ effect: { changed: false } });
    expect(await calls.observe?.(context(), unblock)).toMatchObject({ inPlace: true });
  });
});

it('passes the conformance kit', async () => {
  const instance = (apiToken: string): object => ({
    settings: { baseUrl: vendor.baseUrl, scope: 'accounts', scopeId },
    secrets: { apiToken },
  });
  const report = await checkConformance({
    provider: () => declaredProvider(source, file),
    instances: [instance('token-of-one'), instance('token-of-two')] as never,
    samples: { BlockIp: block.parameters, UnblockIp: unblock.parameters },
    vendor,
  });
  expect(formatReport(report)).toContain(' 0 failed,');
});
