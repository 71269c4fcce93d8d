import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import {
  HostAddresses,
  RAIL_SETTINGS,
  Type,
  blockRails,
  compileSchema,
  readSurroundings,
  type RailSettings,
} from '#provider-sdk';
import { eventually } from '../support/eventually.js';

/** What nobody may block, whatever driver would do it: one test per guard. */

const SURROUNDINGS = {
  ownAddresses: ['203.0.113.10', '2001:db8:1::10'],
  ownNames: ['riposte1.soc.corp.example'],
  gateways: ['203.0.113.1', 'fe80::1'],
  nameServers: ['198.51.100.53'],
};
const VENDOR_HOSTS = ['https://api.firewall.example:8443/v1', '198.51.100.80'];

function refusal(value: string, settings: RailSettings = {}) {
  return blockRails(settings, { surroundings: SURROUNDINGS, vendorHosts: VENDOR_HOSTS }).check(value);
}

describe('what may be blocked', () => {
  it.each([
    '192.0.2.7',
    '192.0.2.0/24',
    '1.1.1.1',
    '2001:db8:bad::7',
    '2001:DB8:BAD::/48',
    '::ffff:192.0.2.7',
    'evil.example',
    'EVIL.example.',
    'bücher.example',
    'somebody.github.io',
    'shop.co.uk',
    'https://evil.example/download?x=1',
    'http://192.0.2.7:8080/',
    'http://[2001:db8:bad::7]/',
  ])('lets %s through', (value) => {
    expect(refusal(value)).toBeNull();
  });
});

describe('what is never blocked, whatever is configured', () => {
  const everythingAllowed: RailSettings = { allowPrivate: true, minPrefix: { v4: 1, v6: 1 } };

  it.each([
    ['every address', ['0.0.0.0/0', '::/0']],
    ['every IPv4 address by IPv6', ['::ffff:0:0/96', '::/64', '64:ff9b::/96', '2002::/16']],
    [
      'the loopback',
      ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '2002:7f00:1::'],
    ],
    ['link-local', ['169.254.1.1', 'fe80::1234', 'fe80::/64']],
    ['multicast and broadcast', ['224.0.0.251', '239.1.2.3', 'ff02::1', '255.255.255.255']],
    ['unspecified', ['0.0.0.0', '0.1.2.3', '::']],
    ['metadata of clouds', ['169.254.169.254', 'fd00:ec2::254', '168.63.129.16', '100.100.100.200']],
    ['own addresses', ['203.0.113.10', '2001:db8:1::10', '2001:0DB8:1:0::10', '::ffff:203.0.113.10']],
    ['gateways', ['203.0.113.1']],
    ['name servers', ['198.51.100.53']],
    ['vendor hosts', ['198.51.100.80', 'api.firewall.example', 'firewall.example', 'API.Firewall.Example.']],
    ['the own name and what holds it', ['riposte1.soc.corp.example', 'soc.corp.example', 'corp.example']],
    [
      'networks that hold one of these',
      ['203.0.113.0/24', '198.51.100.0/25', '2001:db8:1::/48', '126.0.0.0/7'],
    ],
    [
      'a URL of one of these',
      ['http://127.0.0.1:3000/', 'https://0x7f.1/', 'https://[::1]/', 'https://api.firewall.example./x'],
    ],
  ])('refuses %s', (_what, values) => {
    for (const value of values) {
      const refused = refusal(value, everythingAllowed);
      expect({ value, key: refused?.key }).toEqual({ value, key: null });
      expect(refused?.message).toMatch(/is not blocked: it .*\. This is never blocked\.$/);
    }
  });

  it('refuses every network that holds a protected address, however it is written', () => {
    const rails = blockRails(everythingAllowed, { surroundings: SURROUNDINGS, vendorHosts: VENDOR_HOSTS });
    const protectedOnes = [
      ...SURROUNDINGS.ownAddresses,
      ...SURROUNDINGS.gateways,
      ...SURROUNDINGS.nameServers,
      '127.0.0.1',
      '169.254.169.254',
      '::1',
    ];
    fc.assert(
      fc.property(fc.constantFrom(...protectedOnes), fc.nat({ max: 128 }), (address, length) => {
        const bits = address.includes(':') ? length : length % 33;
        const network = ipaddr.parse(address).toNormalizedString();
        expect(rails.check(`${network}/${bits}`)).not.toBeNull();
      }),
    );
  });

  it('refuses public suffixes, of registries and of hosters, also in other letters', () => {
    for (const value of [
      'co.uk',
      'CO.UK.',
      'github.io',
      'azurewebsites.net',
      'foo.ck',
      '公司.cn',
      'https://co.uk/x',
    ])
      expect(refusal(value)?.message).toContain('public suffix');
    for (const value of ['com', 'localhost', 'http://localhost/'])
      expect(refusal(value)?.message).toContain('top-level domain');
  });

  it.each([
    '',
    ' ',
    'no such thing',
    '010.1.1.1',
    '1.2.3',
    '192.0.2.1/33',
    '*.evil.example',
    'ftp://x.example/',
    'a..b',
    'co.uk..',
  ])('refuses what it cannot judge: "%s"', (value) => {
    expect(refusal(value)?.message).toContain('it is no IP address, network, domain or http(s) URL');
  });
});

