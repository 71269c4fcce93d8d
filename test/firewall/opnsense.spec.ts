import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { checkConformance, formatReport } from '#provider-sdk/conformance';
import { firewallMakers } from '../../plugins/firewall/index.js';
import { OpnsenseSimulator } from '../simulators/opnsense/vendor.js';
import { eventually } from '../support/eventually.js';
import { Authority } from '../support/tls.js';
import { ADDRESSES_ONLY, DeviceCalls, entryLedgers, inMs } from './device-calls.js';

/** OPNsense, against a simulator made from the source of its controllers. */

const ALIAS = 'riposte_block';
const SECRETS = { apiKey: 'key-of-one', apiSecret: 'secret-of-one' };
const IP = '203.0.113.7';

const vendor = await OpnsenseSimulator.start({
  'key-of-one': 'secret-of-one',
  'key-of-two': 'secret-of-two',
});
afterAll(() => vendor.stop());
const fresh = await entryLedgers();
let firewall: DeviceCalls;
beforeEach(() => {
  vendor.reset();
  firewall = new DeviceCalls(firewallMakers.opnsense(), fresh(), { baseUrl: vendor.baseUrl }, SECRETS);
});

describe('blocking at OPNsense', () => {
  it.each([
    ['an address', IP, '203.0.113.7/32'],
    ['a network', '198.51.100.0/24', '198.51.100.0/24'],
    ['an IPv6 address', '2001:db8::7', '2001:db8::7/128'],
    ['an IPv6 network', '2001:db8:7::/48', '2001:db8:7::/48'],
  ])('puts %s into the table and the configuration', async (_what, value, kept) => {
    const { outcome } = await firewall.block(value);
    expect(outcome).toMatchObject({ result: { list: ALIAS, value }, effect: { changed: true } });
    expect(vendor.table(ALIAS)).toEqual([value]);
    expect(vendor.aliases.get(ALIAS)?.content).toEqual([kept]);
  });

  it('is undone when the last who wants it leaves', async () => {
    const [first, second] = [await firewall.block(IP), await firewall.block(IP)];
    await firewall.undo(first);
    expect(vendor.table(ALIAS)).toEqual([IP]);
    await firewall.undo(second);
    expect(vendor.table(ALIAS)).toEqual([]);
    expect(vendor.aliases.get(ALIAS)?.content).toEqual([]);
  });

  it('leaves what was there before, and does not take it away', async () => {
    vendor.block(ALIAS, IP);
    const blocked = await firewall.block(IP);
    expect(blocked.outcome.effect).toMatchObject({ changed: false });
    await firewall.undo(blocked);
    await firewall.unblock(IP);
    expect(vendor.table(ALIAS)).toEqual([IP]);
  });

  it('ends the connections of what is newly blocked, and of nobody else', async () => {
    vendor.states = [IP, '203.0.113.70', '198.51.100.9'];
    await firewall.block(IP);
    await firewall.block('198.51.100.0/24');
    expect(vendor.states).toEqual(['203.0.113.70']);
  });

  it('completes where connections cannot be ended', async () => {
    vendor.forbidden.add('diagnostics');
    await firewall.block(IP);
    expect(vendor.table(ALIAS)).toEqual([IP]);
  });

  it('reads what old releases list', async () => {
    vendor.isOld = true;
    vendor.block(ALIAS, '198.51.100.9');
    await firewall.block(IP);
    expect(vendor.table(ALIAS)).toEqual(['198.51.100.9', IP]);
  });

  it('makes and loads a missing alias where it may', async () => {
    vendor.aliases.clear();
    const maker = firewall.with(SECRETS, { alias: 'made_here', createAlias: true });
    await maker.block(IP);
    expect(vendor.aliases.get('made_here')).toMatchObject({ type: 'network', enabled: '1' });
    expect(vendor.table('made_here')).toEqual([IP]);
    expect(vendor.requests).toContain('POST /api/firewall/alias/reconfigure');
  });
});

describe('maintenance of OPNsense', () => {
  it('puts back what was lost, and takes away what nobody wants any more', async () => {
    vendor.aliases.clear();
    vendor.define(ALIAS, 'external');
    vendor.reboot();
    await firewall.block(IP, inMs(3_600_000));
    vendor.reboot();
    expect(vendor.table(ALIAS)).toEqual([]);
    expect(await firewall.maintain()).toMatchObject({ added: 1, problems: [] });
    await firewall.block('203.0.113.8', inMs(1000));
    expect(vendor.table(ALIAS)).toEqual([IP, '203.0.113.8']);
    await eventually(async () => {
      await firewall.maintain();
      return vendor.table(ALIAS).length === 1;
    });
    expect(vendor.table(ALIAS)).toEqual([IP]);
  });
});

