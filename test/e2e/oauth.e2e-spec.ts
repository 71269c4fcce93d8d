import { ConfidentialClientApplication } from '@azure/msal-node';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import {
  ClientSecretBasic,
  clientCredentialsGrant,
  customFetch,
  discovery,
  type Configuration,
} from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '#embedded-servers';
import { riposte, type CommandResult } from '../support/cli.js';
import { Client } from '../support/client.js';
import { TENANT_A, TENANT_B } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { API_COMMAND } from '../deploy/start-commands.js';
import { ProductProcess } from '../support/product-process.js';
import { Stack } from '../support/stack.js';
import { trustedCertificate, type TrustedCertificate } from '../support/tls.js';

/**
 * The built-in issuer as its clients see it: Microsoft's MSAL and panva's openid-client, unchanged, over TLS, which
 * both insist on, against two API processes with data dirs of their own.
 */

const WRITER = 'SecurityActions.ReadWrite.All';
const SCOPE = 'api://riposte/.default';
/** Longer than it may take until a revocation has come to every process. */
const EVERYWHERE_MS = 20_000;

interface Registered {
  readonly clientId: string;
  readonly clientSecret: string;
  readonly secretId: string;
}

let stack: Stack;
let second: ProductProcess;
let secondDir: string;
let secondUrl: string;
let certificate: TrustedCertificate;
/** Connects before the tests, and never begins to speak TLS. */
let silent: Socket;
/** One that nothing happens to. */
let application: Registered;

beforeAll(async () => {
  certificate = await trustedCertificate();
  stack = await Stack.start({ tls: certificate });
  silent = connect(Number(new URL(stack.baseUrl).port), '127.0.0.1')
    .on('error', () => undefined)
    .resume();
  secondDir = await mkdtemp(path.join(tmpdir(), 'riposte-second-'));
  const port = String(await freePort());
  secondUrl = `https://127.0.0.1:${port}`;
  const env = { ...stack.env, PORT: port, RIPOSTE_DATA_DIR: secondDir, PUBLIC_URL: stack.baseUrl };
  second = new ProductProcess(API_COMMAND, env);
  await second.ready();
  application = await register();
});
afterAll(async () => {
  silent.destroy();
  await second.end();
  await stack.stop();
  await rm(secondDir, { recursive: true, force: true });
  await certificate.distrust();
});

const command = (...args: readonly string[]): Promise<CommandResult> =>
  riposte({ MONGODB_URI: stack.mongodbUri, RIPOSTE_DATA_DIR: stack.dataDir }, ...args);

async function register(...options: readonly string[]): Promise<Registered> {
  const args = [
    'apps',
    'add',
    '--tenant',
    TENANT_A,
    '--name',
    'SOAR',
    '--role',
    WRITER,
    '--json',
    ...options,
  ];
  const { code, stdout, stderr } = await command(...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Registered;
}

function msal({ clientId, clientSecret }: Registered, tenant = TENANT_A): ConfidentialClientApplication {
  return new ConfidentialClientApplication({
    auth: {
      clientId,
      clientSecret,
      authority: `${stack.baseUrl}/${tenant}`,
      knownAuthorities: [new URL(stack.baseUrl).host],
    },
  });
}

async function tokenOf(client: Registered): Promise<string> {
  const answer = await msal(client).acquireTokenByClientCredential({ scopes: [SCOPE] });
  return answer?.accessToken ?? '';
}

/** A request for a token as a script sends it. */
async function post(route: string, body: string | URLSearchParams, headers: Record<string, string> = {}) {
  const response = await fetch(`${stack.baseUrl}${route}`, { method: 'POST', body, headers });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

const form = ({ clientId, clientSecret }: Registered): URLSearchParams =>
  new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: clientId,
    client_secret: clientSecret,
  });

const statusOf = async (baseUrl: string, token: string): Promise<number> =>
  (await new Client(baseUrl, token).request('GET', '/beta/security/securityActions')).status;

