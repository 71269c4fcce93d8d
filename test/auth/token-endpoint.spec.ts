import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  BuiltinIssuer,
  ClientCredentials,
  OAuthError,
  TokenVerifier,
  newClientSecret,
  parseTokenForm,
  type TokenAnswer,
} from '#auth';
import type { Database } from '#persistence';
import { TENANT_A, TENANT_B, freshDatabase } from '../support/database.js';

const ROLE = 'SecurityActions.Read.All';
const ADDRESS = '192.0.2.1';
const PUBLIC_URL = 'https://riposte.example';

let dataDir: string;
let database: Database;
let issuer: BuiltinIssuer;

beforeAll(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'riposte-issuer-'));
  database = await freshDatabase();
  const { applications, issuerKeys: keys } = database;
  issuer = await BuiltinIssuer.open(dataDir, {
    publicUrl: PUBLIC_URL,
    keys,
    applications,
    onRefresh: () => undefined,
  });
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

const clientsOf = (): ClientCredentials =>
  new ClientCredentials(database.applications, issuer, () => Promise.resolve());
const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;

async function register(expiresInMs: number | null = null): Promise<{ appId: string; secret: string }> {
  const appId = randomUUID();
  const { secret, kept } = await newClientSecret();
  await database.applications.add(
    { appId, tenantId: TENANT_A, name: 'SOAR', roles: [ROLE] },
    { ...kept, expiresInMs },
  );
  return { appId, secret };
}

interface Ask {
  readonly clients?: ClientCredentials;
  readonly form?: Readonly<Record<string, string>>;
  readonly header?: string;
  readonly tenant?: string | null;
  readonly address?: string;
}

async function ask({ clients = clientsOf(), form = {}, header, tenant = TENANT_A, address = ADDRESS }: Ask) {
  const body = new URLSearchParams({ grant_type: 'client_credentials', ...form }).toString();
  return clients.grant(parseTokenForm(body, header), tenant, address);
}

/** What a client is answered, as `status code`; `200` for a token. */
async function outcome(asked: () => Promise<TokenAnswer>): Promise<string> {
  try {
    return (await asked()).access_token === '' ? '' : '200';
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error;
    return `${error.status} ${error.code}`;
  }
}

describe('a token request', () => {
  const id = 'client_id=a&client_secret=b';
  it.each([
    ['', undefined, 'invalid_request'],
    [id, undefined, 'invalid_request'],
    [`grant_type=&${id}`, undefined, 'invalid_request'],
    [`grant_type=password&${id}`, undefined, 'unsupported_grant_type'],
    [`grant_type=CLIENT_CREDENTIALS&${id}`, undefined, 'unsupported_grant_type'],
    ['grant_type=client_credentials', undefined, 'invalid_request'],
    ['grant_type=client_credentials&client_id=a', undefined, 'invalid_request'],
    ['grant_type=client_credentials&client_id=a&client_secret=', undefined, 'invalid_request'],
    ['grant_type=client_credentials&client_id=a&client_assertion=x', undefined, 'invalid_client'],
    [`grant_type=client_credentials&client_id=a&${id}`, undefined, 'invalid_request'],
    [`grant_type=client_credentials&grant_type=client_credentials&${id}`, undefined, 'invalid_request'],
    [`grant_type=client_credentials&${id}`, basic('a', 'b'), 'invalid_request'],
    ['grant_type=client_credentials&client_id=c', basic('a', 'b'), 'invalid_request'],
    ['grant_type=client_credentials', 'Bearer abc', 'invalid_client'],
    ['grant_type=client_credentials', 'Basic !!!', 'invalid_client'],
    ['grant_type=client_credentials', basic('', 'b'), 'invalid_client'],
    ['grant_type=client_credentials', basic('a', '%zz'), 'invalid_client'],
    [`grant_type=client_credentials&${id}&scope=SecurityActions.Read.All`, undefined, 'invalid_scope'],
    [`grant_type=client_credentials&${id}&scope=a%2F.default+b%2F.default`, undefined, 'invalid_scope'],
    [`grant_type=client_credentials&${id}&scope=%2F.default`, undefined, 'invalid_scope'],
  ])('"%s" with header %s is refused: %s', (body, header, code) => {
    expect(() => parseTokenForm(body, header)).toThrow(expect.objectContaining({ code }) as Error);
  });

  it.each([
    ['api://riposte/.default'],
    ['https://riposte.example/.default'],
    ['https://riposte.example//.default'],
    ['22222222-2222-4222-8222-222222222222/.default'],
  ])('may name the scope %s', (scope) => {
    const body = new URLSearchParams({ grant_type: 'client_credentials', scope }).toString();
    expect(parseTokenForm(body, basic('a', 'b'))).toEqual({
      clientId: 'a',
      clientSecret: 'b',
      byHeader: true,
      scope,
    });
  });

  it('has name and password of the header form-encoded, as RFC 6749 wants it', () => {
    const form = parseTokenForm('grant_type=client_credentials', basic('a%2Db', 'rps%5Fx%3Ay+z'));
    expect(form).toMatchObject({ clientId: 'a-b', clientSecret: 'rps_x:y z' });
  });

  it('is told only characters that a description may have', () => {
    expect(() => parseTokenForm('grant_type=%22%0d%0aSet-Cookie%3A%C3%A9', undefined)).toThrow(
      'The grant_type "???Set-Cookie:?" is not supported',
    );
  });
});

