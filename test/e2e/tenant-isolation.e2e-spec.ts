import { randomUUID } from 'node:crypto';
import { sample } from 'openapi-sampler';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer, Client, GraphAction, GraphError } from '../support/client.js';
import { APP, TENANT_A, TENANT_B } from '../support/database.js';
import { Stack } from '../support/stack.js';
import { documentOf, operationsOf, type Operation } from '../support/openapi.js';

/**
 * Walks every route of the OpenAPI document, so that a route that is added later is covered when it is documented;
 * that every served route is documented is seen at the end.
 */

const ROLES = [
  'SecurityActions.Read.All',
  'SecurityActions.ReadWrite.All',
  'Audit.Read.All',
  'Riposte.Operator',
] as const;
/** What a caller from nowhere may call. */
const PUBLIC = [
  // It asks for the password of the feed, see feeds.e2e-spec.ts.
  'GET /feeds/{tenant}/{list}.txt',
  // It tells how to sign in; and signing in, see console-sessions.e2e-spec.ts.
  'GET /api/v1/session',
  'POST /api/v1/session',
  'GET /health/live',
  'GET /health/ready',
  // It asks who does not come from this machine for a token, see metrics.e2e-spec.ts.
  'GET /metrics',
  'POST /oauth2/v2.0/token',
  'POST /{tenant}/oauth2/v2.0/token',
  'GET /{tenant}/v2.0/.well-known/openid-configuration',
  'GET /{tenant}/.well-known/openid-configuration',
  'GET /{tenant}/discovery/v2.0/keys',
];
const CANARY = `canary-${randomUUID()}`;

let stack: Stack;
let document: Awaited<ReturnType<typeof documentOf>>;
let operations: readonly Operation[];
let owner: Client;
let stranger: Client;
const ids: string[] = [];

beforeAll(async () => {
  stack = await Stack.start({ env: { RIPOSTE_LOG_LEVEL: 'debug' } });
  document = await documentOf(stack.baseUrl);
  operations = operationsOf(document);
  owner = await stack.client({ tenant: TENANT_A, roles: ROLES });
  stranger = await stack.client({ tenant: TENANT_B, roles: ROLES });
  const telling = { actionReason: CANARY, clientContext: CANARY };
  ids.push(await owner.act('BlockIp', { IP: '1.2.3.4' }, telling));
  ids.push(await owner.act('FailAlways', { code: 409, message: CANARY }, telling));
  ids.push(await owner.act('LongRunning', { durationMs: 600_000 }, telling));
});
afterAll(() => stack.stop());

/** What asks for something, which may be a person: see console-sessions.e2e-spec.ts. */
const guarded = (): readonly Operation[] => operations.filter(({ roles }) => roles.length > 0);
/** What a token is enough for. */
const forTokens = (): readonly Operation[] =>
  guarded().filter(({ roles }) => ROLES.some((role) => roles.includes(role)));

function call(client: Client, { method, path, body }: Operation, id: string): Promise<Answer> {
  const unknown = [...path.matchAll(/\{(?!(?:id|instance|name)\})[^}]+\}/g)];
  if (unknown.length > 0) throw new Error(`say here what to put for ${unknown.join()} of ${path}`);
  const address = path.replace('{id}', id).replace('{instance}', 'mock').replace('{name}', 'nobody');
  if (body === null) return client.request(method, address);
  return client.request(method, address, {
    body: JSON.stringify(sample(body, { skipReadOnly: true }, document)),
    headers: { 'content-type': 'application/json' },
  });
}

function expectNothingOf(answer: Answer): void {
  const text = JSON.stringify([answer.body, [...answer.headers]]);
  expect(text).not.toContain(CANARY);
  expect(text).not.toContain(TENANT_A);
}

