import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { issuersOf } from '#auth';
import { parseConfig, usesBuiltinIssuer } from '#config';
import { ConfigurationError } from '#domain';
import { TENANT_A, TENANT_B } from '../support/database.js';
import { PROJECT_DIR } from '../support/project-dir.js';

const log = { info: () => undefined, warn: () => undefined };

function issuersIn(yaml: string) {
  const { auth } = parseConfig(`providers: []\nauth: { issuers: [${yaml}] }`, 'f');
  return issuersOf(auth?.issuers ?? [], { log });
}

describe('the configuration of issuers', () => {
  const KEYCLOAK = `type: keycloak, issuer: 'https://kc.example/realms/soc', audience: riposte, tenant: ${TENANT_A}`;
  const ENTRA = `type: entra, tenants: [${TENANT_A}], audience: 'api://riposte'`;

  it.each([
    ['Entra ID', `{ ${ENTRA} }`],
    ['Keycloak', `{ ${KEYCLOAK} }`],
    ['Keycloak on this machine', `{ ${KEYCLOAK.replace('https://kc.example', 'http://localhost:8080')} }`],
    ['both', `{ ${ENTRA} }, { ${KEYCLOAK} }`],
    [
      'Entra ID for two tenants with rules of their own',
      `{ ${ENTRA} }, { ${ENTRA.replace(TENANT_A, TENANT_B)} }`,
    ],
  ])('%s is taken', (_what, yaml) => {
    expect(issuersIn(yaml).length).toBeGreaterThan(0);
  });

  it.each([
    ['no type', `{ issuer: 'https://a.example' }`, /auth\.issuers\.0\.type is missing/],
    ['another type', '{ type: okta }', /auth\.issuers\.0\.type must be one of entra, keycloak, oidc/],
    ['no audience', `{ type: entra, tenants: ['*'] }`, /auth\.issuers\.0\.audience is missing/],
    [
      'a wrong key',
      `{ ${ENTRA}, audiance: x }`,
      /auth\.issuers\.0\.audiance is not known; known: type, audience/,
    ],
    ['a wrong key in the second', `{ ${ENTRA} }, { ${KEYCLOAK}, x: 1 }`, /auth\.issuers\.1\.x is not known/],
    [
      'a tenant that is no GUID',
      `{ type: entra, tenants: [common], audience: a }`,
      /auth\.issuers\.0\.tenants\.0/,
    ],
    ['no tenants', `{ type: entra, tenants: [], audience: a }`, /auth\.issuers\.0\.tenants/],
    ['a wrong claim', `{ ${KEYCLOAK}, claims: { role: x } }`, /auth\.issuers\.0\.claims\.role is not known/],
    [
      'a wrong rule',
      `{ ${KEYCLOAK.replace('keycloak', 'oidc')}, appOnly: maybe }`,
      /auth\.issuers\.0\.appOnly/,
    ],
    [
      'http to another machine',
      `{ ${KEYCLOAK.replace('https', 'http')} }`,
      /auth\.issuers\.0\.issuer has to be an https/,
    ],
    ['no address', `{ ${KEYCLOAK.replace('https://', '')} }`, /auth\.issuers\.0\.issuer/],
    [
      'credentials in the address',
      `{ ${KEYCLOAK.replace('https://', 'https://a:b@')} }`,
      /auth\.issuers\.0\.issuer/,
    ],
    ['a query in the address', `{ ${KEYCLOAK.replace('soc', 'soc?a=b')} }`, /auth\.issuers\.0\.issuer/],
    [
      'an authority over http',
      `{ ${ENTRA}, authority: 'http://login.example' }`,
      /auth\.issuers\.0\.authority/,
    ],
    [
      'a v1 issuer for no tenant',
      `{ ${ENTRA}, v1Issuer: 'https://sts.example/' }`,
      /auth\.issuers\.0\.v1Issuer/,
    ],
    ['no tenant', `{ ${KEYCLOAK.replace(/, tenant.*/, '')} }`, /auth\.issuers\.0\.tenant is missing/],
    [
      'two ways to a tenant',
      `{ ${KEYCLOAK}, tenantClaim: tid }`,
      /auth\.issuers\.0\.tenant does not go with/,
    ],
    [
      'any tenant by a claim, unsaid',
      `{ ${KEYCLOAK.replace(/, tenant.*/, '')}, tenantClaim: tid }`,
      /auth\.issuers\.0\.tenants is missing/,
    ],
    [
      'a role we do not have',
      `{ ${KEYCLOAK}, roles: { boss: Root } }`,
      /auth\.issuers\.0\.roles\.boss names "Root"; known: Sec/,
    ],
    [
      'the same realm twice',
      `{ ${KEYCLOAK} }, { ${KEYCLOAK} }`,
      /auth\.issuers\.1 accepts the same tokens as auth\.issuers\.0/,
    ],
    [
      'a tenant twice',
      `{ ${ENTRA} }, { ${ENTRA.replace(TENANT_A, "'*'")} }`,
      /auth\.issuers\.1 accepts the same/,
    ],
  ])('%s is refused, naming the key', (_what, yaml, message) => {
    expect(() => issuersIn(yaml)).toThrow(ConfigurationError);
    expect(() => issuersIn(yaml)).toThrow(message);
  });

  it('is taken as the manual has it', async () => {
    const manual = await readFile(path.join(PROJECT_DIR, 'docs/configuration.md'), 'utf8');
    const samples = [...manual.matchAll(/^```yaml\n(auth:\n.*?)^```$/gms)].map(([, yaml]) => yaml);
    expect(samples).toHaveLength(3);
    for (const yaml of samples) {
      const { auth } = parseConfig(`providers: []\n${yaml}`, 'f');
      expect(issuersOf(auth?.issuers ?? [], { log })).toHaveLength(1);
    }
  });

  it('has to leave somebody who can call', () => {
    expect(() => parseConfig('providers: []\nauth: { builtin: false }', 'f')).toThrow(/auth\.builtin/);
  });
});

describe('the built-in issuer', () => {
  it.each<[string, string, boolean]>([
    ['is on where nothing is said', '', true],
    ['is on without another', 'auth: {}', true],
    ['is off with another', `auth: { issuers: [{ type: entra, tenants: ['*'], audience: a }] }`, false],
    [
      'is on beside another when it is turned on',
      `auth: { builtin: true, issuers: [{ type: entra, tenants: ['*'], audience: a }] }`,
      true,
    ],
  ])('%s', (_what, yaml, on) => {
    expect(usesBuiltinIssuer(parseConfig(`providers: []\n${yaml}`, 'f'))).toBe(on);
  });
});
