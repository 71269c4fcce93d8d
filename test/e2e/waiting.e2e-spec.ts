import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client, NativeAction } from '../support/client.js';
import { TENANT_A, TENANT_B } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';

/** What an action that was not started waits for, as its callers see it. */

interface Waits extends NativeAction {
  readonly waiting: {
    readonly reason: string;
    readonly message: string;
    readonly expectedStartDateTime: string | null;
    readonly blockedBy: string | null;
  } | null;
}

let stack: Stack;
let client: Client;
let stranger: Client;
let operator: Client;

beforeAll(async () => {
  stack = await Stack.start({
    config: `
providers:
  - { id: tight, plugin: mock, tenants: ['${TENANT_A}'], limits: { reserve: 0, windows: [{ calls: 3, perSeconds: 60 }] } }
  - { id: narrow, plugin: mock, subProvider: narrow, limits: { reserve: 0, windows: [{ calls: 1, perSeconds: 3600, actions: [BlockUrl] }] } }
  - { id: free, plugin: mock, subProvider: free }
  - { id: single, plugin: mock, subProvider: single, limits: { concurrency: 1 } }
  - { id: failing, plugin: mock, subProvider: failing, settings: { faultRates: { transient: 1 } } }
`,
  });
  client = await stack.client();
  stranger = await stack.client({ tenant: TENANT_B });
  operator = await stack.client({ roles: ['Riposte.Operator'] });
});
afterAll(() => stack.stop());

const at = (subProvider: string): object => ({
  vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider },
});
const waits = async (id: string): Promise<Waits> => (await client.native(id)) as Waits;

describe('an action that waits for the quota', () => {
  it('shows its place, the quota and when it is expected to start, as they are now', async () => {
    const ids: string[] = [];
    for (let index = 0; index < 6; index += 1)
      ids.push(await client.act('BlockIp', { IP: `10.0.0.${index}` }));
    const allows = 'the provider allows 3 calls a minute.';
    const places = [
      `It is the next one to start: ${allows}`,
      `It is behind 1 other of this tenant: ${allows}`,
      ...[2, 3, 4, 5].map((ahead) => `It is behind ${ahead} others of this tenant: ${allows}`),
    ];
    let told: readonly Waits['waiting'][] = [];
    await eventually(async () => {
      const open = (await Promise.all(ids.map(waits))).filter(({ phase }) => phase === 'throttled');
      told = open.map(({ waiting }) => waiting);
      // Three calls are allowed; the worker asks for the provider's health, and a permit answered too late is not used.
      expect(told.length).toBeGreaterThanOrEqual(3);
      expect(told.map((waiting) => waiting?.message)).toEqual(places.slice(0, told.length));
      return true;
    });
    const starts = told.map((waiting) => Date.parse(waiting?.expectedStartDateTime ?? '') - Date.now());
    expect(Math.min(...starts)).toBeGreaterThan(15_000);
    expect(Math.max(...starts)).toBeLessThan(121_000);
    expect(new Set(told.map((waiting) => waiting?.reason))).toEqual(new Set(['quota']));
  });
});

describe('an action whose own quota is used up', () => {
  it('says so, while others of the provider are started', async () => {
    const block = (url: string): Promise<string> => client.act('BlockUrl', { URL: url }, at('narrow'));
    expect(await client.ended(await block('https://evil.example/1'))).toMatchObject({ status: 'Completed' });
    const id = await block('https://evil.example/2');
    expect(await client.ended(await client.act('BlockIp', { IP: '10.0.3.1' }, at('narrow')))).toMatchObject({
      status: 'Completed',
    });
    expect(await waits(id)).toMatchObject({
      phase: 'throttled',
      waiting: {
        reason: 'quota',
        message: 'It is the next one to start: the provider allows 1 call an hour.',
      },
    });
  });
});

describe('an action that waits for its turn alone', () => {
  it('says how many of its tenant are before it, and when it starts if that goes on as it does', async () => {
    const started = await client.act('BlockIp', { IP: '10.0.4.0' }, at('single'));
    expect(await client.ended(started)).toMatchObject({ status: 'Completed' });
    const busy = await client.act('Hang', {}, at('single'));
    await client.inPhase(busy, 'executing');
    expect((await waits(busy)).waiting).toMatchObject({
      reason: 'vendorWorking',
      message: expect.stringMatching(/^A worker has been calling the provider since .* UTC\.$/) as string,
    });
    const ids: string[] = [];
    for (let index = 1; index <= 3; index += 1)
      ids.push(await client.act('BlockIp', { IP: `10.0.4.${index}` }, at('single')));
    const told = (await Promise.all(ids.map(waits))).map(({ phase, waiting }) => [phase, waiting?.reason]);
    expect(told).toEqual(ids.map(() => ['queued', 'queued']));
    expect((await waits(ids[0] ?? '')).waiting?.message).toBe(
      'It is next, and starts as soon as a worker is free.',
    );
    // Workers tell what they start with their beats.
    await eventually(async () => {
      const { waiting } = await waits(ids[2] ?? '');
      expect(waiting?.message).toBe('It is behind 2 others of this tenant.');
      return Date.parse(waiting?.expectedStartDateTime ?? '') > Date.now();
    });
    // How many others have there is their affair.
    const foreign = await stranger.act('BlockIp', { IP: '10.0.4.9' }, at('single'));
    expect((await stranger.native(foreign)) as Waits).toMatchObject({
      waiting: { reason: 'queued', message: 'It is the next one of this tenant.' },
    });
    await stranger.cancel(foreign);
    for (const id of [...ids, busy]) await client.cancel(id);
  });
});

