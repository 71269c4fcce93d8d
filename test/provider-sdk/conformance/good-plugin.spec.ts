import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHECK_IDS, checkConformance, formatReport } from '#provider-sdk/conformance';
import { plugin, samples } from './good-plugin.js';
import { plainVendorHttp } from '../../support/plain-vendor-http.js';
import { SmallVendor } from './vendor.js';

let vendor: SmallVendor;
beforeAll(async () => {
  vendor = await SmallVendor.start();
});
afterAll(() => vendor.stop());

describe('a plugin that does as it should', () => {
  it('passes every check, 1,000 interleavings of a cancel included', async () => {
    const report = await checkConformance({
      provider: plugin,
      instances: [
        { settings: { baseUrl: vendor.baseUrl }, secrets: { clientSecret: 'secret-of-the-first' } },
        { settings: { baseUrl: vendor.baseUrl }, secrets: { clientSecret: 'secret-of-the-second' } },
      ],
      samples,
      vendor,
      http: plainVendorHttp,
    });
    expect(formatReport(report)).toContain('0 failed, 0 not applicable: conforms.');
    expect(report.checks.map(({ id }) => id)).toEqual(CHECK_IDS);
  });
});