describe('what an operator decides', () => {
  it('refuses private addresses unless they are allowed', () => {
    for (const value of [
      '10.1.2.3',
      '172.16.0.0/24',
      '192.168.1.1',
      '100.64.0.1',
      'fd12::1',
      'http://10.1.2.3/',
    ]) {
      expect(refusal(value)).toMatchObject({ key: 'settings.allowPrivate' });
      expect(refusal(value, { allowPrivate: true })).toBeNull();
    }
    // A wide network is not allowed by its private part being so.
    expect(refusal('10.0.0.0/8', { allowPrivate: true })).toMatchObject({ key: 'settings.minPrefix.v4' });
  });

  it('refuses networks wider than the least prefix, /24 and /48 unless configured', () => {
    expect(refusal('192.0.2.0/23')).toMatchObject({ key: 'settings.minPrefix.v4' });
    expect(refusal('2001:db8:bad::/47')).toMatchObject({ key: 'settings.minPrefix.v6' });
    expect(refusal('::ffff:192.0.2.0/119')).toMatchObject({ key: 'settings.minPrefix.v4' });
    const wider: RailSettings = { minPrefix: { v4: 16, v6: 32 } };
    expect(refusal('5.6.0.0/16', wider)).toBeNull();
    expect(refusal('2a00:1:2::/47', wider)).toBeNull();
    expect(refusal('192.0.2.0/24', { minPrefix: { v4: 32, v6: 128 } })).not.toBeNull();
  });

  it('refuses what is listed in neverBlock, what holds it, and names below it', () => {
    const settings: RailSettings = {
      neverBlock: ['192.0.2.7', '5.6.7.0/24', '2a00:1::/32', 'Bücher.example'],
    };
    for (const value of [
      '192.0.2.7',
      '192.0.2.0/24',
      '5.6.7.8',
      '2a00:1:2::3',
      'http://5.6.7.8/',
      'xn--bcher-kva.example',
      'shop.bücher.example',
    ]) {
      const refused = refusal(value, settings);
      expect(refused?.key).toBe('settings.neverBlock');
      expect(refused?.message).toContain('An operator can allow it by settings.neverBlock');
    }
    expect(refusal('mail.corp.org', { neverBlock: ['vpn.corp.org'] })).toBeNull();
    expect(refusal('corp.org', { neverBlock: ['vpn.corp.org'] })?.message).toContain(
      'it holds vpn.corp.org (which is listed there)',
    );
    expect(refusal('otherbücher.example', settings)).toBeNull();
  });

  it('refuses to work with an entry of neverBlock that is none', () => {
    for (const entry of ['not an address', '10.0.0.0/40', 'intranet'])
      expect(() => blockRails({ neverBlock: ['192.0.2.7', entry] })).toThrow(
        `settings.neverBlock[1]: "${entry}" is no IP address, network or domain`,
      );
  });

  it('has a schema for the settings, with defaults', () => {
    const validate = compileSchema(Type.Object(RAIL_SETTINGS, { additionalProperties: false }));
    const settings = {};
    expect(validate(settings)).toBe(true);
    expect(settings).toEqual({ allowPrivate: false, minPrefix: { v4: 24, v6: 48 }, neverBlock: [] });
    expect(validate({ minPrefix: { v4: 0 } })).toBe(false);
    expect(validate({ neverBlock: ['192.0.2.7', '2001:db8::/32', 'corp.example'] })).toBe(true);
    expect(validate({ neverBlock: ['10.0.0.0/40'] })).toBe(false);
  });
});

