import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { checkConformance, formatReport } from '#provider-sdk/conformance';
import { firewallMakers } from '../../plugins/firewall/index.js';
import { PanosSimulator } from '../simulators/panos/vendor.js';

let vendor: PanosSimulator;
beforeAll(async () => {
  vendor = await PanosSimulator.start(['key-of-the-first']);
  vendor.users.set('riposte-two', 'password of two');
});
afterAll(() => vendor.stop());
beforeEach(() => vendor.reset());

it('passes the conformance kit, with a key and with one that is made of a password', async () => {
  const settings = { baseUrl: vendor.baseUrl };
  const report = await checkConformance({
    provider: firewallMakers.panos,
    instances: [
      { settings, secrets: { apiKey: 'key-of-the-first' } },
      { settings, secrets: { username: 'riposte-two', password: 'password of two' } },
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
}, 120_000);
