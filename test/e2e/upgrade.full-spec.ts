import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '#embedded-servers';
import { API_COMMAND } from '../deploy/start-commands.js';
import { Client, mockAction, type GraphAction, type NativeAction } from '../support/client.js';
import { checkOut, earlierVersion, type EarlierCheckout } from '../support/earlier-version.js';
import { eventually } from '../support/eventually.js';
import { Load } from '../support/load.js';
import { ProductProcess } from '../support/product-process.js';
import { PROJECT_DIR } from '../support/project-dir.js';
import { Stack } from '../support/stack.js';
import { startMockVendor, type RunningVendor } from '../simulators/mock-vendor/start.js';

/** From the version before to this one, with actions open; the vendors' ledgers tell what was done how often. */

const version = await earlierVersion();
if (version === null) {
  console.warn(
    'SKIPPED: upgrades are not tested, for the history of this clone does not reach the version before.',
  );
}

let earlier: EarlierCheckout;
beforeAll(async () => {
  if (version !== null) earlier = await checkOut(version);
}, 600_000);
afterAll(() => earlier?.remove());

/** More than a window of their instance has calls. */
const OVER_QUOTA = ['over quota 1', 'over quota 2', 'over quota 3', 'over quota 4', 'over quota 5'];

const at = (subProvider: string): object => ({
  vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider },
});

