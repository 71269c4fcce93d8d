import { createHmac, createPublicKey, sign } from 'node:crypto';
import { CompactEncrypt, CompactSign, generateKeyPair, type JWTPayload } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TokenVerifier, issuersOf, type Identity, type IssuerSettings } from '#auth';
import { OperationalError, UserError } from '#domain';
import { FakeIssuer, makeKey, type SigningKey } from '../simulators/oidc-issuer/issuer.js';
import { APP, TENANT_A, TENANT_B } from '../support/database.js';
import { entraV1, entraV2, keycloak, keycloakUser } from '../support/outside-tokens.js';

const NOW = Date.UTC(2026, 10, 25, 12);
const NOW_SECONDS = NOW / 1000;
const log = { info: () => undefined, warn: () => undefined };
const now = () => NOW;
/** One text for all: who makes tokens up learns nothing of issuers, tenants and keys. */
const MADE_UP =
  /^The access token is (?:too long|not valid: it has to be a JWT that an issuer accepted here signed for its tenant, with a key in use)\.$/;

let fake: FakeIssuer;
let realm: string;
/** Entra for two tenants, and a realm of Keycloak that speaks for one of them. */
let verifier: TokenVerifier;
const foreign = makeKey();
const keys = {
  rsa: makeKey('RS256', { alg: 'RS256' }),
  pss: makeKey('PS256'),
  ec: makeKey('ES256'),
  encrypting: makeKey('RS256', { use: 'enc' }),
  wrapping: makeKey('RS256', { use: undefined, key_ops: ['wrapKey'] }),
  small: makeKey('RS256', {}, 1024),
  private: makeKey('RS256', { d: 'AQAB' }),
  symmetric: makeKey('RS256', { kty: 'oct', k: 'c2VjcmV0', n: undefined, e: undefined }),
  twinA: makeKey('RS256', { kid: 'twin' }),
  twinB: makeKey('RS256', { kid: 'twin' }),
  ofOneTenant: makeKey('RS256', { issuer: `http://elsewhere/${TENANT_B}/v2.0` }),
  ofAnyTenant: makeKey('RS256', { issuer: 'https://sts.windows.net/{tenantid}/' }),
  odd: makeKey('RS256', { kid: '__proto__' }),
} satisfies Record<string, SigningKey>;

beforeAll(async () => {
  // One stands there twice, which is no harm.
  fake = await FakeIssuer.start([...Object.values(keys), keys.rsa]);
  fake.announce('/organizations/v2.0', `${fake.baseUrl}/{tenantid}/v2.0`);
  realm = fake.announce('/realms/soc');
  verifier = verifierOf([
    {
      type: 'entra',
      authority: fake.baseUrl,
      tenants: [TENANT_A, TENANT_B],
      audience: ['api://riposte', '44444444-4444-4444-8444-444444444444'],
    },
    { type: 'keycloak', issuer: realm, audience: 'riposte', tenant: TENANT_B.toUpperCase() },
  ]);
});
afterAll(() => fake.down());

function verifierOf(issuers: readonly IssuerSettings[]): TokenVerifier {
  return new TokenVerifier(issuersOf(issuers, { log, now }), now);
}

/** With these claims; those that are undefined are left out. */
function v2(claims: object = {}): JWTPayload {
  return { ...entraV2(fake.baseUrl, NOW), ...claims };
}

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

async function codeOf(result: Promise<Identity>): Promise<string> {
  return result.then(
    () => 'accepted',
    (error: unknown) => {
      if (error instanceof UserError || error instanceof OperationalError) return error.code;
      throw error;
    },
  );
}