describe('the token of an application', () => {
  it('speaks for it, with its roles, for an hour', async () => {
    const { appId, secret } = await register();
    const answer = await ask({ form: { client_id: appId.toUpperCase(), client_secret: secret } });
    expect(answer).toMatchObject({
      token_type: 'Bearer',
      expires_in: 3600,
      scope: 'api://riposte/.default',
    });
    const { iat = 0, nbf, exp, jti, ...claims } = decodeJwt(answer.access_token);
    expect(claims).toEqual({
      iss: `${PUBLIC_URL}/${TENANT_A}/v2.0`,
      aud: 'api://riposte',
      tid: TENANT_A,
      azp: appId,
      azpacr: '1',
      oid: appId,
      sub: appId,
      roles: [ROLE],
      idtyp: 'app',
      ver: '2.0',
    });
    expect([nbf, exp]).toEqual([iat, iat + 3600]);
    expect(jti).toMatch(/^[0-9a-f-]{36}$/);
    expect(await new TokenVerifier([issuer]).verify(answer.access_token)).toEqual({
      tenantId: TENANT_A,
      appId,
      user: null,
      roles: [ROLE],
    });
  });

  it.each([
    [`${PUBLIC_URL}/${TENANT_A}/v2.0`, TENANT_A, true],
    ['urn:riposte:issuer', TENANT_A, true],
    [`${PUBLIC_URL}/${TENANT_A}/v2.0`, TENANT_B, false],
    [`${PUBLIC_URL}/${TENANT_A}/v2.0`, null, false],
    [`${PUBLIC_URL}/${TENANT_A}/v2.0/`, TENANT_A, false],
    [`${PUBLIC_URL}//v2.0`, '', false],
    [`${PUBLIC_URL}/../v2.0`, '..', false],
    [`https://other.example/${TENANT_A}/v2.0`, TENANT_A, false],
  ])('of the issuer %s and tenant %s: accepted %s', (iss, tid, accepted) => {
    expect(issuer.accepts(iss, tid)).toBe(accepted);
  });
});

