import { describe, expect, it } from 'vitest';
import { vendorHttp } from '#provider-sdk';
import { compileSchema, parseParameters, type ExecutionContext } from '#provider-sdk';
import { provider } from '../../plugins/mock/index.js';

const { calls, manifest } = provider;
const declared = manifest.actions['Crash'];
if (declared === undefined) throw new Error('the mock has no action Crash');
type How = 'throw' | 'exit' | 'outOfMemory' | 'block';

function crashed(how: How, crashes: boolean) {
  const context: ExecutionContext = {
    actionId: 'a',
    tenantId: 't',
    instance: 'mock',
    settings: { mode: 'natural', faultRates: { transient: 0, unknown: 0 }, crashes },
    secrets: {},
    signal: new AbortController().signal,
    attempt: 1,
    idempotencyKey: 'a',
    deadlineAt: new Date(Date.now() + 60_000),
    log: { info: () => undefined, warn: () => undefined },
    saveOperation: () => Promise.resolve(),
    heartbeat: () => Promise.resolve(),
    lastCheckpoint: null,
    issuedAt: null,
    http: vendorHttp({
      network: { allow: ['127.0.0.0/8'], ports: [] },
      signal: AbortSignal.timeout(30_000),
      spend: () => Promise.resolve(),
      secrets: [],
    }),
  };
  return calls.execute(context, { action: 'Crash', parameters: { how, durationMs: 1 } });
}

describe('the action Crash', () => {
  it.each<How>(['throw', 'exit', 'outOfMemory', 'block'])(
    '(%s) does nothing unless the settings allow it',
    async (how) => {
      await expect(crashed(how, false)).rejects.toMatchObject({
        errorClass: 'permission',
        message: "Crash is off in this instance's settings.",
      });
    },
  );

  it('is off by default', () => {
    const settings: Record<string, unknown> = {};
    expect(compileSchema(manifest.settings)(settings)).toBe(true);
    expect(settings).toMatchObject({ crashes: false });
  });

  it('throws what is no error of a provider, as a defect does', async () => {
    await expect(crashed('throw', true)).rejects.toBeInstanceOf(TypeError);
  });

  it('completes once it has blocked, for 20 seconds where nothing else is said', async () => {
    expect(await crashed('block', true)).toEqual({ kind: 'completed' });
    expect(parseParameters(declared, [{ name: 'how', value: 'block' }])).toMatchObject({
      ok: true,
      values: { durationMs: 20_000 },
    });
  });

  it('cannot be cancelled', () => {
    expect(declared.cancellable).toBe(false);
  });
});