describe('whom a token speaks for', () => {
  const ROLE = 'SecurityActions.ReadWrite.All';
  it.each([
    ['Entra v2', () => v2(), { tenantId: TENANT_A, appId: APP, user: null, roles: [ROLE] }],
    ['Entra v1', () => entraV1(NOW), { tenantId: TENANT_A, appId: APP, user: null, roles: [ROLE] }],
    [
      'another allowed tenant',
      () => entraV2(fake.baseUrl, NOW, TENANT_B),
      { tenantId: TENANT_B, appId: APP, user: null, roles: [ROLE] },
    ],
    ['a tid in capitals', () => v2({ tid: TENANT_A.toUpperCase() }), { tenantId: TENANT_A }],
    ['the client id as audience', () => v2({ aud: '44444444-4444-4444-8444-444444444444' }), { appId: APP }],
    ['one audience of several', () => v2({ aud: ['other', 'api://riposte'] }), { appId: APP }],
    [
      'a user on whose behalf it acts',
      () => v2({ idtyp: 'app', upn: 'a@b.example' }),
      { user: 'a@b.example' },
    ],
    ['idtyp without oid', () => v2({ idtyp: 'app', oid: undefined }), { appId: APP }],
    [
      'Keycloak, without nbf',
      () => keycloak(realm, NOW),
      { tenantId: TENANT_B, appId: 'soc-automation', user: null, roles: [ROLE] },
    ],
    [
      'Keycloak, older',
      () => ({ ...keycloak(realm, NOW), client_id: undefined, clientId: 'soc-automation' }),
      { appId: 'soc-automation' },
    ],
    ['no roles', () => v2({ roles: undefined }), { roles: [] }],
    ['roles that are not ours', () => v2({ roles: ['Mail.Read', 7, ROLE] }), { roles: [ROLE] }],
  ])('%s', async (_what, claims, identity) => {
    expect(await verifier.verify(await fake.sign(claims(), { key: keys.rsa }))).toMatchObject(identity);
  });

  it.each(['rsa', 'pss', 'ec', 'ofAnyTenant', 'odd'] as const)('with the key %s', async (name) => {
    expect(await codeOf(verifier.verify(await fake.sign(v2(), { key: keys[name] })))).toBe('accepted');
  });
});