describe('an action that is under way', () => {
  it('says since when the provider is at work on it, and when it is asked again', async () => {
    const id = await client.act('LongRunning', { durationMs: 600_000 }, at('free'));
    const { waiting, ...action } = (await client.inPhase(id, 'waitingOnVendor')) as Waits;
    expect(waiting).toMatchObject({ reason: 'vendorWorking', expectedStartDateTime: null });
    expect(waiting?.message).toMatch(
      /^The provider has been working on it since .* UTC \(operation .+\)\. Next check at .* UTC\.$/,
    );
    expect(action['currentAttempt']).toMatchObject({
      number: 1,
      vendorOperationId: expect.any(String) as string,
    });
    await client.cancel(id);
    expect((await client.ended(id))['currentAttempt']).toBeNull();
  });

  it('says what the last attempt came to, and when there is another', async () => {
    const id = await client.act('BlockIp', { IP: '10.0.5.1' }, at('failing'));
    const { waiting } = (await client.inPhase(id, 'retrying')) as Waits;
    expect(waiting?.reason).toBe('retrying');
    expect(waiting?.message).toMatch(
      /^Attempt \d+ failed; the next one is due at .* UTC\. The last error: ./,
    );
    expect(Date.parse(waiting?.expectedStartDateTime ?? '')).toBeGreaterThan(0);
    await client.cancel(id);
  });
});

describe('a pause', () => {
  it('holds starts back while what was issued is still asked about, and a resume lets them go within 2 s', async () => {
    const running = await client.act('LongRunning', { durationMs: 4000 }, at('free'));
    await client.inPhase(running, 'waitingOnVendor');
    await operator.post({ reason: 'Upgrade' }, '/api/v1/providers/free/pause');
    const held = await client.act('BlockIp', { IP: '10.0.1.1' }, at('free'));
    const before = (await waits(held)).waiting;
    expect(before).toMatchObject({ reason: 'paused', expectedStartDateTime: null });
    expect(before?.message).toMatch(
      /^The provider instance has been paused since .* UTC: Upgrade\. The action continues when someone resumes it\.$/,
    );
    const both = await stack.client({ roles: ['SecurityActions.Read.All', 'Riposte.Operator'] });
    const { waiting } = (await both.native(held)) as Waits;
    expect(waiting?.message).toMatch(/UTC, by application [0-9a-f-]{36}: Upgrade\./);
    expect(await client.ended(running)).toMatchObject({ status: 'Completed' });
    expect(await waits(held)).toMatchObject({
      status: 'NotStarted',
      phase: 'throttled',
      waiting: { reason: 'paused' },
    });
    // What lets go waits like any.
    const release = await client.act('UnblockIp', { IP: '10.0.1.2' }, at('free'));
    expect((await waits(release)).waiting).toMatchObject({ reason: 'paused' });
    await client.cancel(release);
    const resumed = performance.now();
    await operator.request('POST', '/api/v1/providers/free/resume');
    expect(await client.ended(held)).toMatchObject({ status: 'Completed', waiting: null });
    expect(performance.now() - resumed).toBeLessThan(2000);
  });
});

describe('an action that waits for its target', () => {
  it('names the one before it to its own tenant only', async () => {
    const there = { MachineId: 'host-of-both' };
    const first = await client.act('IsolateMachine', there, at('failing'));
    await client.inPhase(first, 'retrying');
    const second = await client.act('IsolateMachine', there, at('failing'));
    const third = await stranger.act('IsolateMachine', there, at('failing'));
    for (const [who, id, blockedBy] of [
      [client, second, first],
      [stranger, third, null],
    ] as const)
      expect(await who.inPhase(id, 'throttled')).toMatchObject({
        waiting: { reason: 'targetBusy', blockedBy, expectedStartDateTime: null },
      });
  });

  it('names who is before it now, and what else it waits for once nobody is', async () => {
    const there = { MachineId: 'host-of-three' };
    const first = await client.act('IsolateMachine', there, at('failing'));
    await client.inPhase(first, 'retrying');
    const second = await client.act('IsolateMachine', there, at('failing'));
    const third = await client.act('IsolateMachine', there, at('failing'));
    for (const id of [second, third]) await client.inPhase(id, 'throttled');
    await operator.post({ reason: 'Upgrade' }, '/api/v1/providers/failing/pause');
    await client.cancel(first);
    await client.ended(first);
    expect((await waits(second)).waiting).toMatchObject({ reason: 'paused', blockedBy: null });
    expect((await waits(third)).waiting).toMatchObject({ reason: 'targetBusy', blockedBy: second });
  });
});

describe('while Redis is away', () => {
  it('what waits is shown as it is stored, and nobody says what is left of a quota', async () => {
    await stack.redis.stop();
    const id = await client.act('BlockIp', { IP: '10.0.2.1' });
    expect(await waits(id)).toMatchObject({
      status: 'NotStarted',
      phase: 'queued',
      waiting: { reason: 'queued', expectedStartDateTime: null },
    });
    const { body } = await operator.request('GET', '/api/v1/providers/tight');
    expect(body).toMatchObject({ id: 'tight', quota: null });
  });
});