describe('MSAL', () => {
  it('gets a token for a registered application, with which it creates an action of its tenant', async () => {
    const answer = await msal(application).acquireTokenByClientCredential({ scopes: [SCOPE] });
    expect(answer).toMatchObject({ tokenType: 'Bearer', scopes: [SCOPE], fromCache: false });
    const client = new Client(stack.baseUrl, answer?.accessToken ?? '');
    const action = await client.get(await client.act('BlockIp', { IP: '1.2.3.4' }));
    expect(action).toMatchObject({ azureTenantId: TENANT_A, appId: application.clientId, user: null });
  });

  it('keeps the token and asks once', async () => {
    const client = msal(application);
    await client.acquireTokenByClientCredential({ scopes: [SCOPE] });
    expect(await client.acquireTokenByClientCredential({ scopes: [SCOPE] })).toMatchObject({
      fromCache: true,
    });
  });

  it('understands why it gets none', async () => {
    const cases: readonly (readonly [ConfidentialClientApplication, string, string])[] = [
      [msal({ ...application, clientSecret: 'rps_wrong' }), SCOPE, 'invalid_client'],
      [msal({ ...application, clientId: randomUUID() }), SCOPE, 'invalid_client'],
      [msal(application, TENANT_B), SCOPE, 'invalid_client'],
      [msal(application), 'User.Read', 'invalid_scope'],
    ];
    for (const [client, scope, errorCode] of cases) {
      await expect(
        client.acquireTokenByClientCredential({ scopes: [scope] }),
        `${errorCode} of ${scope}`,
      ).rejects.toMatchObject({ errorCode });
    }
  });
});

describe('openid-client', () => {
  const discovered = ({ clientId, clientSecret }: Registered): Promise<Configuration> =>
    discovery(
      new URL(`${stack.baseUrl}/${TENANT_A}/v2.0`),
      clientId,
      undefined,
      ClientSecretBasic(clientSecret),
      { [customFetch]: fetch as never },
    );

  it('discovers the issuer, authenticates by HTTP Basic and gets a token that its keys verify', async () => {
    const configuration = await discovered(application);
    const { access_token: token } = await clientCredentialsGrant(configuration, { scope: SCOPE });
    const { issuer, jwks_uri: jwksUri = '' } = configuration.serverMetadata();
    const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(jwksUri)), {
      issuer,
      audience: 'api://riposte',
    });
    expect(payload).toMatchObject({ tid: TENANT_A, roles: [WRITER], idtyp: 'app' });
    expect(await statusOf(stack.baseUrl, token)).toBe(200);
  });

  it('is told of a wrong secret', async () => {
    const configuration = await discovered({ ...application, clientSecret: 'rps_wrong' });
    await expect(clientCredentialsGrant(configuration)).rejects.toMatchObject({ status: 401 });
  });
});

describe('the token endpoint', () => {
  it('finds the tenant by the application where the path names none', async () => {
    const { status, headers, body } = await post('/oauth2/v2.0/token', form(application));
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 3600 });
    expect(await statusOf(stack.baseUrl, (body as { access_token: string }).access_token)).toBe(200);
  });

  it("refuses in OAuth's own shape", async () => {
    const { status, headers, body } = await post(
      `/${TENANT_A}/oauth2/v2.0/token`,
      'grant_type=client_credentials',
      {
        'content-type': 'application/x-www-form-urlencoded',
        authorization: `Basic ${Buffer.from(`${application.clientId}:rps_no`).toString('base64')}`,
      },
    );
    expect(status).toBe(401);
    expect(headers.get('www-authenticate')).toMatch(/^Basic realm=/);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toMatchObject({
      error: 'invalid_client',
      error_description: expect.stringMatching(/no such application/) as string,
      correlation_id: headers.get('request-id'),
    });
  });

  const FORM = 'application/x-www-form-urlencoded';
  it.each([
    ['a tenant that is no GUID', '/common/oauth2/v2.0/token', 'a=b', FORM, 400, 'invalid_tenant'],
    ['JSON', '/oauth2/v2.0/token', '{"a":1}', 'application/json', 415, 'invalid_request'],
    ['text', '/oauth2/v2.0/token', 'grant_type=x', 'text/plain', 415, 'invalid_request'],
    ['an empty body', '/oauth2/v2.0/token', '', FORM, 400, 'invalid_request'],
    [
      'more than 16 KiB',
      '/oauth2/v2.0/token',
      `grant_type=${'x'.repeat(16_384)}`,
      FORM,
      413,
      'invalid_request',
    ],
  ])('refuses %s', async (_what, route, text, type, status, error) => {
    const answer = await post(route, text, { 'content-type': type });
    expect(answer).toMatchObject({ status, body: { error } });
  });

  it('takes nothing but POST, and no form goes anywhere else', async () => {
    const response = await fetch(`${stack.baseUrl}/${TENANT_A}/oauth2/v2.0/token`);
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'OPTIONS, POST']);
    const client = await stack.client();
    const answer = await client.request('POST', '/beta/security/securityActions', {
      body: 'a=b',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect(answer.status).toBe(415);
  });

  it('stands in the OpenAPI document, open to everyone', async () => {
    const document = (await (await fetch(`${stack.baseUrl}/openapi.json`)).json()) as {
      paths: Record<string, { post?: { security?: unknown[] } }>;
    };
    for (const route of ['/oauth2/v2.0/token', '/{tenant}/oauth2/v2.0/token'])
      expect(document.paths[route]?.post?.security).toEqual([]);
  });
});

