import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { checkConformance, formatReport } from '#provider-sdk/conformance';
import { firewallMakers } from '../../plugins/firewall/index.js';
import { OpnsenseSimulator } from '../simulators/opnsense/vendor.js';

let vendor: OpnsenseSimulator;
beforeAll(async () => {
  vendor = await OpnsenseSimulator.start({ 'key-of-one': 'secret-of-one', 'key-of-two': 'secret-of-two' });
});
afterAll(() => vendor.stop());
beforeEach(() => vendor.reset());

it('passes the conformance kit', async () => {
  const instance = (name: string): object => ({
    settings: { baseUrl: vendor.baseUrl },
    secrets: { apiKey: `key-of-${name}`, apiSecret: `secret-of-${name}` },
  });
  const report = await checkConformance({
    provider: firewallMakers.opnsense,
    instances: [instance('one'), instance('two')] as never,
    samples: { BlockIp: { IP: '203.0.113.7' }, UnblockIp: { IP: '203.0.113.7' } },
    leaveOut: {
      BlockDomain: 'a packet filter sees addresses only',
      UnblockDomain: 'a packet filter sees addresses only',
      BlockUrl: 'a packet filter sees addresses only',
      UnblockUrl: 'a packet filter sees addresses only',
    },
    vendor,
  });
  console.log(formatReport(report));
  expect(formatReport(report)).toContain(' 0 failed,');
}, 120_000);
