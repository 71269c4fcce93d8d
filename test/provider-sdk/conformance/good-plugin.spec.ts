import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHECK_IDS, formatReport } from '#provider-sdk/conformance';
import { PROJECT_DIR } from '../../support/project-dir.js';
import { tryPlugin } from './try-plugin.js';
import { SmallVendor } from './vendor.js';

let vendor: SmallVendor;
beforeAll(async () => {
  vendor = await SmallVendor.start();
});
afterAll(() => vendor.stop());

describe('a plugin that does as it should', () => {
  it('passes every check, with none left out', async () => {
    const report = await tryPlugin(vendor, () => ({}), { interleavings: 60 });
    expect(formatReport(report)).toContain('0 failed, 0 not applicable: conforms.');
    expect(report.checks.map(({ id }) => id)).toEqual(CHECK_IDS);
  });
});

describe('the page about conformance', () => {
  it('explains every check, in the order of the report', async () => {
    const page = await readFile(path.join(PROJECT_DIR, 'docs/plugins/conformance.md'), 'utf8');
    const checks = page.slice(page.indexOf('## The checks'));
    expect([...checks.matchAll(/^### (\w+)$/gm)].map(([, id]) => id)).toEqual(CHECK_IDS);
  });
});
