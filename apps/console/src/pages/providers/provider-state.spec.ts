import { describe, expect, it } from 'vitest';
import type { Provider } from '../../api/types.ts';
import { nameOf, stateOf } from './provider-state.ts';

const provider = (changes: Partial<Provider>): Provider =>
  ({
    id: 'firewall-hq',
    vendor: 'Acme',
    provider: 'Wall',
    subProvider: null,
    title: null,
    paused: null,
    breaker: 'closed',
    waiting: null,
    quota: [],
    health: { ok: true, message: 'All is well.', at: '2026-11-29T03:00:00Z' },
    ...changes,
  }) as Provider;
const paused = { at: '2026-11-29T03:00:00Z', reason: 'Upgrade.' };

describe('what is said first of a provider instance', () => {
  it.each([
    ['that it is paused, before all else', { paused, breaker: 'open' }, 'Paused'],
    [
      'that the vendor is left alone',
      { breaker: 'open', waiting: { reason: 'breakerOpen', waitMs: 60_000 } },
      'Not responding',
    ],
    ['that one call tries the vendor', { breaker: 'halfOpen' }, 'Reconnecting'],
    ['that it waits for quota', { waiting: { reason: 'quota', waitMs: 1000 } }, 'Quota used up'],
    ['that the vendor asked to wait', { waiting: { reason: 'vendorBusy', waitMs: 1000 } }, 'Vendor busy'],
    ['that it is not well', { health: { ok: false, message: 'No route.', at: paused.at } }, 'Unhealthy'],
    ['that nobody has asked', { health: null }, 'Not checked yet'],
    ['that it is well', {}, 'Healthy'],
  ] as readonly (readonly [string, Partial<Provider>, string])[])('is %s', (_what, changes, label) => {
    expect(stateOf(provider(changes)).label).toBe(label);
  });

  it('is why nothing starts though there is quota: the rest is kept for what undoes', () => {
    const quota = [{ calls: 20, perSeconds: 60, actions: null, left: 4, nextFreeMs: 1000 }];
    const { words } = stateOf(provider({ quota, waiting: { reason: 'quota', waitMs: 5000 } }));
    expect(words).toBe(
      'The next action can start in 5.0 s. The rest is reserved for cancelling, undoing and releasing.',
    );
  });
});

describe('the name of a provider instance', () => {
  it('is its title, else vendor and provider, with the sub-provider', () => {
    expect(nameOf(provider({ title: 'Wall of Acme' }))).toBe('Wall of Acme');
    expect(nameOf(provider({ subProvider: 'hq' }))).toBe('Acme Wall · hq');
    expect(nameOf(provider({ provider: 'Acme' }))).toBe('Acme');
  });
});
