import { describe, expect, it } from 'vitest';
import { checkConformance, formatReport } from '#provider-sdk/conformance';
import { plugins } from '#plugins';
import { leaveOut, samples } from './mock-samples.js';

/** What is claimed of a shipped plugin is what its author claims: options for the kit, by the plugin's name. */
const SHIPPED = {
  mock: { samples, leaveOut, vendor: null, instances: [{ settings: {} }, { settings: {} }] },
} as const;

describe('a shipped plugin', () => {
  it.each(Object.keys(plugins))('passes the conformance kit: %s', async (name) => {
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
  });
});