describe.skipIf(version === null)('stopping an installation and starting it with the next version', () => {
  const vendors = new Map<string, RunningVendor>();
  const ids: Record<string, string> = {};
  const before = new Map<string, NativeAction>();
  let stack: Stack;
  let client: Client;
  let operator: Client;

  const vendorOf = (mode: string): RunningVendor => {
    const vendor = vendors.get(mode);
    if (vendor === undefined) throw new Error(mode);
    return vendor;
  };
  const id = (name: string): string => ids[name] ?? '';
  const ledger = (event: string, name: string): number =>
    [...vendors.values()].flatMap((vendor) =>
      vendor.ledger().filter((entry) => entry.event === event && entry.key === id(name)),
    ).length;
  const make = async (name: string, ...request: Parameters<Client['act']>): Promise<void> => {
    ids[name] = await client.act(...request);
  };
  const keyed = (): Promise<{ readonly status: number; readonly body: GraphAction }> =>
    client.request<GraphAction>('POST', '/beta/security/securityActions', {
      body: JSON.stringify(mockAction('BlockIp', { IP: '10.1.0.1' }, at('key'))),
      headers: { 'content-type': 'application/json', 'idempotency-key': 'across-versions' },
    });

  beforeAll(async () => {
    for (const mode of ['key', 'none', 'natural', 'lookup'] as const)
      vendors.set(mode, await startMockVendor(mode));
    const instance = (name: string, mode: string, limits: object = {}): object => ({
      id: name,
      plugin: 'mock',
      subProvider: name,
      attemptTimeoutMs: 60_000,
      network: { allow: ['127.0.0.0/8'] },
      settings: { mode, baseUrl: vendorOf(mode).baseUrl },
      limits,
    });
    stack = await Stack.start({
      root: earlier.root,
      workers: 2,
      config: JSON.stringify({
        providers: [
          instance('key', 'key'),
          instance('none', 'none'),
          instance('throttled', 'natural'),
          instance('quota', 'lookup', { windows: [{ calls: 3, perSeconds: 60 }] }),
          instance('paused', 'lookup'),
        ],
      }),
    });
    client = await stack.client();
    operator = await stack.client({ roles: ['Riposte.Operator'] });
    expect(await operator.post({ reason: 'Change 4711' }, '/api/v1/providers/paused/pause')).toMatchObject({
      status: 200,
    });

    await make('done', 'BlockIp', { IP: '10.0.0.1' }, at('key'));
    await make('failed', 'FailAlways', { code: 403, message: 'no' }, at('none'));
    await make('toRevert', 'BlockIp', { IP: '10.0.0.2' }, at('key'));
    for (const name of ['done', 'failed', 'toRevert']) await client.ended(id(name));
    for (const name of OVER_QUOTA)
      await make(name, 'BlockIp', { IP: `10.2.0.${OVER_QUOTA.indexOf(name)}` }, at('quota'));
    await make('paused', 'BlockIp', { IP: '10.0.0.5' }, at('paused'));
    await vendorOf('natural').behave({ rateLimit: 1 });
    await make('throttled', 'BlockIp', { IP: '10.0.0.6' }, at('throttled'));
    await make('retried', 'FailTimes', { times: 4 }, at('key'));
    for (const name of ['throttled', 'retried']) {
      await eventually(async () => (await client.native(id(name))).attempts.length > 0);
    }
    await make('long', 'LongRunning', { durationMs: 45_000 }, at('key'));
    await make('toCancel', 'LongRunning', { durationMs: 600_000 }, at('none'));
    for (const name of ['long', 'toCancel']) await client.inPhase(id(name), 'waitingOnVendor');
    for (const mode of ['key', 'none']) await vendorOf(mode).behave({ executeAndHang: 1 });
    await make('in doubt', 'IsolateMachine', { MachineId: 'host-1', UnlockPin: 'hunter2' }, at('key'));
    await make('unknowable', 'BlockIp', { IP: '10.0.0.7' }, at('none'));
    for (const name of ['in doubt', 'unknowable']) await eventually(() => ledger('executed', name) === 1);
    for (const mode of ['key', 'none']) await vendorOf(mode).behave({});
    await make('behind it', 'RunAntivirusScan', { MachineId: 'host-1' }, at('key'));
    await make(
      'toBeLifted',
      'BlockIp',
      { IP: '10.0.0.8' },
      {
        ...at('key'),
        '@riposte.effectUntil': new Date(Date.now() + 40_000).toISOString(),
      },
    );
    await client.ended(id('toBeLifted'));

    await Promise.all(stack.workers.map((worker) => worker.end()));
    await make('cancelled', 'BlockIp', { IP: '10.0.0.9' }, at('key'));
    await client.cancel(id('cancelled'));
    await client.cancel(id('toCancel'));
    await make('queued', 'BlockIp', { IP: '10.0.0.10' }, at('key'));
    await make('sealed', 'IsolateMachine', { MachineId: 'host-2', UnlockPin: 'hunter2' }, at('key'));
    ids['revert'] = (await client.post<NativeAction>({}, `/api/v1/actions/${id('toRevert')}/revert`)).body.id;
    ids['keyed'] = (await keyed()).body.id;
    for (const name of Object.keys(ids)) before.set(name, await client.native(id(name)));
    expect(OVER_QUOTA.map((name) => before.get(name)?.status)).toContain('NotStarted');
    await stack.api.end();

    await vendorOf('natural').behave({});
    stack.api = await stack.startApi();
    for (let count = 0; count < 2; count += 1) await stack.startWorker().ready();
  }, 300_000);
  afterAll(async () => {
    await stack?.stop();
    for (const vendor of vendors.values()) await vendor.stop();
  });

  it('leaves what had ended as it was', async () => {
    for (const name of ['done', 'failed', 'cancelled']) {
      const { states, errorInfo, attempts, completedDateTime } = before.get(name) as NativeAction;
      expect(await client.native(id(name)), name).toMatchObject({
        states,
        errorInfo,
        attempts,
        completedDateTime,
      });
    }
  });

  it.each([
    'queued',
    'sealed',
    'keyed',
    'long',
    'in doubt',
    'behind it',
    'throttled',
    ...OVER_QUOTA,
    'toBeLifted',
  ])(
    'completes what was open, once: %s',
    async (name) => {
      expect(await client.ended(id(name), 150_000)).toMatchObject({ status: 'Completed' });
      expect(ledger('executed', name)).toBe(1);
    },
    120_000,
  );

  it('goes on with attempts where they were', async () => {
    const { attempts } = await client.ended(id('retried'), 90_000);
    expect(attempts.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5]);
    expect(attempts.at(-1)).toMatchObject({ outcome: 'completed' });
  }, 120_000);

  it('never issues again what nobody can tell about, and lets a person say it', async () => {
    const action = await client.ended(id('unknowable'), 60_000);
    expect(action).toMatchObject({ status: 'Failed', phase: 'outcomeUnknown', errorInfo: { code: 520 } });
    expect(ledger('executed', 'unknowable')).toBe(1);
    const { status } = await client.post(
      { verdict: 'applied', note: 'It is there.' },
      `/api/v1/actions/${id('unknowable')}/resolve`,
    );
    expect(status).toBe(200);
  });

  it('cancels at the vendor what was to be cancelled', async () => {
    expect(await client.ended(id('toCancel'), 60_000)).toMatchObject({ phase: 'cancelledAtProvider' });
    expect([ledger('executed', 'toCancel'), ledger('executed', 'cancelled')]).toEqual([1, 0]);
  });

  it('undoes what was to be undone, once', async () => {
    expect(await client.ended(id('revert'), 60_000)).toMatchObject({ status: 'Completed' });
    const lift = await eventually(
      async () => (await client.native(id('toBeLifted')))['revertedBy'] as string | null,
      60_000,
    );
    ids['lift'] = lift;
    expect(await client.ended(lift, 30_000)).toMatchObject({ status: 'Completed' });
    expect([ledger('undone', 'revert'), ledger('undone', 'lift')]).toEqual([1, 1]);
  }, 120_000);

  it('keeps a pause until somebody ends it', async () => {
    expect(await client.native(id('paused'))).toMatchObject({ status: 'NotStarted' });
    expect(ledger('executed', 'paused')).toBe(0);
    expect(await operator.post({}, '/api/v1/providers/paused/resume')).toMatchObject({ status: 200 });
    expect(await client.ended(id('paused'), 30_000)).toMatchObject({ status: 'Completed' });
    expect(ledger('executed', 'paused')).toBe(1);
  });

  it('knows the keys of repeated requests', async () => {
    expect((await keyed()).body.id).toBe(id('keyed'));
    expect(ledger('executed', 'keyed')).toBe(1);
  });

  it('goes on with histories, and takes nothing of them back', async () => {
    for (const [name, { states }] of before) {
      expect((await client.native(id(name))).states.slice(0, states.length), name).toEqual(states);
    }
  });
});