describe('discovery', () => {
  it.each([`/${TENANT_A}/v2.0`, `/${TENANT_A}`, `/${TENANT_A.toUpperCase()}/v2.0`])(
    'at %s names issuer and endpoints of the tenant',
    async (prefix) => {
      const response = await fetch(`${stack.baseUrl}${prefix}/.well-known/openid-configuration`);
      expect(await response.json()).toMatchObject({
        issuer: `${stack.baseUrl}/${TENANT_A}/v2.0`,
        token_endpoint: `${stack.baseUrl}/${TENANT_A}/oauth2/v2.0/token`,
        jwks_uri: `${stack.baseUrl}/${TENANT_A}/discovery/v2.0/keys`,
      });
    },
  );

  it('has nothing for what is no tenant', async () => {
    const response = await fetch(`${stack.baseUrl}/common/v2.0/.well-known/openid-configuration`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: 'invalid_tenant' });
  });
});

describe('several API processes', () => {
  it('accept a token whichever of them gave it, and show all keys', async () => {
    const here = await tokenOf(application);
    const there = (await (
      await fetch(`${secondUrl}/${TENANT_A}/oauth2/v2.0/token`, { method: 'POST', body: form(application) })
    ).json()) as { access_token: string };
    expect(await statusOf(secondUrl, here)).toBe(200);
    expect(await eventually(async () => (await statusOf(stack.baseUrl, there.access_token)) === 200)).toBe(
      true,
    );
    const kids = [here, there.access_token].map((token) => decodeProtectedHeader(token).kid);
    expect(new Set(kids).size).toBe(2);
    const shown = (await (await fetch(`${stack.baseUrl}/${TENANT_A}/discovery/v2.0/keys`)).json()) as {
      keys: readonly { kid: string }[];
    };
    expect(shown.keys.map(({ kid }) => kid)).toEqual(expect.arrayContaining(kids));
    expect(shown.keys.every((key) => Object.keys(key).toSorted().join() === 'alg,e,kid,kty,n,use')).toBe(
      true,
    );
  });
});

describe('an application that is revoked', () => {
  it('is out everywhere within seconds, and back with new tokens when it is restored', async () => {
    const revoked = await register();
    const token = await tokenOf(revoked);
    for (const url of [stack.baseUrl, secondUrl]) expect(await statusOf(url, token)).toBe(200);
    expect(await command('apps', 'revoke', revoked.clientId)).toMatchObject({ code: 0 });
    for (const url of [stack.baseUrl, secondUrl])
      await eventually(async () => (await statusOf(url, token)) === 401, EVERYWHERE_MS);
    expect(await post('/oauth2/v2.0/token', form(revoked))).toMatchObject({
      status: 400,
      body: { error: 'unauthorized_client' },
    });
    expect(await command('apps', 'restore', revoked.clientId)).toMatchObject({ code: 0 });
    const fresh = await tokenOf(revoked);
    await eventually(async () => (await statusOf(stack.baseUrl, fresh)) === 200, EVERYWHERE_MS);
    expect(await statusOf(stack.baseUrl, token)).toBe(401);
  });
});