describe('the surroundings of this machine', () => {
  it('are read from the system', () => {
    const read = readSurroundings();
    expect(read.ownAddresses).toContain('127.0.0.1');
    expect(read.ownNames).toHaveLength(1);
    const rails = blockRails({ allowPrivate: true });
    for (const address of [...read.ownAddresses, ...read.gateways, ...read.nameServers])
      expect(rails.check(address)).not.toBeNull();
  });

  it('hold the gateways of routes to everywhere, and those only', () => {
    const files: Readonly<Record<string, string>> = {
      '/proc/net/route': [
        'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
        'eth0\t00000000\t017100CB\t0003\t0\t0\t0\t00000000\t0\t0\t0',
        'eth0\t007100CB\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
        'eth1\t0000000A\t0100000A\t0003\t0\t0\t0\t000000FF\t0\t0\t0',
      ].join('\n'),
      '/proc/net/ipv6_route': [
        '00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8000100000000000000000001 00000400 00000001 00000000 00000003 eth0',
        '20010db8000100000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0',
      ].join('\n'),
    };
    const { gateways } = readSurroundings((file) => files[file] ?? '');
    expect(gateways).toEqual(['203.0.113.1', '2001:0db8:0001:0000:0000:0000:0000:0001']);
  });
});

describe('what the names of a vendor stand for', () => {
  /** A name service of the test's own. */
  function names(freshMs?: number) {
    const known: Record<string, readonly string[]> = { 'fw.example': ['192.0.2.99', 'fe80::1%eth0'] };
    const asked: string[] = [];
    const addresses = new HostAddresses((name) => {
      asked.push(name);
      const found = known[name];
      return found === undefined
        ? Promise.reject(Object.assign(new Error('who?'), { code: 'ENOTFOUND' }))
        : Promise.resolve(found.map((address) => ({ address })));
    }, freshMs);
    return { known, asked, addresses };
  }

  it('is not blocked either', async () => {
    const { addresses } = names();
    const hosts = await addresses.of(['https://fw.example/api', '192.0.2.98', '198.51.100.0/24']);
    expect(hosts).toEqual(['fw.example', '192.0.2.99', 'fe80::1', '192.0.2.98', '198.51.100.0/24']);
    const rails = blockRails({}, { surroundings: SURROUNDINGS, vendorHosts: hosts });
    for (const value of ['192.0.2.98', '192.0.2.99', 'fw.example', '198.51.100.7'])
      expect(rails.check(value)?.message).toContain('a host of the vendor');
  });

  it('is looked up once for many calls', async () => {
    const { addresses, asked } = names();
    await Promise.all([addresses.of(['fw.example']), addresses.of(['FW.example'])]);
    await addresses.of(['fw.example']);
    expect(asked).toEqual(['fw.example']);
  });

  it('is looked up again after a while; an address that is not told any more stays known', async () => {
    const { known, addresses } = names(1);
    await addresses.of(['fw.example']);
    known['fw.example'] = ['192.0.2.100'];
    await eventually(async () => (await addresses.of(['fw.example'])).includes('192.0.2.100'));
    expect(await addresses.of(['fw.example'])).toContain('192.0.2.99');
  });

  it('stays as it was while it cannot be looked up', async () => {
    const { known, asked, addresses } = names(1);
    await addresses.of(['fw.example']);
    delete known['fw.example'];
    await eventually(async () => {
      await addresses.of(['fw.example']);
      return asked.length > 1;
    });
    expect(await addresses.of(['fw.example'])).toContain('192.0.2.99');
  });

  it('is not guessed where it never was known', async () => {
    await expect(names().addresses.of(['gone.example'])).rejects.toMatchObject({
      errorClass: 'unreachable',
      message: expect.stringMatching(
        /gone\.example cannot be looked up \(ENOTFOUND\).*nothing was sent/,
      ) as string,
    });
  });
});
