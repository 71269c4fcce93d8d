import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EMBEDDED_DEFAULT, instancesOf, loadConfig, parseConfig, retentionOf } from '#config';
import { ConfigurationError } from '#domain';
import { Authority, type KeyedCertificate } from '../support/tls.js';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-config-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe('riposte.config.yaml', () => {
  it('fills in what is not said', () => {
    const config = parseConfig('providers: [{ id: fw, plugin: mock }]', 'f');
    expect(config.providers[0]).toEqual({
      id: 'fw',
      plugin: 'mock',
      tenants: ['*'],
      settings: {},
      secrets: {},
      limits: { backlog: 100_000, reserve: 0.2 },
      network: { allow: [], ports: [] },
    });
    expect(config.limits).toEqual({ perApp: 100, blastRadius: { isolation: { perHour: 50 } } });
    expect(config.tracing).toEqual({ propagateToVendors: false });
  });

  it.each([
    ['no YAML', 'providers: [', /f: .*line 1/],
    ['nothing', '', /f: the value must be object/],
    ['no providers', '{}', /providers is missing/],
    ['an unknown key', 'providers: []\ncolour: red', /colour is not known; known: plugins, providers/],
    [
      'an unknown key further down',
      'providers: [{ id: a, plugin: mock, limits: { speed: 1 } }]',
      /providers\.0\.limits\.speed is not known; known: concurrency, backlog/,
    ],
    ['a key twice', 'providers: []\nproviders: []', /unique/i],
    ['a bad id', 'providers: [{ id: "A B", plugin: mock }]', /providers\.0\.id .*for example firewall-hq/],
    [
      'a wrong type',
      'providers: [{ id: a, plugin: mock, limits: { concurrency: many } }]',
      /providers\.0\.limits\.concurrency must be integer/,
    ],
    [
      'a tenant that is no GUID',
      'providers: [{ id: a, plugin: mock, tenants: [contoso] }]',
      /^f: providers\.0\.tenants\.0 must be "\*" or a text that matches "[^;]*"$/,
    ],
    [
      'a secret in clear text',
      'providers: [{ id: a, plugin: mock, secrets: { key: hunter2 } }]',
      /providers\.0\.secrets\.key .*for example env:API_KEY/,
    ],
    [
      'a backlog of none',
      'providers: [{ id: a, plugin: mock, limits: { backlog: 0 } }]',
      /providers\.0\.limits\.backlog must be >= 1/,
    ],
    [
      'an unknown limit',
      'providers: []\nlimits: { perTenant: 1 }',
      /limits\.perTenant is not known; known: perApp/,
    ],
    ['a limit below none', 'providers: []\nlimits: { perApp: -1 }', /limits\.perApp must be >= 0/],
    [
      'a limit beyond reason',
      'providers: []\nlimits: { perApp: 100001 }',
      /limits\.perApp must be <= 100000/,
    ],
    ['a limit that is no number', 'providers: []\nlimits: { perApp: off }', /limits\.perApp must be integer/],
    [
      'an unknown key of the retention',
      'providers: []\nretention: { keepdays: 3 }',
      /retention\.keepdays is not known; known: keepDays, archiveDir, tenants/,
    ],
    [
      'a time of nothing',
      'providers: []\nretention: { keepDays: 0 }',
      /retention\.keepDays must be >= 0\.00001/,
    ],
    [
      'heads of the audit record at a path that depends on where it is started',
      'providers: []\naudit: { headsFile: heads }',
      /audit\.headsFile .*\(for example \/mnt\/worm\/riposte-heads\)/,
    ],
    [
      'a tenant of the retention that is no GUID',
      'providers: []\nretention: { tenants: { contoso: { keepDays: 3 } } }',
      /retention\.tenants\.contoso is not known/,
    ],
    [
      'a tenant of the retention without a time',
      'providers: []\nretention: { tenants: { 11111111-1111-4111-8111-111111111111: {} } }',
      /retention\.tenants\.11111111-1111-4111-8111-111111111111\.keepDays is missing/,
    ],
    [
      'an archive without an absolute path',
      'providers: []\nretention: { archiveDir: archive }',
      /retention\.archiveDir/,
    ],
  ])('%s is refused, naming file and key', (_what, text, message) => {
    expect(() => parseConfig(text, 'f')).toThrow(ConfigurationError);
    expect(() => parseConfig(text, 'f')).toThrow(message);
    expect(() => parseConfig(text, 'f')).not.toThrow(/hunter2/);
  });
});

describe('the retention', () => {
  const TENANT = 'AAAAAAAA-1111-4111-8111-111111111111';
  const rulesOf = (text: string) => retentionOf(parseConfig(`providers: []\n${text}`, 'f'));

  it('keeps everything for ever where nothing is said', () => {
    expect(rulesOf('')).toBeNull();
    expect(rulesOf("retention: { archiveDir: '/a' }")).toBeNull();
  });

  it("goes by the general time, and by a tenant's own before it", () => {
    const rules = rulesOf(`retention: { keepDays: 0.5, tenants: { ${TENANT}: { keepDays: 365 } } }`);
    expect(rules?.keepMs('22222222-1111-4111-8111-111111111111')).toBe(43_200_000);
    expect(rules?.keepMs(TENANT.toLowerCase())).toBe(365 * 86_400_000);
    expect(rules?.archiveDir).toBeNull();
  });

  it('keeps for ever what only other tenants have a time for', () => {
    const rules = rulesOf(`retention: { tenants: { ${TENANT}: { keepDays: 1 } } }`);
    expect(rules?.keepMs('22222222-1111-4111-8111-111111111111')).toBeNull();
  });
});