describe('rotating the key beside a running API', () => {
  it('changes what new tokens are signed with; old ones go on, unless the key is revoked', async () => {
    const old = await tokenOf(application);
    const rotated = await command('issuer', 'rotate-key');
    expect(rotated).toMatchObject({ code: 0, stdout: '' });
    const fresh = await tokenOf(application);
    expect(decodeProtectedHeader(fresh).kid).not.toBe(decodeProtectedHeader(old).kid);
    expect(rotated.stderr).toContain(decodeProtectedHeader(fresh).kid);
    expect(await statusOf(stack.baseUrl, old)).toBe(200);
    expect(await statusOf(stack.baseUrl, fresh)).toBe(200);
    expect(await statusOf(stack.baseUrl, (await stack.client()).token)).toBe(200);
    const { stdout } = await command('issuer', 'keys', '--json');
    expect(JSON.parse(stdout)).toContainEqual(
      expect.objectContaining({
        kid: decodeProtectedHeader(old).kid,
        retiredAt: expect.any(String) as string,
      }),
    );

    expect(await command('issuer', 'rotate-key', '--revoke-old')).toMatchObject({ code: 0 });
    const kid = decodeProtectedHeader(fresh).kid;
    await eventually(async () => {
      const response = await fetch(`${stack.baseUrl}/${TENANT_A}/discovery/v2.0/keys`);
      const { keys } = (await response.json()) as { readonly keys: readonly { readonly kid: string }[] };
      return !keys.some((key) => key.kid === kid);
    }, EVERYWHERE_MS);
    // Not seen before, so its signature is not remembered.
    const last = await tokenOf(application);
    expect(await statusOf(stack.baseUrl, last)).toBe(200);
  });
});

describe('the command line', () => {
  it('prints a secret once, and lists it by its beginning alone', async () => {
    const { code, stdout } = await command(
      'apps',
      'add',
      '--tenant',
      TENANT_B,
      '--name',
      'Playbooks',
      '--role',
      WRITER,
      '--expires',
      '180d',
    );
    expect(code).toBe(0);
    const [, clientId = '', secret = ''] =
      /^tenant +\S+\nclient id +(\S+)\nclient secret +(rps_\S{43})\n$/.exec(stdout) ?? [];
    const added = JSON.parse((await command('apps', 'new-secret', clientId, '--json')).stdout) as Registered;
    expect(await command('apps', 'remove-secret', clientId, added.secretId)).toMatchObject({ code: 0 });
    const list = await command('apps', 'list', '--tenant', TENANT_B);
    expect(list.stdout).toMatch(
      new RegExp(
        `^${clientId} {2}Playbooks\\n {2}tenant ${TENANT_B}\\n {2}roles {2}${WRITER}\\n {2}secret [0-9a-f]{8} {2}${secret.slice(0, 10)}… {2}until .*Z\\n$`,
      ),
    );
    const json = await command('apps', 'list', '--json');
    expect(json.stdout).not.toContain('scrypt');
    expect(JSON.parse(json.stdout)).toContainEqual(
      expect.objectContaining({ appId: clientId, name: 'Playbooks', roles: [WRITER] }),
    );
  });

  const UNKNOWN = '77777777-7777-4777-8777-777777777777';
  it.each([
    [['apps', 'revoke', UNKNOWN], /There is no application 77777777/, 1],
    [['apps', 'remove-secret', UNKNOWN, 'abc'], /no application 77777777\S* with a secret abc/, 1],
    [['apps', 'revoke', 'x'], /has to be a GUID/, 2],
    [['apps', 'add', '--tenant', TENANT_A, '--name', 'a', '--role', 'Nobody'], /Known roles: Sec/, 2],
    [['apps', 'add', '--tenant', TENANT_A, '--name', ' ', '--role', WRITER], /one line of 1 to 120/, 2],
    [
      ['apps', 'add', '--tenant', TENANT_A, '--name', 'a', '--role', WRITER, '--expires', '5y'],
      /between 1h and 3650d/,
      2,
    ],
    [['issuer', 'revoke-key', 'abc'], /There is no key abc/, 1],
  ] as const)('refuses %j', async (args, message, exitCode) => {
    const { code, stdout, stderr } = await command(...args);
    expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' });
    expect(stderr).toMatch(message);
  });
});

describe('what the processes print', () => {
  it('has no secret and no token in it', async () => {
    const token = await tokenOf(application);
    await post('/oauth2/v2.0/token', form({ ...application, clientId: application.clientSecret }));
    await eventually(() => stack.api.log.some(({ msg }) => msg === 'token refused'));
    for (const { output } of [stack.api, second]) {
      expect(output).not.toContain(application.clientSecret);
      expect(output).not.toContain(token.slice(-40));
    }
  });
});

describe('a client that never begins to speak TLS', () => {
  it('is let go after 10 s', async () => {
    await eventually(() => silent.closed, 20_000);
  });
});