describe.skipIf(version === null).each([
  ['workers first', 'next', ['worker', 'api']],
  ['the API first', 'next', ['api', 'worker']],
  ['back to the version before', 'back', ['worker', 'api']],
] as const)('changing the version while callers go on: %s', (_how, direction, order) => {
  const vendors: RunningVendor[] = [];
  let stack: Stack;
  let load: Load;

  beforeAll(async () => {
    const instances: object[] = [];
    for (const mode of ['key', 'natural', 'lookup'] as const) {
      const vendor = await startMockVendor(mode);
      vendors.push(vendor);
      await vendor.behave({ rateLimit: 0.05, serverError: 0.05, latencyMs: 20 });
      instances.push({
        id: mode,
        plugin: 'mock',
        subProvider: mode,
        network: { allow: ['127.0.0.0/8'] },
        settings: { mode, baseUrl: vendor.baseUrl },
      });
    }
    const [from, to] = direction === 'next' ? [earlier.root, PROJECT_DIR] : [PROJECT_DIR, earlier.root];
    stack = await Stack.start({ root: from, workers: 2, config: JSON.stringify({ providers: instances }) });
    let client = await stack.client();
    load = new Load(() => client, ['key', 'natural', 'lookup']);
    await load.accepted(50);

    const change = {
      async worker() {
        const old = [...stack.workers];
        for (const worker of old) {
          await stack.startWorker(to).ready();
          await load.accepted(50);
          await worker.end();
        }
      },
      async api() {
        const port = await freePort();
        const next = new ProductProcess(API_COMMAND, { ...stack.env, PORT: String(port) }, to);
        await next.ready();
        const old = stack.api;
        stack.api = next;
        // The callers' load balancer turns to the new one; who is at the old one yet is answered there.
        client = new Client(`http://127.0.0.1:${port}`, client.token);
        await load.accepted(50);
        await old.end();
      },
    };
    for (const process of order) {
      await change[process]();
      await load.accepted(50);
    }
    await load.stop();
  }, 300_000);
  afterAll(async () => {
    await stack?.stop();
    await Promise.all(vendors.map((vendor) => vendor.stop()));
  });

  it('loses no request', () => {
    expect(load.answers.filter(({ status }) => status !== 201)).toEqual([]);
  });

  it('carries out each action once', async () => {
    // What a vendor with lookups answered with an error is looked for for a minute, with up to 15 s between two looks.
    expect(await load.misdone(vendors, 120_000)).toEqual([]);
  }, 180_000);
});
