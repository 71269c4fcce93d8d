import { describe, expect, it } from 'vitest';
import type { VendorPermits } from '#domain';
import { InstanceCalls, ProviderRegistry } from '#engine';
import { AddressRefused, ProviderError, Type, defineProvider } from '#provider-sdk';
import { createLogger } from '#telemetry';

const provider = defineProvider({
  manifest: {
    vendor: 'Noted',
    provider: 'Noted',
    version: '1.0.0',
    settings: Type.Object({}),
    actions: {
      Block: { title: 'Block', parameters: Type.Object({}), idempotency: 'natural', cancellable: false },
    },
  },
  execute: () => Promise.resolve({ kind: 'completed' }),
  cancel: () => Promise.resolve('notSupported'),
});

/** What the breaker hears of a call that ends with this. */
async function heard(thrown: Error): Promise<readonly string[]> {
  const notes: string[] = [];
  const permits: Pick<VendorPermits, 'take' | 'note' | 'vendorBusy'> = {
    take: () =>
      Promise.resolve({
        kind: 'granted',
        permit: { spend: () => Promise.resolve(), settle: () => undefined },
      }),
    note: (_instance, came) => void notes.push(came),
    vendorBusy: (_instance, forMs) => void notes.push(`busy for ${forMs} ms`),
  };
  const registry = new ProviderRegistry(
    [{ id: 'noted', plugin: 'noted', tenants: ['*'], settings: {}, secrets: {}, concurrency: 1 }],
    { noted: provider },
  );
  const instance = registry.byId('noted');
  if (instance === null) throw new Error('no instance');
  await new InstanceCalls({ permits, log: createLogger('riposte-test', 'silent') }).run(
    {
      name: 'question',
      instance,
      actionName: '',
      timeoutMs: 1000,
      shutdown: new AbortController().signal,
      facts: {},
    },
    () => Promise.reject(thrown),
  );
  return notes;
}

describe('the breaker of an instance', () => {
  it.each([
    ['a vendor that cannot be reached', new ProviderError('unreachable', 'No route.'), ['unreachable']],
    ['an error of the vendor', new ProviderError('transient', 'HTTP 502.'), ['failed']],
    ['a refusal of the vendor', new ProviderError('permission', 'HTTP 403.'), ['answered']],
    [
      'a vendor that is busy',
      new ProviderError('rateLimited', 'HTTP 429.', { retryAfterMs: 5000 }),
      ['busy for 5000 ms', 'answered'],
    ],
  ])('hears of %s', async (_what, error, notes) => {
    expect(await heard(error)).toEqual(notes);
  });

  it.each([
    // Else one caller's name for a private address would stop the calls of all.
    ['a name that stands for an address which is refused here', new AddressRefused('unreachable', 'No.')],
    ['an address that is refused here', new AddressRefused('permanent', 'No.')],
    ["a plugin's own defect", new TypeError('undefined is not a function')],
  ])('hears nothing of %s', async (_what, error) => {
    expect(await heard(error)).toEqual([]);
  });
});
