import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client, NativeAction } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';
import { idOf } from '../simulators/defender/machines.js';
import {
  DEFAULT_APP,
  DEFAULT_SECRET,
  DEFAULT_TENANT,
  DefenderSimulator,
} from '../simulators/defender/simulator.js';

/** Defender for Endpoint from a caller's request to what happens at Defender, and back. */

const LESSER_APP = '33333333-3333-4333-8333-333333333333';
const EXPIRED_APP = '44444444-4444-4444-8444-444444444444';
const WRONG_SECRET = 'a-secret-that-is-wrong';
const ANNA = idOf('ws-anna.contoso.com');

let vendor: DefenderSimulator;
let stack: Stack;
let client: Client;

beforeAll(async () => {
  vendor = await DefenderSimulator.start({
    behaviour: { pendingMs: 100, runningMs: 300 },
    directory: {
      [DEFAULT_TENANT]: {
        [DEFAULT_APP]: { secret: DEFAULT_SECRET },
        [LESSER_APP]: { secret: DEFAULT_SECRET, roles: ['Machine.Read.All', 'Machine.Scan'] },
        [EXPIRED_APP]: { secret: DEFAULT_SECRET, secretExpired: true },
      },
    },
  });
  const instance = (id: string, settings: object = {}, secret = 'DEFENDER_CLIENT_SECRET'): object => ({
    id: `defender-${id}`,
    plugin: 'defender',
    ...(id === 'main' ? {} : { subProvider: id }),
    settings: {
      tenantId: DEFAULT_TENANT,
      clientId: DEFAULT_APP,
      baseUrl: vendor.baseUrl,
      loginUrl: vendor.baseUrl,
      pollEveryMs: 100,
      ...settings,
    },
    secrets: { clientSecret: `env:${secret}` },
    network: { allow: ['127.0.0.0/8'] },
  });
  stack = await Stack.start({
    config: JSON.stringify({
      providers: [
        instance('main'),
        instance('wrong-secret', {}, 'WRONG_SECRET'),
        instance('expired-secret', { clientId: EXPIRED_APP }),
        instance('wrong-tenant', { tenantId: '55555555-5555-4555-8555-555555555555' }),
        instance('no-permission', { clientId: LESSER_APP }),
        { ...instance('unreachable', { baseUrl: 'http://127.0.0.1:9' }), deadlineMs: 2000 },
      ],
    }),
    env: { DEFENDER_CLIENT_SECRET: DEFAULT_SECRET, WRONG_SECRET },
  });
  client = await stack.client();
});
afterAll(async () => {
  await stack.stop();
  await vendor.stop();
});

const at = (subProvider?: string): object => ({
  vendorInformation: {
    vendor: 'Microsoft',
    provider: 'Microsoft Defender for Endpoint',
    ...(subProvider === undefined ? {} : { subProvider }),
  },
});

const act = (name: string, parameters: Readonly<Record<string, string>>, where = at()): Promise<string> =>
  client.act(name, parameters, where);

const isIsolated = (): boolean => vendor.tenant().machines.byId(ANNA).isolated !== null;
const indicatorsNow = (): readonly string[] =>
  vendor
    .tenant()
    .indicators.list({ appId: DEFAULT_APP, everybodys: true })
    .map(({ action, indicatorValue }) => `${action} ${indicatorValue}`);

async function reverted(id: string): Promise<NativeAction> {
  const answer = await client.post<NativeAction>({}, `/api/v1/actions/${id}/revert`);
  expect(answer.status).toBe(201);
  return client.ended(answer.body.id);
}

describe('the example of the Graph documents', () => {
  it('blocks its address at Defender, unchanged', async () => {
    const answer = await client.post({
      name: 'BlockIp',
      actionReason: 'Test',
      parameters: [{ name: 'IP', value: '1.2.3.4' }],
      vendorInformation: { provider: 'Windows Defender ATP', vendor: 'Microsoft' },
    });
    expect(answer.status).toBe(201);
    expect(await client.ended(answer.body.id)).toMatchObject({
      status: 'Completed',
      errorInfo: null,
      vendorInformation: { provider: 'Windows Defender ATP', vendor: 'Microsoft' },
    });
    expect(indicatorsNow()).toEqual(['Block 1.2.3.4']);
    expect(await reverted(answer.body.id)).toMatchObject({ status: 'Completed' });
    expect(indicatorsNow()).toEqual([]);
  });
});

describe('two blocks of one address', () => {
  it('share the indicator, which stays until both are undone', async () => {
    vendor.reset();
    const ids = [await act('BlockIp', { IP: '5.6.7.8' }), await act('BlockIp', { IP: '5.6.7.8' })] as const;
    for (const id of ids) expect(await client.ended(id)).toMatchObject({ status: 'Completed' });
    expect(await reverted(ids[0])).toMatchObject({
      result: { message: 'It stays: 1 other action wants it (Block).' },
    });
    expect(indicatorsNow()).toEqual(['Block 5.6.7.8']);
    await reverted(ids[1]);
    expect(indicatorsNow()).toEqual([]);
  });
});

