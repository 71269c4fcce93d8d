import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import type { JWTPayload } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeIssuer, makeKey, type SigningKey } from '../simulators/oidc-issuer/issuer.js';
import { Client, mockAction, type GraphAction, type GraphError } from '../support/client.js';
import { APP, TENANT_A, TENANT_B } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { documentOf } from '../support/openapi.js';
import { entraV1, entraV2, keycloak, keycloakUser } from '../support/outside-tokens.js';
import { DIST_DIR } from '../support/project-dir.js';
import { Stack } from '../support/stack.js';

let stack: Stack;
/** Plays Entra ID, for every tenant but those that are not allowed. */
let entra: FakeIssuer;
/** Plays Keycloak; it is down when the API starts. */
let kc: FakeIssuer;
let realm: string;

beforeAll(async () => {
  entra = await FakeIssuer.start([makeKey()]);
  entra.announce('/organizations/v2.0', `${entra.baseUrl}/{tenantid}/v2.0`);
  kc = await FakeIssuer.start([makeKey('ES256')]);
  realm = kc.announce('/realms/soc');
  await kc.down();
  stack = await Stack.start({
    config: `
providers: [{ id: mock, plugin: mock }]
auth:
  issuers:
    - type: entra
      authority: ${entra.baseUrl}
      tenants: [${TENANT_A}, ${TENANT_B}]
      audience: api://riposte
      operatorTenants: [${TENANT_B}]
    - type: keycloak
      issuer: ${realm}
      audience: riposte
      tenant: ${TENANT_A}
`,
  });
});
afterAll(async () => {
  await stack.stop();
  await Promise.all([entra.down(), kc.down()]);
});

async function post(issuer: FakeIssuer, claims: JWTPayload, key?: SigningKey) {
  const token = await issuer.sign(claims, key === undefined ? {} : { key });
  return new Client(stack.baseUrl, token).post<GraphAction & GraphError>(
    mockAction('BlockIp', { IP: '1.2.3.4' }),
  );
}

describe('an issuer that is down when the API starts', () => {
  it('is told as 503 with Retry-After, holds up no other issuer, and works once it is up', async () => {
    const refused = await post(kc, keycloak(realm));
    expect(refused.status).toBe(503);
    expect(refused.body.error.code).toBe('serviceNotAvailable');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await post(entra, entraV2(entra.baseUrl))).status).toBe(201);
    await kc.up();
    await eventually(async () => (await post(kc, keycloak(realm))).status === 201);
  });
});

describe('an action of an outside caller', () => {
  it.each([
    ['Entra ID, v2', () => post(entra, entraV2(entra.baseUrl)), TENANT_A, APP],
    ['Entra ID, v1', () => post(entra, entraV1()), TENANT_A, APP],
    ['another tenant', () => post(entra, entraV2(entra.baseUrl, Date.now(), TENANT_B)), TENANT_B, APP],
    ['Keycloak', () => post(kc, keycloak(realm)), TENANT_A, 'soc-automation'],
  ])('carries its tenant and application: %s', async (_what, create, tenant, app) => {
    const { status, body } = await create();
    expect(status).toBe(201);
    expect(body).toMatchObject({ azureTenantId: tenant, appId: app, user: null });
    expect(body.states).toMatchObject([{ appId: app, user: null, status: 'NotStarted' }]);
  });

  // Before the refusals below: their made-up kids use up the fetches of this minute.
  it('keeps being accepted through a change of keys', async () => {
    const [before] = entra.keys;
    const after = makeKey('ES256');
    entra.keys = before === undefined ? [after] : [after, before];
    expect((await post(entra, entraV2(entra.baseUrl), after)).status).toBe(201);
    expect((await post(entra, entraV2(entra.baseUrl), before)).status).toBe(201);
  });

  it.each([
    [
      'a tenant that is not allowed',
      () => post(entra, entraV2(entra.baseUrl, Date.now(), '77777777-7777-4777-8777-777777777777')),
      401,
      /not valid/,
    ],
    ["a user's token", () => post(entra, { ...entraV2(entra.baseUrl), scp: 'all' }), 403, /Delegated/],
    ["a user's token of Keycloak", () => post(kc, keycloakUser(realm)), 403, /Delegated/],
    [
      'no roles',
      () => post(entra, { ...entraV2(entra.baseUrl), roles: [] }),
      403,
      /SecurityActions\.ReadWrite\.All/,
    ],
    [
      'a role that is not enough',
      () => post(entra, { ...entraV2(entra.baseUrl), roles: ['SecurityActions.Read.All'] }),
      403,
      /SecurityActions\.ReadWrite\.All/,
    ],
    ['the keys of another issuer', () => post(kc, entraV2(entra.baseUrl)), 401, /not valid/],
  ])('is refused: %s', async (_what, create, status, message) => {
    const answer = await create();
    expect(answer.status).toBe(status);
    expect(answer.body.error.message).toMatch(message);
  });
});

describe('the operator of an installation with several tenants', () => {
  const board = async (tenant: string) => {
    const claims = { ...entraV2(entra.baseUrl, Date.now(), tenant), roles: ['Riposte.Operator'] };
    const client = new Client(stack.baseUrl, await entra.sign(claims));
    return (await client.request('GET', '/ops/queues/')).status;
  };

  it('comes from a tenant that is named for it', async () => {
    expect([await board(TENANT_B), await board(TENANT_A)]).toEqual([200, 403]);
  });
});

describe('the built-in issuer beside an outside one', () => {
  it('is off: its tokens are refused', async () => {
    const client = await stack.client();
    expect((await client.post(mockAction('BlockIp', { IP: '1.2.3.4' }))).status).toBe(401);
  });

  it('has no token endpoint, keys or discovery, and none in the OpenAPI document', async () => {
    const client = await stack.client();
    for (const route of [
      'oauth2/v2.0/token',
      'v2.0/.well-known/openid-configuration',
      'discovery/v2.0/keys',
    ]) {
      const method = route.endsWith('token') ? 'POST' : 'GET';
      expect((await client.request(method, `/${TENANT_A}/${route}`)).status).toBe(404);
    }
    const paths = Object.keys((await documentOf(stack.baseUrl)).paths);
    expect(paths.filter((one) => one.startsWith('/{tenant}'))).toEqual([]);
  });

  it.each([
    ['token', ['--tenant', TENANT_A, '--app', APP, '--role', 'SecurityActions.Read.All']],
    ['riposte', ['apps', 'list']],
    ['riposte', ['issuer', 'keys']],
  ])('does nothing by npm run %s %j, which says why', async (script, args) => {
    const run = promisify(execFile)(
      process.execPath,
      [path.join(DIST_DIR, `apps/cli/${script}.js`), ...args],
      {
        env: { ...stack.env },
      },
    );
    await expect(run).rejects.toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^The built-in issuer is off: .*auth\.builtin/) as string,
    });
  });
});
