import { describe, expect, it, onTestFinished } from 'vitest';
import { formatReport } from '#provider-sdk/conformance';
import { tryPlugin } from './try-plugin.js';
import { SmallVendor } from './vendor.js';

describe('a plugin that does as it should', () => {
  it.each([1, 2, 3])(
    'passes 1,000 interleavings of a cancel with the end, seed %i',
    async (seed) => {
      const vendor = await SmallVendor.start();
      onTestFinished(() => vendor.stop());
      const report = await tryPlugin(vendor, () => ({}), { only: ['cancelRace'], interleavings: 1000, seed });
      expect(formatReport(report)).toContain('1 passed, 0 failed');
    },
    120_000,
  );
});