describe('isolating a machine', () => {
  it('is Completed when Defender has done it, and is undone by a revert', async () => {
    const id = await act('isolate_device', { hostname: 'ws-anna' });
    await client.inPhase(id, 'waitingOnVendor');
    expect(isIsolated()).toBe(false);
    expect(await client.ended(id)).toMatchObject({ status: 'Completed', result: { machineId: ANNA } });
    expect(isIsolated()).toBe(true);
    expect(await reverted(id)).toMatchObject({ status: 'Completed' });
    expect(isIsolated()).toBe(false);
  });

  it('is stopped at Defender when its caller cancels it', async () => {
    vendor.destine({ type: 'Isolate', end: 'stuckPending' });
    const id = await act('IsolateMachine', { MachineId: ANNA });
    await client.inPhase(id, 'waitingOnVendor');
    expect((await client.cancel(id)).status).toBe(200);
    expect(await client.ended(id)).toMatchObject({
      status: 'Failed',
      errorInfo: { code: 499 },
      cancel: { outcome: 'cancelled' },
    });
    expect(isIsolated()).toBe(false);
  });

  it('waits while the machine is busy, and says with what, since when and for whom', async () => {
    vendor.reset();
    vendor.behave({ otherType: 'refused' });
    vendor.destine({ type: 'RunAntiVirusScan', end: 'stuckInProgress' });
    const scan = await act('RunAntivirusScan', { MachineId: ANNA });
    await client.inPhase(scan, 'waitingOnVendor');
    // By another name, so that it is Defender that tells.
    const id = await act('IsolateMachine', { MachineId: 'ws-anna' });
    const waits =
      /RunAntiVirusScan \(machine action .* since 20.* asked for by .*\), and Defender takes no second/;
    expect(await client.inPhase(id, 'throttled')).toMatchObject({
      status: 'Running',
      waiting: { reason: 'targetBusy', message: expect.stringMatching(waits) as string },
    });
    for (const action of [id, scan]) await client.cancel(action);
    for (const action of [id, scan])
      expect(await client.ended(action)).toMatchObject({ errorInfo: { code: 499 } });
  });

  it('is made once where the answer was lost', async () => {
    vendor.reset();
    vendor.fault({ call: 'isolate', how: 'cutAfter' });
    const id = await act('IsolateMachine', { MachineId: ANNA });
    expect(await client.ended(id)).toMatchObject({ status: 'Completed' });
    expect(vendor.counts()).toMatchObject({ isolatesCreated: { [ANNA]: 1 }, isolations: { [ANNA]: 1 } });
  });

  it('by two names at once is made once', async () => {
    vendor.reset();
    const ids = await Promise.all(
      [ANNA, 'ws-anna.contoso.com', '10.0.0.11'].map((MachineId) => act('IsolateMachine', { MachineId })),
    );
    for (const id of ids) expect(await client.ended(id)).toMatchObject({ status: 'Completed' });
    expect(vendor.counts().isolations).toEqual({ [ANNA]: 1 });
  });
});

describe('what goes wrong says what to do, each in its own words', () => {
  it.each([
    [
      'an unreachable vendor',
      'unreachable',
      'ws-bert',
      // By whether another attempt would still have been in time.
      [408, 503],
      /127\.0\.0\.1:9 cannot be reached from this worker.*https to that host has to be open/,
    ],
    ['a wrong secret', 'wrong-secret', 'ws-bert', 401, /client secret .*AADSTS7000215.*clientSecret points/],
    [
      'an expired secret',
      'expired-secret',
      'ws-bert',
      401,
      /has expired \(AADSTS7000222\)\. Make a new one in Entra admin center > App registrations > /,
    ],
    ['a wrong tenant', 'wrong-tenant', 'ws-bert', 401, /knows no tenant 55555555.*settings\.tenantId/],
    ['a missing permission', 'no-permission', 'ws-bert', 403, /lacks .* Machine\.Isolate .*admin consent/],
    [
      'an unknown machine',
      undefined,
      'nobody.contoso.com',
      404,
      /no machine "nobody\.contoso\.com".*onboarded/,
    ],
    ['an ambiguous machine', undefined, 'twin.contoso.com', 409, /2 machines as .*Ask again with the id/],
  ])('%s', async (_what, where, MachineId, code, message) => {
    const id = await act('IsolateMachine', { MachineId }, at(where));
    const { errorInfo, status } = await client.ended(id);
    expect(status).toBe('Failed');
    expect([code].flat()).toContain(errorInfo?.code);
    expect(errorInfo?.message).toMatch(message);
    expect(errorInfo?.message).not.toMatch(/^\s+at |node_modules|\.ts:/m);
    const said = [stack.api, ...stack.workers].map(({ output }) => output).join('');
    for (const secret of [DEFAULT_SECRET, WRONG_SECRET])
      expect(said + errorInfo?.message).not.toContain(secret);
  });

  it('an internal address is refused at once', async () => {
    const answer = await client.post({
      name: 'BlockIp',
      parameters: [{ name: 'IP', value: '10.0.0.1' }],
      ...at(),
    });
    expect(answer).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining('IsolateMachine') as string } },
    });
  });
});

describe('a block that has an end', () => {
  it('is over at Defender and here when that has come', async () => {
    vendor.reset();
    const effectUntil = new Date(Date.now() + 4000).toISOString();
    const id = await client.act(
      'BlockDomain',
      { Domain: 'evil.example' },
      { ...at(), '@riposte.effectUntil': effectUntil },
    );
    expect(await client.ended(id)).toMatchObject({ status: 'Completed' });
    expect(indicatorsNow()).toEqual(['Block evil.example']);
    await eventually(() => indicatorsNow().length === 0, 20_000);
  });
});

describe('health', () => {
  it.each([
    ['main', true, /all permissions are there/],
    ['no-permission', false, /lacks Machine\.Isolate/],
    ['expired-secret', false, /AADSTS7000222/],
  ])('of %s', async (id, ok, message) => {
    const operator = await stack.client({ roles: ['Riposte.Operator'] });
    const answer = await operator.request<{ ok: boolean; message: string }>(
      'POST',
      `/api/v1/providers/defender-${id}/health`,
    );
    expect(answer.body.ok).toBe(ok);
    expect(answer.body.message).toMatch(message);
  });
});