describe('finding the configuration', () => {
  it('takes the mock for everyone where npm start finds no file', async () => {
    expect(await loadConfig({ RIPOSTE_EMBEDDED: '1' }, dir)).toEqual(EMBEDDED_DEFAULT);
  });

  it('does not start anywhere else without one', async () => {
    await expect(loadConfig({}, dir)).rejects.toThrow(
      /set RIPOSTE_CONFIG, or put riposte\.config\.yaml into/,
    );
  });

  it('does not start with a named file that is not there, not even under npm start', async () => {
    await expect(loadConfig({ RIPOSTE_CONFIG: 'nope.yaml', RIPOSTE_EMBEDDED: '1' }, dir)).rejects.toThrow(
      /RIPOSTE_CONFIG: .*nope\.yaml cannot be read/,
    );
  });

  it('reads the named file', async () => {
    await writeFile(path.join(dir, 'mine.yaml'), 'providers: [{ id: fw, plugin: mock }]');
    expect((await loadConfig({ RIPOSTE_CONFIG: 'mine.yaml' }, dir)).providers.map(({ id }) => id)).toEqual([
      'fw',
    ]);
  });
});

describe('secret references', () => {
  const config = (reference: string) =>
    parseConfig(`providers: [{ id: fw, plugin: mock, secrets: { key: "${reference}" } }]`, 'f');

  it('are resolved from variables and files', async () => {
    await writeFile(path.join(dir, 'key'), 'from-file\n');
    const fromEnv = await instancesOf(config('env:THE_KEY'), { env: { THE_KEY: 'from-env' }, folder: dir });
    const fromFile = await instancesOf(config(`file:${path.join(dir, 'key')}`), { env: {}, folder: dir });
    expect([fromEnv[0]?.secrets, fromFile[0]?.secrets]).toEqual([{ key: 'from-env' }, { key: 'from-file' }]);
  });

  it('that lead nowhere stop the start, naming the key', async () => {
    await expect(instancesOf(config('env:THE_KEY'), { env: {}, folder: dir })).rejects.toThrow(
      /providers\[0\] \(fw\)\.secrets\.key: the variable THE_KEY is not set/,
    );
    await expect(instancesOf(config('file:/nowhere'), { env: {}, folder: dir })).rejects.toThrow(
      /secrets\.key: the file \/nowhere cannot be read/,
    );
  });

  it('are left alone by a process that calls no vendor', async () => {
    const options = { env: {}, folder: dir, readsSecrets: () => false };
    expect((await instancesOf(config('env:THE_KEY'), options))[0]?.secrets).toEqual({});
  });
});

describe('whom an instance trusts', () => {
  let authority: Authority;
  let riposte: KeyedCertificate;
  beforeAll(async () => {
    authority = await Authority.make();
    riposte = await authority.issue();
    await writeFile(path.join(dir, 'ca.pem'), `its name\n${authority.cert}`);
    await writeFile(path.join(dir, 'riposte.pem'), riposte.cert);
    await writeFile(path.join(dir, 'key.pem'), riposte.key);
  });
  const networkOf = async (network: Readonly<Record<string, string>>, env = {}) => {
    const text = JSON.stringify({ providers: [{ id: 'fw', plugin: 'mock', network }] });
    return (await instancesOf(parseConfig(text, 'f'), { env, folder: dir }))[0]?.network;
  };

  it('is said by a file beside the configuration, by its path, or by the certificate itself', async () => {
    const file = path.join(dir, 'ca.pem');
    for (const ca of ['./ca.pem', file, authority.cert])
      expect((await networkOf({ ca }))?.ca).toBe(String(new X509Certificate(authority.cert)));
  });

  it('is shown a certificate whose key is a secret', async () => {
    const network = await networkOf(
      { clientCertificate: './riposte.pem', clientKey: 'env:THE_KEY' },
      { THE_KEY: riposte.key },
    );
    const certificate = String(new X509Certificate(riposte.cert));
    expect(network?.client).toEqual({ certificate, key: riposte.key });
  });

  it('is not looked up by a process that calls no vendor', async () => {
    const config = parseConfig('providers: [{ id: fw, plugin: mock, network: { ca: ./gone.pem } }]', 'f');
    const [instance] = await instancesOf(config, { env: {}, folder: dir, readsSecrets: () => false });
    expect(instance?.network).toBeUndefined();
  });

  it.each<[string, () => Readonly<Record<string, string>>, RegExp]>([
    [
      'a file that is not there',
      () => ({ ca: './gone.pem' }),
      /\(fw\)\.network\.ca: the file .*gone\.pem cannot/,
    ],
    [
      'a file without certificates',
      () => ({ ca: './key.pem' }),
      /network\.ca: the file .* has no certificate in PEM/,
    ],
    [
      'a certificate that is none',
      () => ({ ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' }),
      /network\.ca: certificate 1 of the text cannot be read/,
    ],
    ['a certificate without a key', () => ({ clientCertificate: './riposte.pem' }), /belong together/],
    [
      'the key of another certificate',
      () => ({ clientCertificate: './ca.pem', clientKey: `file:${path.join(dir, 'key.pem')}` }),
      /clientKey is not the key of the first certificate/,
    ],
    [
      'a key that is none',
      () => ({ clientCertificate: './riposte.pem', clientKey: `file:${path.join(dir, 'riposte.pem')}` }),
      /network\.clientKey: is no private key in PEM/,
    ],
  ])('stops the start with %s, naming the key', async (_what, network, message) => {
    await expect(networkOf(network())).rejects.toThrow(ConfigurationError);
    await expect(networkOf(network())).rejects.toThrow(message);
  });
});
