import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkConformance, formatReport } from '#provider-sdk/conformance';
import { declaredProvider } from '../../plugins/http/index.js';
import { SmallVendor } from '../provider-sdk/conformance/vendor.js';

/** A definition that uses most of the language, tried as any plugin is. */

const file = 'test/fixtures/acme.provider.yaml';
const definition = await readFile(file, 'utf8');

let vendor: SmallVendor;
beforeAll(async () => {
  vendor = await SmallVendor.start();
});
afterAll(() => vendor.stop());

it('a definition that polls, cancels and undoes passes the conformance kit', async () => {
  const instance = (clientSecret: string): object => ({
    settings: { baseUrl: vendor.baseUrl },
    secrets: { clientSecret },
  });
  const report = await checkConformance({
    provider: () => declaredProvider(definition, file),
    instances: [instance('secret-of-the-first'), instance('secret-of-the-second')] as never,
    samples: {
      BlockIp: { IP: '203.0.113.7' },
      Scan: { Target: 'host-7', Pin: 'pin-of-the-machine' },
      Reboot: { Target: 'host-7' },
    },
    vendor,
    interleavings: 40,
  });
  expect(formatReport(report)).toContain(' 0 failed,');
});
