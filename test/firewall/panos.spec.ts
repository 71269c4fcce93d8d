import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { checkConformance, formatReport } from '#provider-sdk/conformance';
import { firewallMakers } from '../../plugins/firewall/index.js';
import { PanosSimulator } from '../simulators/panos/vendor.js';
import { ADDRESSES_ONLY, DeviceCalls, entryLedgers, inMs } from './device-calls.js';

/** PAN-OS, against a simulator made from the documentation of its XML API. */

const TAG = 'riposte-block';
const IP = '203.0.113.7';
const SECRETS = { apiKey: 'key-of-the-first' };
const USER = { username: 'riposte-two', password: 'password of two & more' };
const DAY_S = 86_400;

const vendor = await PanosSimulator.start([SECRETS.apiKey]);
vendor.users.set(USER.username, USER.password);
afterAll(() => vendor.stop());
const fresh = await entryLedgers();
let firewall: DeviceCalls;
beforeEach(() => {
  vendor.reset();
  firewall = new DeviceCalls(firewallMakers.panos(), fresh(), { baseUrl: vendor.baseUrl }, SECRETS);
});

describe('blocking at PAN-OS', () => {
  it.each([IP, '198.51.100.0/24', '2001:db8::7'])('gives %s the tag, without a commit', async (value) => {
    const { outcome } = await firewall.block(value);
    expect(outcome).toMatchObject({ result: { list: TAG, value }, effect: { changed: true } });
    expect(vendor.tagged(TAG)).toEqual({ [value]: 0 });
    expect(new Set(vendor.requests)).toEqual(new Set(['op', 'user-id']));
  });

  it('is undone when the last who wants it leaves', async () => {
    const [first, second] = [await firewall.block(IP), await firewall.block(IP)];
    await firewall.undo(first);
    expect(vendor.tagged(TAG)).toEqual({ [IP]: 0 });
    await firewall.undo(second);
    expect(vendor.tagged(TAG)).toEqual({});
  });

  it('says that it changed something, when it is repeated, too, and not where another action had blocked it', async () => {
    const { actionId } = await firewall.block(IP);
    const repeated = await firewall.block(IP, undefined, actionId);
    expect(repeated.outcome.effect).toMatchObject({ changed: true });
    expect((await firewall.block(IP)).outcome.effect).toMatchObject({ changed: false });
  });

  it('leaves what was tagged before, and other tags of an address', async () => {
    vendor.give('198.51.100.9', TAG);
    vendor.give(IP, 'quarantine');
    const foreign = await firewall.block('198.51.100.9');
    expect(foreign.outcome.effect).toMatchObject({ changed: false });
    expect(await firewall.undo(foreign)).toMatchObject({
      effect: { changed: false },
      result: { message: expect.stringContaining('stays blocked, not by Riposte') as string },
    });
    await firewall.undo(await firewall.block(IP));
    expect(vendor.tagged(TAG)).toEqual({ '198.51.100.9': 0 });
    expect(vendor.tagged('quarantine')).toEqual({ [IP]: 0 });
  });

  it('sends a burst in few messages', async () => {
    const values = Array.from({ length: 120 }, (_, index) => `203.0.113.${index + 1}`);
    await Promise.all(values.map((value) => firewall.block(value)));
    expect(Object.keys(vendor.tagged(TAG))).toHaveLength(120);
    expect(vendor.requests.filter((type) => type === 'user-id').length).toBeLessThan(20);
  });

  it('reads more than a page', async () => {
    vendor.most = 2000;
    for (let index = 0; index < 1100; index += 1)
      vendor.give(`198.51.${Math.floor(index / 250)}.${(index % 250) + 1}`, TAG);
    const blocked = await firewall.block('198.51.4.100');
    expect(blocked.outcome.effect).toMatchObject({ changed: false });
  });

  it('speaks of its virtual system', async () => {
    await firewall.with(SECRETS, { vsys: 'vsys2' }).block(IP);
    expect([vendor.tagged(TAG, 'vsys1'), vendor.tagged(TAG, 'vsys2')]).toEqual([{}, { [IP]: 0 }]);
  });

  it('with user and password makes a key once, and a new one where that was revoked', async () => {
    const byUser = firewall.with(USER);
    await byUser.block(IP);
    await byUser.block('203.0.113.8');
    expect(vendor.requests.filter((type) => type === 'keygen')).toHaveLength(1);
    for (const key of vendor.keys) if (key !== SECRETS.apiKey) vendor.keys.delete(key);
    await byUser.block('203.0.113.9');
    expect(vendor.requests.filter((type) => type === 'keygen')).toHaveLength(2);
    expect(Object.keys(vendor.tagged(TAG))).toHaveLength(3);
  });
});

