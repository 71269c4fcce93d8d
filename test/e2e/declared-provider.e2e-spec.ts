import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SmallVendor } from '../provider-sdk/conformance/vendor.js';
import type { Client } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { PROJECT_DIR } from '../support/project-dir.js';
import { Stack } from '../support/stack.js';

/** A vendor described in YAML, from the configuration to its effects. */

let vendor: SmallVendor;
let stack: Stack;
let client: Client;

beforeAll(async () => {
  vendor = await SmallVendor.start();
  const definition = path.join(PROJECT_DIR, 'test/fixtures/acme.provider.yaml');
  const instance = {
    id: 'acme',
    plugin: 'acme',
    network: { allow: ['127.0.0.0/8'] },
    settings: { baseUrl: vendor.baseUrl },
    secrets: { clientSecret: 'env:ACME_SECRET' },
  };
  stack = await Stack.start({
    config: JSON.stringify({ plugins: { acme: { definition } }, providers: [instance] }),
    env: { ACME_SECRET: 'secret-of-the-stack' },
  });
  client = await stack.client();
});
afterAll(async () => {
  await stack.stop();
  await vendor.stop();
});

const at = { vendorInformation: { vendor: 'Acme', provider: 'EDR' } };

describe('a vendor described in YAML', () => {
  it('carries out what a caller asks for', async () => {
    const id = await client.act('BlockIp', { IP: '203.0.113.7' }, at);
    expect(await client.ended(id)).toMatchObject({ status: 'Completed' });
    expect([...vendor.blocks]).toEqual(['203.0.113.7']);
  });

  it('is asked how far it is, and stopped when the caller wants it', async () => {
    const [finished, stopped] = (await Promise.all(
      ['host-7', 'host-8'].map((Target) => client.act('Scan', { Target }, at)),
    )) as [string, string];
    const jobOf = (key: string): string | undefined =>
      [...vendor.jobs.values()].find(({ tag }) => tag === key)?.id;
    await Promise.all([
      client.inPhase(finished, 'waitingOnVendor'),
      client.inPhase(stopped, 'waitingOnVendor'),
    ]);
    await eventually(() => jobOf(finished) !== undefined && jobOf(stopped) !== undefined);
    vendor.finish(jobOf(finished) ?? '');
    await client.cancel(stopped);
    expect(await client.ended(finished)).toMatchObject({ status: 'Completed' });
    expect(await client.ended(stopped)).toMatchObject({
      status: 'Failed',
      cancel: { outcome: 'cancelled' },
    });
    expect(vendor.jobs.get(jobOf(stopped) ?? '')?.status).toBe('cancelled');
  });
});