describe('proving to be an application', () => {
  it('takes one of its secrets, in the body or the header, at its own tenant or at none', async () => {
    const { appId, secret } = await register();
    const form = { client_id: appId, client_secret: secret };
    const second = await newClientSecret();
    await database.applications.addSecret(appId, { ...second.kept, expiresInMs: 60_000 });
    const other = await register();
    const cases: readonly (readonly [Ask, string])[] = [
      [{ form }, '200'],
      [{ form, tenant: null }, '200'],
      [{ header: basic(appId, secret) }, '200'],
      [{ form: { client_id: appId, client_secret: second.secret } }, '200'],
      [{ form, tenant: TENANT_B }, '401 invalid_client'],
      [{ form: { client_id: randomUUID(), client_secret: secret } }, '401 invalid_client'],
      [{ form: { client_id: 'no-guid', client_secret: secret } }, '401 invalid_client'],
      [{ form: { client_id: '__proto__', client_secret: secret } }, '401 invalid_client'],
      [{ form: { client_id: appId, client_secret: other.secret } }, '401 invalid_client'],
      [{ form: { client_id: appId, client_secret: `${secret}x` } }, '401 invalid_client'],
      // The right beginning is not enough.
      [
        { form: { client_id: appId, client_secret: secret.slice(0, 10).padEnd(47, 'A') } },
        '401 invalid_client',
      ],
    ];
    const clients = clientsOf();
    for (const [asked, expected] of cases)
      expect(await outcome(() => ask({ clients, ...asked })), JSON.stringify(asked)).toBe(expected);
    await database.applications.removeSecret(appId, second.kept.id);
    expect(await outcome(() => ask({ form: { client_id: appId, client_secret: second.secret } }))).toBe(
      '401 invalid_client',
    );
    expect(await outcome(() => ask({ form }))).toBe('200');
  });

  it('fails with a secret that has expired, and says which', async () => {
    const { appId, secret } = await register(-1000);
    await expect(ask({ form: { client_id: appId, client_secret: secret } })).rejects.toThrow(
      /^The client secret [0-9a-f]{8} has expired/,
    );
  });

  it('asks for HTTP Basic again where the client tried by header', async () => {
    const { appId } = await register();
    const wrong = 'rps_x';
    await expect(ask({ header: basic(appId, wrong) })).rejects.toMatchObject({ challenge: true });
    await expect(ask({ form: { client_id: appId, client_secret: wrong } })).rejects.toMatchObject({
      challenge: false,
    });
  });

  it('keeps no secret in the database, and no two hashes alike', async () => {
    const { appId, secret } = await register();
    const text = JSON.stringify(await database.applications.find(appId));
    expect(text).toMatch(/scrypt:16384:8:1:/);
    expect(text).not.toContain(secret.slice(4, 20));
  });

  it('has room for ten secrets', async () => {
    const { appId } = await register();
    const { kept } = await newClientSecret();
    const add = (id: string): Promise<string> =>
      database.applications.addSecret(appId, { ...kept, id, expiresInMs: null });
    for (let index = 0; index < 9; index += 1) expect(await add(`s${index}`)).toBe('added');
    expect(await add('s8')).toBe('added');
    expect(await add('s9')).toBe('full');
    expect(await database.applications.addSecret(randomUUID(), { ...kept, expiresInMs: null })).toBe(
      'unknown',
    );
  });
});

