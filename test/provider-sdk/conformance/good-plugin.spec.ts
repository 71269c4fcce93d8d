import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHECK_IDS, formatReport } from '#provider-sdk/conformance';
import { tryPlugin } from './try-plugin.js';
import { SmallVendor } from './vendor.js';

let vendor: SmallVendor;
beforeAll(async () => {
  vendor = await SmallVendor.start();
});
afterAll(() => vendor.stop());

describe('a plugin that does as it should', () => {
  it('passes every check, with none left out', async () => {
    const report = await tryPlugin(vendor, () => ({}), { interleavings: 150 });
    expect(formatReport(report)).toContain('0 failed, 0 not applicable: conforms.');
    expect(report.checks.map(({ id }) => id)).toEqual(CHECK_IDS);
  });
});