describe('the end of a block at PAN-OS', () => {
  it('is kept by the device', async () => {
    await firewall.block(IP, inMs(3_600_000));
    expect(vendor.tagged(TAG)[IP]).toBeGreaterThan(3590);
    expect(vendor.tagged(TAG)[IP]).toBeLessThanOrEqual(3600);
    vendor.skip(3_600_000);
    expect(vendor.tagged(TAG)).toEqual({});
  });

  it.each([false, true])('is the later one of two owners (says that it exists: %s)', async (isStrict) => {
    vendor.isStrict = isStrict;
    await firewall.block(IP, inMs(3_600_000));
    await firewall.block(IP, inMs(7_200_000));
    expect(vendor.tagged(TAG)[IP]).toBeGreaterThan(7190);
    await firewall.block(IP);
    expect(vendor.tagged(TAG)).toEqual({ [IP]: 0 });
  });

  it('is left to the engine where it is later than the device can keep', async () => {
    await firewall.block(IP, inMs(31 * DAY_S * 1000));
    expect(vendor.tagged(TAG)).toEqual({ [IP]: 0 });
    const writes = vendor.requests.filter((type) => type === 'user-id').length;
    await firewall.maintain();
    expect(vendor.requests.filter((type) => type === 'user-id')).toHaveLength(writes);
  });

  it('does not write it again and again to a release that does not tell it', async () => {
    vendor.tellsTimeouts = false;
    await firewall.block(IP, inMs(3_600_000));
    expect(await firewall.maintain()).toMatchObject({ added: 0, removed: 0, problems: [] });
    expect(vendor.requests.filter((type) => type === 'user-id')).toHaveLength(1);
  });
});

it('maintenance of PAN-OS tags again what lost its tag', async () => {
  await firewall.block(IP, inMs(7_200_000));
  vendor.skip(7_200_000);
  expect(vendor.tagged(TAG)).toEqual({});
  expect(await firewall.maintain()).toMatchObject({ added: 1, problems: [] });
  expect(Object.keys(vendor.tagged(TAG))).toEqual([IP]);
});

