import {
  checkConformance,
  type CheckId,
  type ConformanceOptions,
  type ConformanceReport,
} from '#provider-sdk/conformance';
import { plugin, samples, type Spoil } from './good-plugin.js';
import type { SmallVendor } from './vendor.js';

/** Runs the kit on the good plugin, or on what `spoil` makes of it. */
export function tryPlugin(
  vendor: SmallVendor,
  spoil: Spoil,
  more: Partial<ConformanceOptions> = {},
): Promise<ConformanceReport> {
  return checkConformance({
    provider: () => plugin(spoil),
    instances: [
      { settings: { baseUrl: vendor.baseUrl }, secrets: { clientSecret: 'secret-of-the-first' } },
      { settings: { baseUrl: vendor.baseUrl }, secrets: { clientSecret: 'secret-of-the-second' } },
    ],
    samples,
    vendor,
    interleavings: 10,
    ...more,
  });
}

/** The checks that failed, with what they said. */
export function failures(report: ConformanceReport): Partial<Record<CheckId, string>> {
  return Object.fromEntries(
    report.checks.flatMap((one) =>
      one.outcome === 'failed'
        ? [[one.id, one.problems.map(({ action, what }) => `${action ?? 'plugin'}: ${what}`).join('; ')]]
        : [],
    ),
  );
}
