import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { checkConformance, formatReport } from '#provider-sdk/conformance';
import { firewallMakers } from '../../plugins/firewall/index.js';
import { FortigateSimulator } from '../simulators/fortigate/vendor.js';
import { ADDRESSES_ONLY, DeviceCalls, entryLedgers, inMs } from './device-calls.js';

/** FortiGate, against a simulator made from what others wrote of its API. */

const IP = '203.0.113.7';
const SECRETS = { token: 'token-of-the-first' };
const GROUPS = { addressGroups: { v4: 'riposte-block', v6: 'riposte-block6' } };

const vendor = await FortigateSimulator.start(['token-of-the-first', 'token-of-the-second']);
afterAll(() => vendor.stop());
const fresh = await entryLedgers();
let firewall: DeviceCalls;
let byGroup: DeviceCalls;
beforeEach(() => {
  vendor.reset();
  firewall = new DeviceCalls(firewallMakers.fortigate(), fresh(), { baseUrl: vendor.baseUrl }, SECRETS);
  byGroup = firewall.with(SECRETS, GROUPS);
});

describe('banning at FortiGate', () => {
  it.each([IP, '2001:db8::7'])('bans %s for ever', async (value) => {
    const { outcome } = await firewall.block(value);
    expect(outcome).toMatchObject({ result: { list: 'banned', value }, effect: { changed: true } });
    expect(vendor.bans()).toEqual({ [value]: null });
  });

  it('lets the device keep the end, by its own clock', async () => {
    vendor.aheadMs = 86_400_000;
    await firewall.block(IP, inMs(3_600_000));
    expect(vendor.bans()[IP]).toBeGreaterThan(3590);
    expect(await firewall.maintain()).toMatchObject({ added: 0, problems: [] });
    vendor.skip(3_700_000);
    expect(vendor.bans()).toEqual({});
  });

  it('sets the later end of two owners', async () => {
    await firewall.block(IP, inMs(3_600_000));
    await firewall.block(IP, inMs(7_200_000));
    expect(vendor.bans()[IP]).toBeGreaterThan(7190);
  });

  it('is undone by clearing this one ban', async () => {
    vendor.ban('198.51.100.9', null);
    const blocked = await firewall.block(IP);
    const foreign = await firewall.block('198.51.100.9');
    expect(foreign.outcome.effect).toMatchObject({ changed: false });
    await firewall.undo(blocked);
    await firewall.undo(foreign);
    expect(vendor.bans()).toEqual({ '198.51.100.9': null });
    expect(vendor.changes.map(({ path }) => path)).toEqual([
      'POST monitor/user/banned/add_users',
      'POST monitor/user/banned/clear_users',
    ]);
  });

  it('finds the list where other releases have it, and looks there first then', async () => {
    vendor.select = '';
    await firewall.block(IP);
    const calls = vendor.calls();
    await firewall.maintain();
    expect(vendor.calls() - calls).toBe(1);
  });

  it('is put back after a restart of the device', async () => {
    await firewall.block(IP);
    vendor.reboot();
    expect(await firewall.maintain()).toMatchObject({ added: 1, problems: [] });
    expect(vendor.bans()).toEqual({ [IP]: null });
  });
});

describe('address groups of FortiGate', () => {
  it.each([
    [IP, 'v4', 'riposte-block', 'riposte_203.0.113.7'],
    ['198.51.100.0/24', 'v4', 'riposte-block', 'riposte_198.51.100.0_24'],
    ['2001:db8:7::/48', 'v6', 'riposte-block6', 'riposte_2001:db8:7::_48'],
  ] as const)('get %s as a member, and lose it again', async (value, family, group, name) => {
    const blocked = await byGroup.block(value);
    expect(blocked.outcome.effect).toMatchObject({ changed: true });
    expect([...(vendor[family].groups.get(group) ?? [])]).toContain(name);
    await byGroup.undo(blocked);
    expect([...(vendor[family].groups.get(group) ?? [])]).not.toContain(name);
    expect(vendor[family].addresses.has(name)).toBe(false);
  });

  it('keep a member of somebody else, whatever its name', async () => {
    vendor.group(IP);
    const blocked = await byGroup.block(IP);
    expect(blocked.outcome.effect).toMatchObject({ changed: false });
    await byGroup.undo(blocked);
    expect([...(vendor.v4.groups.get('riposte-block') ?? [])]).toContain(`host ${IP}`);
  });

  it('leave an address object that somebody else uses, too', async () => {
    const blocked = await byGroup.block(IP);
    vendor.v4.groups.set('other', new Set([`riposte_${IP}`]));
    await byGroup.undo(blocked);
    expect([...(vendor.v4.groups.get('riposte-block') ?? [])]).toEqual(['placeholder']);
    expect(vendor.v4.addresses.has(`riposte_${IP}`)).toBe(true);
  });

  it('lose in maintenance what this instance made and nobody knows of, and keep what another made', async () => {
    const settings = { baseUrl: vendor.baseUrl, ...GROUPS };
    const edge = (instance: string): DeviceCalls =>
      new DeviceCalls(firewallMakers.fortigate(), fresh(), settings, SECRETS, instance);
    await edge('edge').block(IP);
    await edge('branch').block('203.0.113.8');
    const restored = edge('edge');
    await restored.block('203.0.113.9');
    expect(await restored.maintain()).toMatchObject({ removed: 1, problems: [] });
    expect([...(vendor.v4.groups.get('riposte-block') ?? [])]).toEqual([
      'placeholder',
      'riposte_203.0.113.8',
      'riposte_203.0.113.9',
    ]);
  });
});