describe('a token that was made up', () => {
  const none = (alg: string, signature = '') =>
    `${encoded({ alg, kid: keys.rsa.kid, typ: 'JWT' })}.${encoded(v2())}.${signature}`;
  const hmacWith = (secret: string | Buffer) => {
    const text = `${encoded({ alg: 'HS256', kid: keys.rsa.kid, typ: 'JWT' })}.${encoded(v2())}`;
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
  };
  const publicKey = createPublicKey(keys.rsa.privateKey);

  it.each([
    ['nothing', () => ''],
    ['one part', () => 'abc'],
    ['five parts', () => 'a.b.c.d.e'],
    ['alg none', () => none('none')],
    ['alg nOnE', () => none('nOnE')],
    ['alg none with a signature', () => none('none', 'AAAA')],
    ['an empty signature', () => none('RS256')],
    ['HS256 with the public key in PEM', () => hmacWith(publicKey.export({ type: 'spki', format: 'pem' }))],
    ['HS256 with the public key in DER', () => hmacWith(publicKey.export({ type: 'spki', format: 'der' }))],
    ['a foreign key', () => fake.sign(v2(), { key: { ...foreign, kid: keys.rsa.kid } })],
    ['a foreign kid', () => fake.sign(v2(), { key: foreign })],
    ['no kid', () => fake.sign(v2(), { key: keys.rsa, header: { kid: undefined } })],
    ['a kid that is a path', () => kid('../../../../dev/null')],
    ['a kid that is SQL', () => kid("' UNION SELECT 'key' --")],
    ['a kid that is an address', () => kid(`${fake.baseUrl}/evil`)],
    ['a kid of an object', () => kid('constructor')],
    ['a kid of 10 KB', () => kid('k'.repeat(10_000))],
    ['a kid of 5 KB', () => kid('k'.repeat(5000))],
    ['a key for encryption', () => fake.sign(v2(), { key: keys.encrypting })],
    ['a key that may not verify', () => fake.sign(v2(), { key: keys.wrapping })],
    ['a key set entry with a private part', () => fake.sign(v2(), { key: keys.private })],
    ['a symmetric key of the key set', () => fake.sign(v2(), { key: keys.symmetric })],
    ['a kid that two keys have', () => fake.sign(v2(), { key: keys.twinA })],
    ['a key of another alg than its own', () => fake.sign(v2(), { key: { ...keys.rsa, alg: 'PS256' } })],
    ['an alg that is not allowed', () => fake.sign(v2(), { key: { ...keys.rsa, alg: 'RS512' } })],
    ['a key for another issuer', () => fake.sign(v2(), { key: keys.ofOneTenant })],
    ['a critical extension', () => fake.sign(v2(), { key: keys.rsa, header: { crit: ['b64'], b64: true } })],
    [
      'an unencoded payload',
      async () => {
        const signer = new CompactSign(Buffer.from(JSON.stringify(v2())));
        const header = { alg: 'RS256', kid: keys.rsa.kid, crit: ['b64'], b64: false };
        const detached = await signer
          .setProtectedHeader(header)
          .sign(keys.rsa.privateKey)
          .catch(() => null);
        return detached ?? `${encoded(header)}.${encoded(v2())}.AAAA`;
      },
    ],
    [
      'an encrypted token',
      () =>
        new CompactEncrypt(Buffer.from(JSON.stringify(v2())))
          .setProtectedHeader({ alg: 'RSA-OAEP', enc: 'A256GCM', kid: keys.rsa.kid })
          .encrypt(publicKey),
    ],
    [
      'a token in a token',
      async () =>
        new CompactSign(Buffer.from(await fake.sign(v2(), { key: keys.rsa })))
          .setProtectedHeader({ alg: 'RS256', kid: keys.rsa.kid, cty: 'JWT' })
          .sign(keys.rsa.privateKey),
    ],
    ['a logout token', () => fake.sign(v2(), { key: keys.rsa, header: { typ: 'logout+jwt' } })],
  ])('is refused: %s', async (_what, token) => {
    const error: unknown = await verifier.verify(await token()).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'unauthenticated',
      message: expect.stringMatching(MADE_UP) as string,
    });
  });

  it('is refused with an algorithm that its issuer does not use, whatever key there is', async () => {
    const { publicKey: key } = await generateKeyPair('RS256');
    const strict = new TokenVerifier(
      [
        {
          name: 'strict',
          audiences: ['api://riposte'],
          algorithms: ['ES256'],
          accepts: () => true,
          keyOf: () => Promise.resolve(key),
          identityOf: () => ({ tenantId: TENANT_A, appId: APP, user: null, roles: [] }),
        },
      ],
      now,
    );
    const refused = await strict
      .verify(await fake.sign(v2(), { key: keys.rsa }))
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({ cause: { code: 'ERR_JOSE_ALG_NOT_ALLOWED' } });
  });

  it('is refused when its key is weaker than RSA 2048', async () => {
    // jose does not sign with one.
    const text = `${encoded({ alg: 'RS256', kid: keys.small.kid })}.${encoded(v2())}`;
    const signature = sign('sha256', Buffer.from(text), keys.small.privateKey).toString('base64url');
    expect(await codeOf(verifier.verify(`${text}.${signature}`))).toBe('unauthenticated');
  });

  it('cannot bring its own key: jku, x5u, jwk and x5c are not looked at', async () => {
    const header = {
      jku: `${fake.baseUrl}/evil-jku`,
      x5u: `${fake.baseUrl}/evil-x5u`,
      jwk: foreign.jwk,
      x5c: ['MIIB'],
    };
    const forged = await fake.sign(v2(), { key: { ...foreign, kid: keys.rsa.kid }, header });
    expect(await codeOf(verifier.verify(forged))).toBe('unauthenticated');
    const ours = await fake.sign(v2(), { key: keys.rsa, header });
    expect(await codeOf(verifier.verify(ours))).toBe('accepted');
    expect(fake.requests.filter((path) => path.includes('evil'))).toEqual([]);
  });

  async function kid(value: string): Promise<string> {
    return fake.sign(v2(), { key: { ...foreign, kid: value } });
  }
});

