import { readFile } from 'node:fs/promises';
import { expect, inject, it, onTestFinished } from 'vitest';
import { isFinal, type SecurityAction } from '#domain';
import { ProviderRegistry, RunAction } from '#engine';
import { BullActionQueue } from '#queue';
import { createLogger } from '#telemetry';
import { declaredProvider } from '../../plugins/http/index.js';
import { CloudflareSimulator } from '../simulators/cloudflare/vendor.js';
import { CALLER, freshDatabase, newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { SEAL } from '../support/secrets.js';

it('an action of a vendor described in YAML runs through the engine, and survives a vendor in trouble', async () => {
  const file = 'plugins/http/examples/cloudflare.provider.yaml';
  const vendor = await CloudflareSimulator.start(['token-of-one']);
  onTestFinished(() => vendor.stop());
  const instance = 'edge';
  const scopeId = '023e105f4ecef8ad9ca31a8372d0c353';
  const registry = new ProviderRegistry(
    [
      {
        id: instance,
        plugin: 'cloudflare',
        tenants: ['*'],
        settings: { baseUrl: vendor.baseUrl, scopeId },
        secrets: { apiToken: 'token-of-one' },
        concurrency: 4,
        network: { allow: ['127.0.0.0/8'], ports: [] },
      },
    ],
    { cloudflare: declaredProvider(await readFile(file, 'utf8'), file) },
  );
  const queue = new BullActionQueue(inject('redisUrl'), [instance], () => undefined);
  onTestFinished(() => queue.close());
  const { actions: store } = await freshDatabase();
  const log = createLogger('riposte-test', 'silent');
  const runner = new RunAction({ store, queue, registry, seal: SEAL, log, workerId: 'test' });
  // The look is answered; what the vendor made of the request, its answer does not tell.
  vendor.next.push({ status: 200, body: { success: true, result: [] } }, { status: 502, body: {} });
  const { id } = await store.create(
    newAction({
      instance,
      actionName: 'BlockIp',
      name: 'BlockIp',
      parameters: [{ name: 'IP', value: '203.0.113.7' }],
      idempotency: 'natural',
    }),
  );
  const ended = (await eventually(async () => {
    await runner.look(
      { actionId: id, instance, actionName: '', why: 'follow', isRelease: false, polls: true },
      new AbortController().signal,
    );
    const action = await store.find(CALLER.tenantId, id);
    return action !== null && isFinal(action.status) && action;
  }, 30_000)) as SecurityAction;
  const [rule] = [...vendor.rules.values()];
  expect(ended).toMatchObject({ status: 'Completed', result: { ruleId: rule?.id } });
  expect(ended.effect).toEqual({ changed: true, ids: [rule?.id] });
  expect(vendor.effects()).toHaveLength(1);
});
