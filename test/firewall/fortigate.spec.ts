import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { checkConformance, formatReport } from '#provider-sdk/conformance';
import { firewallMakers } from '../../plugins/firewall/index.js';
import { FortigateSimulator } from '../simulators/fortigate/vendor.js';

let vendor: FortigateSimulator;
beforeAll(async () => {
  vendor = await FortigateSimulator.start(['token-of-the-first', 'token-of-the-second']);
});
afterAll(() => vendor.stop());
beforeEach(() => vendor.reset());

it.each([{}, { addressGroups: { v4: 'riposte-block' } }])(
  'passes the conformance kit',
  async (more) => {
    const settings = { baseUrl: vendor.baseUrl, ...more };
    const report = await checkConformance({
      provider: firewallMakers.fortigate,
      instances: [
        { settings, secrets: { token: 'token-of-the-first' } },
        { settings, secrets: { token: 'token-of-the-second' } },
      ],
      samples: { BlockIp: { IP: '203.0.113.7' }, UnblockIp: { IP: '203.0.113.7' } },
      leaveOut: {
        BlockDomain: 'a packet filter sees addresses only',
        UnblockDomain: 'a packet filter sees addresses only',
        BlockUrl: 'a packet filter sees addresses only',
        UnblockUrl: 'a packet filter sees addresses only',
      },
      callTimeoutMs: 2000,
      vendor,
    });
    console.log(formatReport(report));
    expect(formatReport(report)).toContain(' 0 failed,');
  },
  120_000,
);
