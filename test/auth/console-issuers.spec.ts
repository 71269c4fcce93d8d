import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConsoleIssuer } from '#auth';
import { consoleIssuersOf, parseConfig, usesLocalAccounts } from '#config';
import { ConfigurationError } from '#domain';
import { TENANT_A } from '../support/database.js';
import { PROJECT_DIR } from '../support/project-dir.js';

const ISSUER = `id: kc, name: SOC, issuer: 'https://kc.example/realms/soc', clientId: console`;

async function issuersIn(yaml: string, env: Readonly<Record<string, string>> = {}) {
  const config = parseConfig(`providers: []\nconsole: { issuers: [${yaml}] }`, 'f');
  return (await consoleIssuersOf(config, env)).map(
    (issuer, index) => new ConsoleIssuer(issuer, `console.issuers.${index}`),
  );
}

describe('the configuration of who vouches for people', () => {
  it.each([
    ['one tenant', `{ ${ISSUER}, tenant: ${TENANT_A} }`],
    ['a claim', `{ ${ISSUER}, tenantClaim: org.id, tenants: [${TENANT_A}] }`],
    ['a tenant with each role', `{ ${ISSUER}, roles: { lead: [{ tenant: ${TENANT_A}, role: Operator }] } }`],
  ])('is taken with %s', async (_what, yaml) => {
    expect(await issuersIn(yaml)).toMatchObject([{ id: 'kc', name: 'SOC' }]);
  });

  it.each<[string, string, RegExp]>([
    ['no tenant', `{ ${ISSUER} }`, /console\.issuers\.0\.tenant is missing/],
    [
      'a role without a tenant',
      `{ ${ISSUER}, roles: { a: Viewer } }`,
      /console\.issuers\.0\.tenant is missing/,
    ],
    [
      'two ways to a tenant',
      `{ ${ISSUER}, tenant: ${TENANT_A}, tenantClaim: a, tenants: [${TENANT_A}] }`,
      /tenant does not go with/,
    ],
    ['a claim that may name any tenant', `{ ${ISSUER}, tenantClaim: a }`, /belong together/],
    [
      'a claim, and roles in tenants of others',
      `{ ${ISSUER}, tenantClaim: a, tenants: [${TENANT_A}], roles: { x: [{ tenant: ${TENANT_A}, role: Viewer }] } }`,
      /roles must not name tenants/,
    ],
    [
      'operators of any tenant',
      `{ ${ISSUER}, tenantClaim: a, tenants: [${TENANT_A}], operators: [x] }`,
      /operatorTenants is missing/,
    ],
    [
      'http to another machine',
      `{ ${ISSUER.replace('https', 'http')}, tenant: ${TENANT_A} }`,
      /issuer has to be an https/,
    ],
    ['a role there is not', `{ ${ISSUER}, tenant: ${TENANT_A}, roles: { a: Root } }`, /roles\.a/],
    ['no openid', `{ ${ISSUER}, tenant: ${TENANT_A}, scopes: [email] }`, /scopes has to have openid/],
    ['the secret itself', `{ ${ISSUER}, tenant: ${TENANT_A}, clientSecret: abc }`, /clientSecret/],
    [
      'a secret that is not there',
      `{ ${ISSUER}, tenant: ${TENANT_A}, clientSecret: 'env:NOT_SET' }`,
      /the variable NOT_SET is not set/,
    ],
    [
      'an id that is no part of an address',
      `{ ${ISSUER.replace('kc', 'k/c')}, tenant: ${TENANT_A} }`,
      /\.id/,
    ],
    [
      'the id that accounts kept here go by',
      `{ ${ISSUER.replace('kc', 'local')}, tenant: ${TENANT_A} }`,
      /console\.issuers\.0\.id must not be "local"/,
    ],
    [
      'an id twice',
      `{ ${ISSUER}, tenant: ${TENANT_A} }, { ${ISSUER}, tenant: ${TENANT_A} }`,
      /"kc" is there twice/,
    ],
    [
      'a wrong key',
      `{ ${ISSUER}, tenant: ${TENANT_A}, secret: x }`,
      /console\.issuers\.0\.secret is not known/,
    ],
  ])('is refused with %s, naming the key', async (_what, yaml, message) => {
    const refusal = await issuersIn(yaml).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ConfigurationError);
    expect((refusal as Error).message).toMatch(message);
  });

  it('is taken as the manual has it', async () => {
    const manual = await readFile(path.join(PROJECT_DIR, 'docs/configuration.md'), 'utf8');
    const [sample = ''] = [...manual.matchAll(/^```yaml\n(console:\n.*?)^```$/gms)].map(([, yaml]) => yaml);
    const config = parseConfig(`providers: []\n${sample}`, 'f');
    expect(config.console.session).toEqual({ idleMinutes: 30, hours: 12 });
    const [issuer] = await consoleIssuersOf(config, { CONSOLE_CLIENT_SECRET: 'x' });
    expect(issuer?.clientSecret).toBe('x');
    if (issuer !== undefined) expect(new ConsoleIssuer(issuer, 'x').id).toBe('keycloak');
  });
});

describe('accounts that are kept here', () => {
  it.each<[string, string, boolean]>([
    ['are in use where nothing is said', '', true],
    ['are not with an issuer', `console: { issuers: [{ ${ISSUER} }] }`, false],
    [
      'are beside one where they are turned on',
      `console: { localAccounts: true, issuers: [{ ${ISSUER} }] }`,
      true,
    ],
    ['are not where they are turned off', 'console: { localAccounts: false }', false],
  ])('%s', (_what, yaml, on) => {
    expect(usesLocalAccounts(parseConfig(`providers: []\n${yaml}`, 'f'))).toBe(on);
  });
});