describe('a block that PAN-OS does not carry out', () => {
  it('fails where it says success and has not done it', async () => {
    vendor.isLying = true;
    expect(await firewall.refusal(IP)).toMatch(/^transient: .*its list shows otherwise/);
  });

  it.each<[string, () => void, RegExp]>([
    [
      'a role that may not read',
      () => vendor.forbidden.add('op'),
      /^permission: PAN-OS says: Type \[op\] not authorized for user role\. Give the administrator/,
    ],
    [
      'a role that may not write',
      () => vendor.forbidden.add('user-id'),
      /^permission: PAN-OS says: Type \[user-id\] not authorized/,
    ],
    ['a full table', () => (vendor.most = 0), /^capacity: PAN-OS says: max registered-ip .* release some\.$/],
    [
      'an internal error while reading',
      () =>
        vendor.next.push({
          status: 200,
          xml: '<response status="error" code="11"><msg>busy</msg></response>',
        }),
      /^transient: PAN-OS says: busy/,
    ],
    [
      'a page instead of the API',
      () => vendor.next.push({ status: 200, xml: '<html><body>Welcome</body></html>' }),
      /^transient: What answers at settings\.baseUrl \(HTTP 200\) does not speak the XML API/,
    ],
    [
      'a document with entities of its own',
      () =>
        vendor.next.push({
          status: 200,
          xml: '<!DOCTYPE r [<!ENTITY a "aaaa">]><response status="success"><result>&a;</result></response>',
        }),
      /^transient: What answers/,
    ],
  ])('says what to do about %s', async (_what, prepare, message) => {
    prepare();
    expect(await firewall.refusal(IP)).toMatch(message);
    expect(vendor.tagged(TAG)).toEqual({});
  });

  it('does not know what became of a message after an internal error', async () => {
    const read = '<response status="success"><result><count>0</count></result></response>';
    vendor.next.push(
      { status: 200, xml: read },
      { status: 200, xml: '<response status="error" code="21"><msg>Internal error</msg></response>' },
    );
    expect(await firewall.refusal(IP)).toMatch(/^unknownOutcome: PAN-OS says: Internal error/);
  });

  it('says that a key, a password or both are refused or missing', async () => {
    expect(await firewall.with({ apiKey: 'key-of-nobody' }).refusal(IP)).toMatch(
      /^auth: PAN-OS says: Invalid Credential\. Make a new key/,
    );
    expect(await firewall.with({ ...USER, password: 'wrong password' }).refusal(IP)).toMatch(/^auth: /);
    expect(await firewall.with({}).refusal(IP)).toMatch(/^auth: PAN-OS needs a key: give secrets\.apiKey/);
  });

  it('never shows a secret that the vendor repeats', async () => {
    vendor.next.push({
      status: 200,
      xml: `<response status="error" code="17"><msg>bad key ${SECRETS.apiKey}</msg></response>`,
    });
    expect(await firewall.refusal(IP)).toMatch(/^permanent: PAN-OS says: bad key \[redacted\]/);
  });

  it('fails for the network alone where the release knows none', async () => {
    vendor.release = 9;
    const [network, host] = await Promise.all([firewall.refusal('198.51.100.0/24'), firewall.block(IP)]);
    expect(network).toMatch(
      /^invalidInput: PAN-OS says: invalid ip .* Networks and ranges need PAN-OS 10\.0\.$/,
    );
    expect(host.outcome.effect).toMatchObject({ changed: true });
  });

  it.each([
    ['an IPv6 network', 'BlockIp', { IP: '2001:db8:7::/48' }, /single IPv6 addresses only/],
    ['a domain', 'BlockDomain', { Domain: 'evil.example' }, /to an address, not to a domain/],
    ['a URL', 'BlockUrl', { URL: 'https://evil.example/x' }, /to an address, not to a URL/],
  ])('says why %s is not possible', async (_what, action, parameters, why) => {
    expect(await firewall.refusalOf(action, parameters)).toMatch(why);
    expect(vendor.requests).toEqual([]);
  });
});

describe('health of PAN-OS', () => {
  it('is well where the tag can be read', async () => {
    expect(await firewall.health()).toMatchObject({ ok: true });
  });

  it('says what is wrong', async () => {
    const said = async (calls: DeviceCalls): Promise<unknown> => (await calls.health())?.message;
    expect(await said(firewall.with({ apiKey: 'key-of-nobody' }))).toMatch(/Invalid Credential/);
    expect(await said(firewall.with(SECRETS, { vsys: 'vsys9' }))).toMatch(
      /Invalid vsys vsys9.*settings\.vsys/,
    );
    expect(await said(firewall.with(SECRETS, { baseUrl: 'http://127.0.0.1:9' }))).toMatch(
      /cannot be reached.*network\.allow/,
    );
  });
});

it('PAN-OS passes the conformance kit, with a key and with one that is made of a password', async () => {
  const settings = { baseUrl: vendor.baseUrl };
  const report = await checkConformance({
    provider: firewallMakers.panos,
    instances: [
      { settings, secrets: SECRETS },
      { settings, secrets: USER },
    ],
    samples: { BlockIp: { IP }, UnblockIp: { IP } },
    leaveOut: ADDRESSES_ONLY,
    callTimeoutMs: 2000,
    vendor,
  });
  expect(formatReport(report)).toContain(' 0 failed,');
}, 120_000);