describe('a token that is not for us, or not now', () => {
  const OTHER = '77777777-7777-4777-8777-777777777777';
  const hour = (iat: number) => ({ iat, nbf: iat, exp: iat + 3600 });

  it.each<[string, () => JWTPayload, string]>([
    ['another audience', () => v2({ aud: 'api://other' }), 'unauthenticated'],
    ['an audience in other case', () => v2({ aud: 'API://RIPOSTE' }), 'unauthenticated'],
    ['an audience that begins like ours', () => v2({ aud: 'api://riposte2' }), 'unauthenticated'],
    ['no audience', () => v2({ aud: undefined }), 'unauthenticated'],
    ['the audience of another issuer', () => v2({ aud: 'riposte' }), 'unauthenticated'],
    ['another issuer', () => v2({ iss: `https://evil.example/${TENANT_A}/v2.0` }), 'unauthenticated'],
    ['an issuer in other case', () => v2({ iss: `${fake.baseUrl}/${TENANT_A}/V2.0` }), 'unauthenticated'],
    ['an issuer with more', () => v2({ iss: `${fake.baseUrl}/${TENANT_A}/v2.0/` }), 'unauthenticated'],
    [
      'a v1 issuer without its slash',
      () => v2({ iss: `https://sts.windows.net/${TENANT_A}` }),
      'unauthenticated',
    ],
    ['the template itself', () => v2({ iss: `${fake.baseUrl}/{tenantid}/v2.0` }), 'unauthenticated'],
    ['no issuer', () => v2({ iss: undefined }), 'unauthenticated'],
    [
      'an allowed tenant in tid alone',
      () => ({ ...entraV2(fake.baseUrl, NOW, OTHER), tid: TENANT_A }),
      'unauthenticated',
    ],
    ['an allowed tenant in iss alone', () => v2({ tid: OTHER }), 'unauthenticated'],
    ['another allowed tenant in tid', () => v2({ tid: TENANT_B }), 'unauthenticated'],
    ['a tenant that is not allowed', () => entraV2(fake.baseUrl, NOW, OTHER), 'unauthenticated'],
    ['a tenant that is no GUID', () => entraV2(fake.baseUrl, NOW, 'common'), 'unauthenticated'],
    ['no tenant', () => v2({ tid: undefined }), 'unauthenticated'],
    ['a v2 token with appid alone', () => v2({ azp: undefined, appid: APP }), 'unauthenticated'],
    ['a v1 token with azp alone', () => ({ ...entraV1(NOW), appid: undefined, azp: APP }), 'unauthenticated'],
    ['another realm', () => keycloak(`${realm}2`, NOW), 'unauthenticated'],
    ['expired 59 s ago', () => v2({ ...hour(NOW_SECONDS - 3659) }), 'accepted'],
    ['expired 61 s ago', () => v2({ ...hour(NOW_SECONDS - 3661) }), 'unauthenticated'],
    ['valid from 59 s on', () => v2({ ...hour(NOW_SECONDS + 59) }), 'accepted'],
    ['valid from 61 s on', () => v2({ ...hour(NOW_SECONDS + 61), iat: NOW_SECONDS }), 'unauthenticated'],
    ['issued in 61 s', () => v2({ ...hour(NOW_SECONDS), iat: NOW_SECONDS + 61 }), 'unauthenticated'],
    ['without exp', () => v2({ exp: undefined }), 'unauthenticated'],
    ['without iat', () => v2({ iat: undefined }), 'unauthenticated'],
    ['without nbf', () => v2({ nbf: undefined }), 'accepted'],
    ['an exp that is text', () => v2({ exp: '9999999999' as unknown as number }), 'unauthenticated'],
    ['a life of a day', () => v2({ exp: NOW_SECONDS + 86_400 }), 'accepted'],
    ['a life of more', () => v2({ exp: NOW_SECONDS + 86_401 }), 'unauthenticated'],
    ['a life without end', () => v2({ exp: 1e300 }), 'unauthenticated'],
  ])('%s', async (_what, claims, code) => {
    expect(await codeOf(verifier.verify(await fake.sign(claims(), { key: keys.rsa })))).toBe(code);
  });
});