describe('a block that FortiGate does not carry out', () => {
  it.each(['bans', 'groups'])('fails where it says success and has not done it (%s)', async (way) => {
    vendor.isLying = true;
    expect(await (way === 'bans' ? firewall : byGroup).refusal(IP)).toMatch(/^transient: .*shows otherwise/);
  });

  it.each<[string, () => DeviceCalls, RegExp]>([
    [
      'a token that is none',
      () => firewall.with({ token: 'token-of-nobody' }),
      /^auth: FortiGate refused the API token.*trusted hosts/,
    ],
    [
      'a profile that may not',
      () => {
        vendor.forbidden.add('banned');
        return firewall;
      },
      /^permission: FortiGate does not let the token do this \(monitor\/user\/banned in root\)/,
    ],
    [
      'an unknown virtual domain',
      () => firewall.with(SECRETS, { vdom: 'nowhere' }),
      /^permanent: FortiGate refused .* \(424\)\. Check that there is a virtual domain nowhere/,
    ],
    [
      'a release without the list',
      () => {
        vendor.select = null;
        return firewall;
      },
      /^permanent: FortiGate lists no banned addresses \(404\)/,
    ],
    [
      'a missing address group',
      () => {
        vendor.v4.groups.clear();
        return byGroup;
      },
      /^permanent: FortiGate has no address group riposte-block in root\. Make it/,
    ],
    [
      'a full table',
      () => {
        vendor.mostAddresses = 1;
        return byGroup;
      },
      /^capacity: FortiGate refused firewall\/address \(HTTP 500, error -4\): the table is full/,
    ],
  ])('says what to do about %s', async (_what, prepare, message) => {
    const calls = prepare();
    expect(await calls.refusal(IP)).toMatch(message);
  });

  it('does not know what became of a change after an error without a number', async () => {
    vendor.next.push({ status: 200, body: { status: 'success', results: [] } }, { status: 500, body: {} });
    expect(await firewall.refusal(IP)).toMatch(/^unknownOutcome: /);
  });

  it.each([
    [
      'a network',
      'BlockIp',
      { IP: '198.51.100.0/24' },
      /bans single addresses only.*settings\.addressGroups/,
    ],
    ['a domain', 'BlockDomain', { Domain: 'evil.example' }, /no domain.*feed plugin/],
    ['a URL', 'BlockUrl', { URL: 'https://evil.example/x' }, /no URL.*feed plugin/],
  ])('says why %s is not possible', async (_what, action, parameters, why) => {
    expect(await firewall.refusalOf(action, parameters)).toMatch(why);
    expect(vendor.calls()).toBe(0);
  });

  it('says which address group is not configured', async () => {
    const v4Only = firewall.with(SECRETS, { addressGroups: { v4: 'riposte-block' } });
    expect(await v4Only.refusal('2001:db8::7')).toMatch(/set settings\.addressGroups\.v6/);
  });
});

describe('health of FortiGate', () => {
  it('says what was found', async () => {
    expect(await firewall.health()).toMatchObject({ ok: true });
    expect(await byGroup.health()).toMatchObject({ ok: true });
    vendor.v6.groups.clear();
    expect((await byGroup.health())?.message).toMatch(/no address group riposte-block6/);
    expect((await firewall.with({ token: 'nobody' }).health())?.message).toMatch(/refused the API token/);
    const gone = firewall.with(SECRETS, { baseUrl: 'http://127.0.0.1:9' });
    expect((await gone.health())?.message).toMatch(/cannot be reached.*network\.allow of the instance/);
  });
});

it.each([
  ['bans', {}],
  ['address groups', GROUPS],
])(
  'FortiGate passes the conformance kit by %s',
  async (_way, more) => {
    const settings = { baseUrl: vendor.baseUrl, ...more };
    const report = await checkConformance({
      provider: firewallMakers.fortigate,
      instances: [
        { settings, secrets: SECRETS },
        { settings, secrets: { token: 'token-of-the-second' } },
      ],
      samples: { BlockIp: { IP }, UnblockIp: { IP } },
      leaveOut: ADDRESSES_ONLY,
      callTimeoutMs: 2000,
      vendor,
    });
    expect(formatReport(report)).toContain(' 0 failed,');
  },
  120_000,
);