describe('a block that OPNsense does not carry out', () => {
  it('fails where it says done and has not done it', async () => {
    vendor.isLying = true;
    expect(await firewall.refusal(IP)).toBe(
      `transient: The device said that it took ${IP}, and its list shows otherwise.`,
    );
  });

  it('fails where HTTP 200 says failed', async () => {
    vendor.block(ALIAS, '198.51.100.9');
    vendor.aliases.clear();
    expect(await firewall.refusal(IP)).toMatch(
      /^permanent: OPNsense did not change the alias riposte_block \(failed: nonexistent alias riposte_block\)\. Make an alias/,
    );
  });

  it.each<[string, () => void, RegExp]>([
    [
      'no alias',
      () => vendor.aliases.clear(),
      /^permanent: OPNsense has no alias riposte_block\. Make an alias/,
    ],
    [
      'a user without privileges',
      () => vendor.forbidden.add('alias_util'),
      /^permission: OPNsense does not let the user of the API key do this \(firewall\/alias_util\/list\)/,
    ],
    [
      'another server',
      () => vendor.next.push({ status: 404, body: { status: 404, message: 'Not found' } }),
      /^permanent: There is no OPNsense API at settings\.baseUrl/,
    ],
  ])('says what to do about %s', async (_what, prepare, message) => {
    prepare();
    expect(await firewall.refusal(IP)).toMatch(message);
    expect(vendor.table(ALIAS)).toEqual([]);
  });

  it('says that its key is refused', async () => {
    const stranger = firewall.with({ ...SECRETS, apiSecret: 'not-its-secret' });
    expect(await stranger.refusal(IP)).toMatch(/^auth: OPNsense refused the API key/);
    expect((await stranger.health())?.message).toContain('refused the API key');
  });

  it('says that it cannot be reached', async () => {
    const gone = firewall.with(SECRETS, { baseUrl: 'http://127.0.0.1:9' });
    expect(await gone.refusal(IP)).toMatch(/^unreachable: .*nothing was sent/);
    expect((await gone.health())?.message).toContain('network.allow of the instance');
  });

  it.each([
    ['BlockDomain', { Domain: 'evil.example' }, /packet filter cannot block a domain/],
    ['BlockUrl', { URL: 'https://evil.example/x' }, /packet filter cannot block a URL/],
  ])('says why %s is not possible', async (action, parameters, why) => {
    expect(await firewall.refusalOf(action, parameters)).toMatch(why);
    expect(vendor.requests).toEqual([]);
  });

  it('never is one of the firewall itself', async () => {
    const elsewhere = firewall.with(SECRETS, { baseUrl: 'https://203.0.113.1' });
    expect(await elsewhere.refusal('203.0.113.1')).toMatch(/a host of the vendor/);
  });

  it('never is one of what the name of the firewall stands for', async () => {
    const provider = firewallMakers.opnsense((name) =>
      name === 'fw.example'
        ? Promise.resolve([{ address: '203.0.113.1' }])
        : Promise.reject(Object.assign(new Error(name), { code: 'EAI_AGAIN' })),
    );
    const at = (baseUrl: string) => new DeviceCalls(provider, fresh(), { baseUrl }, SECRETS);
    for (const value of ['203.0.113.1', '203.0.113.0/24', '::ffff:203.0.113.1'])
      expect(await at('https://fw.example').refusal(value)).toMatch(/^permission: .*a host of the vendor/);
    // What cannot be known is not guessed.
    expect(await at('https://gone.example').refusal(IP)).toMatch(
      /^unreachable: The vendor's host gone\.example cannot be looked up \(EAI_AGAIN\).*nothing was sent/,
    );
    expect(vendor.requests).toEqual([]);
  });
});

describe('health of OPNsense', () => {
  it('is well where the alias is there and can be changed', async () => {
    const health = await firewall.health();
    expect(health?.ok).toBe(true);
    expect(health?.message).toMatch(/riposte_block \(network\) is there/);
  });

  it.each<[string, () => void, RegExp]>([
    ['a missing alias', () => vendor.aliases.clear(), /has no alias riposte_block/],
    ['an alias of another type', () => vendor.define(ALIAS, 'urltable'), /is of type urltable/],
    ['a disabled alias', () => vendor.define(ALIAS, 'network', '0'), /is disabled/],
  ])('names %s', async (_what, prepare, message) => {
    prepare();
    const health = await firewall.health();
    expect(health?.ok).toBe(false);
    expect(health?.message).toMatch(message);
  });
});

describe('OPNsense with a certificate of its own', () => {
  let authority: Authority;
  let secured: OpnsenseSimulator;
  beforeAll(async () => {
    authority = await Authority.make();
    secured = await OpnsenseSimulator.start({ 'key-of-one': 'secret-of-one' }, await authority.issue());
  });
  afterAll(() => secured.stop());

  it('is blocked at where the instance trusts its authority', async () => {
    const { cert: ca } = authority;
    const trusting = firewall.with(SECRETS, { baseUrl: secured.baseUrl }).trusting({ ca });
    await trusting.block(IP);
    expect(secured.table(ALIAS)).toEqual([IP]);
    expect((await trusting.health())?.ok).toBe(true);
  });

  it('is told nothing where it does not, and what to do is said', async () => {
    const asked = secured.requests.length;
    const stranger = firewall.with(SECRETS, { baseUrl: secured.baseUrl });
    const said =
      /^unreachable: The certificate of 127\.0\.0\.1 is signed by an authority that this instance does not trust .*nothing was sent\. Set network\.ca/;
    expect(await stranger.refusal(IP)).toMatch(said);
    const health = await stranger.health();
    expect(health?.ok).toBe(false);
    expect(health?.message).toContain('Set network.ca of the instance');
    expect(health?.message).not.toContain('network.allow');
    expect(secured.requests).toHaveLength(asked);
  });
});

it('OPNsense passes the conformance kit', async () => {
  const settings = { baseUrl: vendor.baseUrl };
  const report = await checkConformance({
    provider: firewallMakers.opnsense,
    instances: [
      { settings, secrets: SECRETS },
      { settings, secrets: { apiKey: 'key-of-two', apiSecret: 'secret-of-two' } },
    ],
    samples: { BlockIp: { IP }, UnblockIp: { IP } },
    leaveOut: ADDRESSES_ONLY,
    callTimeoutMs: 2000,
    vendor,
  });
  expect(formatReport(report)).toContain(' 0 failed,');
}, 120_000);