describe('a token that is refused says why', () => {
  it.each<[string, () => JWTPayload, RegExp]>([
    [
      'another audience',
      () => v2({ aud: 'https://graph.microsoft.com' }),
      /\(aud\) has to be api:\/\/riposte or 4{8}/,
    ],
    ['no audience', () => v2({ aud: undefined }), /\(aud\) has to be/],
    ['valid later', () => v2({ nbf: NOW_SECONDS + 3000 }), /its nbf is/],
    ['another issuer', () => v2({ iss: 'https://evil.example/' }), MADE_UP],
    ['a tenant that is not allowed', () => entraV2(fake.baseUrl, NOW, APP), MADE_UP],
  ])('%s', async (_what, claims, message) => {
    await expect(verifier.verify(await fake.sign(claims(), { key: keys.rsa }))).rejects.toThrow(message);
  });

  it('but tells nothing of its claims where the signature is not right', async () => {
    const token = await fake.sign(v2({ aud: 'api://other' }), { key: { ...foreign, kid: keys.rsa.kid } });
    await expect(verifier.verify(token)).rejects.toThrow(MADE_UP);
  });
});

describe('a token of a user, with all the roles', () => {
  it.each<[string, () => JWTPayload]>([
    ['scp', () => v2({ scp: 'SecurityActions.ReadWrite.All' })],
    ['an empty scp', () => v2({ scp: '' })],
    ['scp beside idtyp app', () => v2({ scp: 'x', idtyp: 'app' })],
    ['idtyp user', () => v2({ idtyp: 'user' })],
    ['an idtyp in other case', () => v2({ idtyp: 'App' })],
    ['Entra, by oid and sub', () => v2({ sub: 'pairwise' })],
    ['Entra, without oid and sub', () => v2({ sub: undefined, oid: undefined })],
    ['Entra v1, by oid and sub', () => ({ ...entraV1(NOW), sub: 'pairwise' })],
    ['Keycloak', () => keycloakUser(realm, NOW)],
    [
      'Keycloak, a user named like a service account',
      () => ({ ...keycloakUser(realm, NOW), preferred_username: 'service-account-soc-automation' }),
    ],
    ['Keycloak, of another client', () => ({ ...keycloak(realm, NOW), azp: 'portal' })],
    [
      'Keycloak, a user whose client adds client_id',
      () => ({ ...keycloakUser(realm, NOW), client_id: 'soc-automation' }),
    ],
    ['Keycloak, an ID token', () => ({ ...keycloak(realm, NOW), typ: 'ID' })],
  ])('is refused with 403: %s', async (_what, claims) => {
    expect(await codeOf(verifier.verify(await fake.sign(claims(), { key: keys.rsa })))).toBe('accessDenied');
  });

  it('is refused without idtyp where idtyp is required', async () => {
    const strict = verifierOf([
      {
        type: 'entra',
        authority: fake.baseUrl,
        tenants: ['*'],
        audience: 'api://riposte',
        requireIdtyp: true,
      },
    ]);
    await expect(strict.verify(await fake.sign(v2(), { key: keys.rsa }))).rejects.toThrow(/idtyp/);
    expect(await codeOf(strict.verify(await fake.sign(v2({ idtyp: 'app' }), { key: keys.rsa })))).toBe(
      'accepted',
    );
  });
});

