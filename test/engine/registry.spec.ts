import { describe, expect, it } from 'vitest';
import { ConfigurationError, UserError, type VendorInformation } from '#domain';
import { ProviderRegistry, type InstanceConfig } from '#engine';
import { plugins } from '#plugins';
import { TENANT_A, TENANT_B } from '../support/database.js';

const instance = (overrides: Partial<InstanceConfig> = {}): InstanceConfig => ({
  id: 'mock',
  plugin: 'mock',
  tenants: ['*'],
  settings: {},
  secrets: {},
  concurrency: 16,
  ...overrides,
});
const wanted = (overrides: Partial<VendorInformation> = {}): VendorInformation => ({
  vendor: 'Mock',
  provider: 'Mock',
  providerVersion: null,
  subProvider: null,
  ...overrides,
});
const registry = (...instances: InstanceConfig[]): ProviderRegistry =>
  new ProviderRegistry(instances, plugins);

describe('resolving vendorInformation', () => {
  it('finds the instance without regard to case', () => {
    expect(registry(instance()).resolve(wanted({ vendor: 'MOCK', provider: 'mock' }), TENANT_A).id).toBe(
      'mock',
    );
  });

  it('finds it by another name of the provider, and lets no two instances answer to one', () => {
    const defender = instance({
      id: 'defender',
      plugin: 'defender',
      settings: { tenantId: TENANT_A, clientId: TENANT_B },
      secrets: { clientSecret: 'secret' },
    });
    const graphName = wanted({ vendor: 'Microsoft', provider: 'Windows Defender ATP' });
    expect(registry(defender).resolve(graphName, TENANT_A).id).toBe('defender');
    expect(() => registry(defender, { ...defender, id: 'other' })).toThrow(/answer to the same/);
  });

  it('names what is known to the tenant when there is none, and no other', () => {
    const only = registry(instance({ tenants: [TENANT_B] }));
    expect(() => only.resolve(wanted(), TENANT_A)).toThrow(/known: none\. An operator has to configure/);
    expect(() => registry(instance()).resolve(wanted({ vendor: 'Acme' }), TENANT_A)).toThrow(
      /Acme\/Mock.*known: Mock\/Mock/,
    );
    expect(() => only.resolve(wanted(), TENANT_A)).toThrow(UserError);
  });

  it('tells instances apart by subProvider', () => {
    const two = registry(
      instance({ id: 'hq', subProvider: 'HQ' }),
      instance({ id: 'branch', subProvider: 'Branch' }),
    );
    expect(two.resolve(wanted({ subProvider: 'branch' }), TENANT_A).id).toBe('branch');
    expect(() => two.resolve(wanted(), TENANT_A)).toThrow(/say which: HQ, Branch/);
    expect(() => two.resolve(wanted({ subProvider: 'x' }), TENANT_A)).toThrow(/"x" is not known.*HQ, Branch/);
  });

  it('gives each tenant its own instance', () => {
    const two = registry(
      instance({ id: 'a', tenants: [TENANT_A] }),
      instance({ id: 'b', tenants: [TENANT_B] }),
    );
    expect(two.resolve(wanted(), TENANT_A).id).toBe('a');
    expect(two.resolve(wanted(), TENANT_B).id).toBe('b');
  });
});

describe('calls one worker may have in flight', () => {
  const { concurrency: _none, ...silent } = instance();
  const inFlight = (one: InstanceConfig): number | undefined => registry(one).byId(one.id)?.concurrency;

  it('are as many as is configured, else as the plugin declares, else 16', () => {
    const batches = { ...silent, plugin: 'nftables' };
    expect([inFlight({ ...batches, concurrency: 4 }), inFlight(batches), inFlight(silent)]).toEqual([
      4, 100, 16,
    ]);
  });
});

describe('a wrong configuration does not start, naming the key:', () => {
  it.each<[string, InstanceConfig[], RegExp]>([
    [
      'an unknown plugin',
      [instance({ plugin: 'acme' })],
      /providers\[0\] \(mock\)\.plugin: "acme" is not known; known: .*mock/,
    ],
    ['an unknown setting', [instance({ settings: { colour: 'red' } })], /settings\.colour is not known/],
    ['a wrong setting', [instance({ settings: { mode: 'sometimes' } })], /settings\.mode/],
    ['one id twice', [instance(), instance({ subProvider: 'x' })], /the id "mock" is given twice/],
    [
      'two instances one request could mean',
      [instance(), instance({ id: 'other', tenants: [TENANT_A] })],
      /"mock" and "other" answer to the same/,
    ],
    [
      'a window with less room than one action needs',
      [
        instance({
          plugin: 'defender',
          settings: { tenantId: TENANT_A, clientId: TENANT_B },
          secrets: { clientSecret: 'secret' },
          rateLimits: [{ calls: 2, perSeconds: 60 }],
        }),
      ],
      /limits\.windows\[0\] has room for 2 calls in 60 s, and \w+ makes 3 at once; allow as many/,
    ],
  ])('%s', (_what, instances, message) => {
    expect(() => registry(...instances)).toThrow(ConfigurationError);
    expect(() => registry(...instances)).toThrow(message);
  });
});
