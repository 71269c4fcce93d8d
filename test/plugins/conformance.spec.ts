import { readFile } from 'node:fs/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { checkConformance, formatReport } from '#provider-sdk/conformance';
import { plugins } from '#plugins';
import { provider as mock } from '../../plugins/mock/index.js';
import { simulated } from '../simulators/mock-vendor/simulated.js';
import { startMockVendor } from '../simulators/mock-vendor/start.js';
import { leaveOut, samples } from './mock-samples.js';

/** What is claimed of a shipped plugin is what its author claims: options for the kit, by the plugin's name. */
const SHIPPED = {
  mock: { samples, leaveOut, vendor: null, instances: [{ settings: {} }, { settings: {} }] },
  // Firewalls come to it: it calls nobody.
  feed: {
    samples: {
      BlockIp: { IP: '203.0.113.7' },
      UnblockIp: { IP: '203.0.113.7' },
      BlockDomain: { Domain: 'evil.example' },
      UnblockDomain: { Domain: 'evil.example' },
      BlockUrl: { URL: 'https://evil.example/x' },
      UnblockUrl: { URL: 'https://evil.example/x' },
    },
    leaveOut: {},
    vendor: null,
    instances: [
      { settings: {}, secrets: { feedPassword: 'password-of-the-first-feed' } },
      { settings: {}, secrets: { feedPassword: 'password-of-the-second-feed' } },
    ],
  },
} as const;

/** Those that are tried with what they drive, in a file of their own. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  defender: 'test/plugins/defender-conformance.full-spec.ts',
  fortigate: 'test/firewall/fortigate.spec.ts',
  nftables: 'test/firewall/nftables-conformance.spec.ts',
  openc2: 'test/firewall/openc2.spec.ts',
  opnsense: 'test/firewall/opnsense.spec.ts',
  panos: 'test/firewall/panos.spec.ts',
  unbound: 'test/firewall/unbound.spec.ts',
};

describe('a shipped plugin', () => {
  it.each(Object.entries(ELSEWHERE))(
    'passes the conformance kit with its device: %s',
    async (_name, file) => {
      expect(await readFile(file, 'utf8')).toContain('checkConformance(');
    },
  );

  it.each(Object.keys(plugins).filter((name) => !Object.hasOwn(ELSEWHERE, name)))(
    'passes the conformance kit: %s',
    async (name) => {
      const provider = plugins[name];
      const options = SHIPPED[name as keyof typeof SHIPPED];
      if (provider === undefined || options === undefined) throw new TypeError(`no options for ${name}`);
      const report = await checkConformance({ provider, ...options });
      expect(formatReport(report)).toContain(' 0 failed,');
      expect(report.checks.filter(({ outcome }) => outcome === 'passed').map(({ id }) => id)).toEqual([
        'schemaRoundTrip',
        'manifestClaims',
        'deadline',
        'secretsStayInside',
      ]);
    },
  );
});

describe('the mock with a vendor', () => {
  it.each(['key', 'natural', 'lookup', 'none'] as const)(
    'passes the conformance kit in mode %s',
    async (mode) => {
      const vendor = await startMockVendor(mode);
      onTestFinished(() => vendor.stop());
      const settings = { baseUrl: vendor.baseUrl, mode };
      const { BlockIp, IsolateMachine, LongRunning } = samples;
      const names = ['BlockIp', 'IsolateMachine', 'LongRunning'];
      const others = Object.keys(samples).filter((name) => !names.includes(name));
      const report = await checkConformance({
        provider: mock,
        instances: [{ settings }, { settings }],
        samples: { BlockIp, IsolateMachine, LongRunning },
        leaveOut: {
          ...leaveOut,
          ...Object.fromEntries(others.map((name) => [name, 'is as those that are tried'])),
        },
        vendor: simulated(vendor),
        interleavings: 10,
      });
      expect(formatReport(report)).toContain(' 0 failed,');
    },
  );
});