describe('an issuer with claims of its own', () => {
  const settings = (more: Partial<IssuerSettings>): IssuerSettings =>
    ({ type: 'oidc', issuer: realm, audience: 'api://riposte', tenant: TENANT_A, ...more }) as IssuerSettings;
  const token = (claims: object) =>
    fake.sign(
      {
        iss: realm,
        aud: 'api://riposte',
        sub: 'robot',
        azp: 'robot',
        iat: NOW_SECONDS,
        exp: NOW_SECONDS + 60,
        ...claims,
      },
      { key: keys.rsa },
    );

  it.each<[string, Partial<IssuerSettings>, object, object]>([
    [
      'as RFC 9068 has it',
      {},
      { roles: ['SecurityActions.Read.All'] },
      { appId: 'robot', roles: ['SecurityActions.Read.All'] },
    ],
    [
      'the application and the user elsewhere',
      { claims: { app: 'client.id', user: ['who.is'] }, appOnly: 'always' },
      { client: { id: 'x' }, 'who.is': 'bob' },
      { appId: 'x', user: 'bob' },
    ],
    [
      'roles by another name',
      {
        claims: { roles: 'realm_access.roles' },
        roles: {
          'soc-writer': 'SecurityActions.ReadWrite.All',
          boss: ['SecurityActions.Read.All', 'Riposte.Operator'],
        },
      },
      { realm_access: { roles: ['soc-writer', 'boss', 'SecurityActions.Read.All', '__proto__'] } },
      { roles: ['SecurityActions.ReadWrite.All', 'SecurityActions.Read.All', 'Riposte.Operator'] },
    ],
    [
      'names of ours count for nothing where others are mapped',
      { roles: { 'soc-writer': 'SecurityActions.ReadWrite.All' } },
      { roles: ['Riposte.Operator', 'SecurityActions.ReadWrite.All'] },
      { roles: [] },
    ],
    [
      'applications by a claim',
      { appOnly: { claim: 'gty', value: 'client-credentials' } },
      { gty: 'client-credentials', sub: 'robot@clients' },
      { appId: 'robot' },
    ],
    [
      'the tenant by a claim',
      { tenant: undefined, tenantClaim: 'org.tenant', tenants: [TENANT_B] },
      { org: { tenant: TENANT_B.toUpperCase() } },
      { tenantId: TENANT_B },
    ],
  ])('%s', async (_what, more, claims, identity) => {
    expect(await verifierOf([settings(more)]).verify(await token(claims))).toMatchObject(identity);
  });

  it.each<[string, Partial<IssuerSettings>, object, string]>([
    ['a user, whose sub is another', {}, { sub: 'alice' }, 'accessDenied'],
    ['no application', {}, { azp: undefined, sub: undefined }, 'unauthenticated'],
    ['an application that is no text', { appOnly: 'always' }, { azp: 7 }, 'unauthenticated'],
    [
      'another grant',
      { appOnly: { claim: 'gty', value: 'client-credentials' } },
      { gty: 'password' },
      'accessDenied',
    ],
    [
      'a tenant that is not allowed',
      { tenant: undefined, tenantClaim: 'tid', tenants: [TENANT_B] },
      { tid: TENANT_A },
      'unauthenticated',
    ],
    [
      'a tenant that is no GUID',
      { tenant: undefined, tenantClaim: 'tid', tenants: ['*'] },
      { tid: 'x' },
      'unauthenticated',
    ],
    ['an inherited claim', { claims: { app: 'constructor.name' }, appOnly: 'always' }, {}, 'unauthenticated'],
  ])('%s is refused', async (_what, more, claims, code) => {
    expect(await codeOf(verifierOf([settings(more)]).verify(await token(claims)))).toBe(code);
  });
});

describe('Riposte.Operator, which is for the whole installation', () => {
  const operator = async (issuers: readonly IssuerSettings[], tenant = TENANT_A) => {
    const claims = { ...entraV2(fake.baseUrl, NOW, tenant), roles: ['Riposte.Operator'] };
    return (await verifierOf(issuers).verify(await fake.sign(claims, { key: keys.rsa }))).roles;
  };
  const entra = (tenants: readonly string[], operatorTenants?: readonly string[]): IssuerSettings => ({
    type: 'entra',
    authority: fake.baseUrl,
    tenants,
    audience: 'api://riposte',
    operatorTenants,
  });

  it('counts in the only tenant there is', async () => {
    fake.announce(`/${TENANT_A}/v2.0`);
    expect(await operator([entra([TENANT_A])])).toEqual(['Riposte.Operator']);
  });

  it('counts for nothing among several tenants, whose own administrators give roles', async () => {
    expect(await operator([entra([TENANT_A, TENANT_B])])).toEqual([]);
    expect(await operator([entra(['*'])])).toEqual([]);
  });

  it('counts in the tenants named for it', async () => {
    expect(await operator([entra(['*'], [TENANT_A.toUpperCase()])])).toEqual(['Riposte.Operator']);
    expect(await operator([entra(['*'], [TENANT_A])], TENANT_B)).toEqual([]);
  });
});