describe('failing again and again', () => {
  const failing = (clients: ClientCredentials, appId: string, address: string) =>
    outcome(() => ask({ clients, address, form: { client_id: appId, client_secret: 'rps_wrong' } }));

  it('is answered 429 after ten times a minute of one client, with the time to wait', async () => {
    const clients = clientsOf();
    const { appId, secret } = await register();
    for (let index = 0; index < 10; index += 1)
      expect(await failing(clients, appId, ADDRESS)).toBe('401 invalid_client');
    const form = { client_id: appId, client_secret: 'rps_wrong' };
    const refusal = ask({ clients, form });
    await expect(refusal).rejects.toMatchObject({ status: 429, code: 'temporarily_unavailable' });
    const { retryAfterSeconds } = (await refusal.catch((error: unknown) => error)) as OAuthError;
    expect(retryAfterSeconds).toBeGreaterThanOrEqual(1);
    expect(retryAfterSeconds).toBeLessThanOrEqual(60);
    expect(await failing(clients, appId, '192.0.2.2')).toBe('401 invalid_client');
    // Nobody is locked out by it, also not behind the same proxy.
    for (const address of [ADDRESS, '192.0.2.2']) {
      const right = { client_id: appId, client_secret: secret };
      expect(await outcome(() => ask({ clients, address, form: right }))).toBe('200');
    }
  });

  it('is answered 429 after sixty times a minute from one address, or one IPv6 network', async () => {
    const clients = clientsOf();
    const from = (index: number): string => `2001:db8::${index.toString(16)}`;
    for (let index = 0; index < 60; index += 1)
      expect(await failing(clients, randomUUID(), from(index))).toBe('401 invalid_client');
    expect(await failing(clients, randomUUID(), from(999))).toBe('429 temporarily_unavailable');
    expect(await failing(clients, randomUUID(), '2001:db8:0:1::1')).toBe('401 invalid_client');
    // Who has a right secret is not stopped by a neighbour behind the same proxy.
    const { appId, secret } = await register();
    const form = { client_id: appId, client_secret: secret };
    expect(await outcome(() => ask({ clients, address: from(1), form }))).toBe('200');
  });

  it('costs no more than ten hashes a minute, also of who knows how a secret begins', async () => {
    const clients = clientsOf();
    const { appId, secret } = await register();
    const form = { client_id: appId, client_secret: secret.slice(0, 10).padEnd(47, 'A') };
    const right = { client_id: appId, client_secret: secret };
    expect(await outcome(() => ask({ clients, form: right }))).toBe('200');
    for (let index = 0; index < 10; index += 1)
      expect(await outcome(() => ask({ clients, form }))).toBe('401 invalid_client');
    expect(await outcome(() => ask({ clients, form }))).toBe('429 temporarily_unavailable');
    // Of the right one it is known that it is right.
    expect(await outcome(() => ask({ clients, form: right }))).toBe('200');
  });

  it('does not let a flood of guesses wait in line for ever', async () => {
    const clients = clientsOf();
    const { appId, secret } = await register();
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) => {
        const guess = secret.slice(0, 10).padEnd(45, 'A') + String(index).padStart(2, '0');
        return outcome(() => ask({ clients, form: { client_id: appId, client_secret: guess } }));
      }),
    );
    expect(new Set(answers)).toEqual(new Set(['401 invalid_client', '429 temporarily_unavailable']));
  });
});

describe('an application that asks for tokens in a loop', () => {
  it('takes the endpoint from no other', async () => {
    const clients = clientsOf();
    const [greedy, other] = [await register(), await register()];
    const by = ({ appId, secret }: typeof greedy) =>
      outcome(() => ask({ clients, form: { client_id: appId, client_secret: secret } }));
    const answers = await Promise.all([...Array.from({ length: 100 }, () => by(greedy)), by(other)]);
    expect(new Set(answers)).toEqual(new Set(['200']));
  });

  it('is out as soon as its secret is removed, or the application revoked', async () => {
    const clients = clientsOf();
    const { appId, secret } = await register();
    const form = { client_id: appId, client_secret: secret };
    expect(await outcome(() => ask({ clients, form }))).toBe('200');
    await database.applications.revoke(appId);
    expect(await outcome(() => ask({ clients, form }))).toBe('400 unauthorized_client');
    await database.applications.restore(appId);
    expect(await outcome(() => ask({ clients, form }))).toBe('200');
    const [kept] = (await database.applications.find(appId))?.secrets ?? [];
    await database.applications.removeSecret(appId, kept?.id ?? '');
    expect(await outcome(() => ask({ clients, form }))).toBe('401 invalid_client');
  });
});