describe('what one tenant can see of another', () => {
  it('is nothing under the id of an action: 404, whatever the route and the method', async () => {
    const before = await Promise.all(ids.map((id) => owner.native(id)));
    const withId = forTokens().filter(({ path }) => path.includes('{id}'));
    expect(withId.length).toBeGreaterThan(5);
    for (const operation of withId) {
      for (const id of [...ids, ...ids.map((one) => one.toUpperCase())]) {
        const answer = await call(stranger, operation, id);
        expect({ ...operation, status: answer.status }).toEqual({ ...operation, status: 404 });
        if (operation.method !== 'HEAD')
          expect((answer as Answer<GraphError>).body.error.code).toBe('itemNotFound');
        expectNothingOf(answer);
      }
    }
    const still = await Promise.all(ids.map((id) => owner.native(id)));
    expect(still.map(({ cancel, resolution }) => [cancel, resolution])).toEqual(
      before.map(({ cancel, resolution }) => [cancel, resolution]),
    );
  });

  it('is nothing in a list, a count or any other answer', async () => {
    const without = forTokens().filter(({ path }) => !path.includes('{id}'));
    expect(without.length).toBeGreaterThan(2);
    for (const operation of without.filter(({ method }) => method === 'GET')) {
      const answer = await call(stranger, operation, '');
      expect({ ...operation, status: answer.status }).toEqual({ ...operation, status: 200 });
      expectNothingOf(answer);
      if (operation.roles.includes('Riposte.Operator')) continue;
      // What happens to the actions later is told, too, to their tenant alone: see events.e2e-spec.ts.
      if (operation.path.endsWith('/events')) continue;
      if (operation.path.endsWith('/overview'))
        expect(answer.body).toMatchObject({
          totals: { created: 0 },
          providers: [],
          now: { oldestWaiting: null },
        });
      // What the tenant itself does: see audit.e2e-spec.ts.
      else if (operation.path.endsWith('/audit')) continue;
      else if (operation.path.endsWith('/export'))
        expect(String(answer.body).trim().split('\n')).toHaveLength(1);
      // The console is everybody's.
      else if (operation.path.endsWith('/applications'))
        expect(answer.body).toMatchObject({ value: [{ name: 'Console' }] });
      else if (typeof answer.body === 'string') expect(answer.body).toBe('0');
      else expect((answer.body as { value: unknown[] }).value).toEqual([]);
    }
    for (const operation of without.filter(({ method }) => method !== 'GET'))
      expectNothingOf(await call(stranger, operation, ''));
  });

  it('does not change with what a caller puts into a body: the tenant comes from the token alone', async () => {
    const forged = {
      azureTenantId: TENANT_A,
      appId: randomUUID(),
      id: ids[0],
      '@odata.tenantId': TENANT_A,
    };
    const id = await stranger.act('BlockIp', { IP: '1.2.3.4' }, forged);
    expect(ids).not.toContain(id);
    expect(await stranger.get(id)).toMatchObject({ azureTenantId: TENANT_B, appId: APP });
    expect((await owner.request('GET', `/beta/security/securityActions/${id}`)).status).toBe(404);
  });

  it('leaves the owner everything', async () => {
    const { body } = await owner.request<{ value: GraphAction[] }>('GET', '/beta/security/securityActions');
    expect(body.value.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  });
});

describe('what a role may call', () => {
  it('is answered to nobody without a token, but for the public routes', async () => {
    const open = operations.filter(({ roles }) => roles.length === 0);
    expect(open.map(({ method, path }) => `${method} ${path}`).toSorted()).toEqual(PUBLIC.toSorted());
    const nobody = await stack.client({ roles: [] });
    for (const operation of guarded()) {
      const answer = await call(
        Object.assign(Object.create(nobody), { token: '' }) as Client,
        operation,
        randomUUID(),
      );
      expect({ ...operation, status: answer.status }).toEqual({ ...operation, status: 401 });
    }
  });

  it.each([...ROLES, null])('%s: what the document says, and nothing else', async (role) => {
    const client = await stack.client({ tenant: TENANT_B, roles: role === null ? ['Other.Role'] : [role] });
    for (const operation of guarded()) {
      const { status } = await call(client, operation, randomUUID());
      const allowed = role !== null && operation.roles.includes(role);
      expect({ ...operation, refused: status === 403 }).toEqual({ ...operation, refused: !allowed });
      expect(status).not.toBe(401);
    }
  });
});

describe('the inventory', () => {
  /** Pages and files of its own, for people: the documentation, the dashboard, the console. */
  const PAGES =
    /^\/(?:|favicon\.svg|site\.webmanifest|(?:docs|openapi\.json|ops\/queues|assets|sign-in|actions|inbox|providers|people|account)(?:[/-].*)?)$/;

  const served = (): [string, string][] => {
    const routes = stack.api.log.find(({ msg }) => msg === 'routes served')?.['routes'] as string[];
    return routes.map((route) => route.split(' ') as [string, string]);
  };

  it('of the OpenAPI document is what is served: no route more, no route less', () => {
    const told = served()
      .filter(([method, path]) => method !== 'HEAD' && !PAGES.test(path))
      .map(([method, path]) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
    const documented = operations.map(({ method, path }) => `${method} ${path}`);
    expect(new Set(told)).toEqual(new Set(documented));
  });

  it('of the dashboard is for operators, route by route', async () => {
    const viewer = await stack.client({ roles: ROLES.filter((role) => role !== 'Riposte.Operator') });
    const nobody = Object.assign(Object.create(viewer), { token: '' }) as Client;
    const routes = served().filter(([, path]) => /^\/ops\/queues\b/.test(path));
    expect(routes.length).toBeGreaterThan(10);
    for (const [method, path] of routes) {
      const url = path.replaceAll(/:\w+|\*/g, 'mock');
      const asked = [nobody, viewer].map((client) => client.request(method, url));
      const statuses = (await Promise.all(asked)).map(({ status }) => status);
      expect({ method, url, statuses }).toEqual({ method, url, statuses: [401, 403] });
    }
  });

  it.each(['/debug/pprof', '/.env', '/server-status', '/api', '/beta', '/admin', '/json/version'])(
    'has nothing at %s',
    async (path) => {
      expect((await owner.request('GET', path)).status).toBe(404);
    },
  );
});
