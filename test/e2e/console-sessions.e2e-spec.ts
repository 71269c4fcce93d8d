import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONSOLE_APP_ID } from '#domain';
import { freePort } from '#embedded-servers';
import { connectDatabase, type Database } from '#persistence';
import { mockAction, type Answer, type GraphError, type NativeAction } from '../support/client.js';
import { ConsoleClient, type SessionView } from '../support/console-client.js';
import { TENANT_A, TENANT_B } from '../support/database.js';
import { PASSWORD, makeOperator } from '../support/operators.js';
import { ProductProcess } from '../support/product-process.js';
import { PROJECT_DIR } from '../support/project-dir.js';
import { Stack } from '../support/stack.js';
import { API_COMMAND } from '../deploy/start-commands.js';

let stack: Stack;
let database: Database;
/** A second API process on the same database. */
let another: ProductProcess;
let anotherUrl: string;

beforeAll(async () => {
  stack = await Stack.start({
    env: { RIPOSTE_LOG_LEVEL: 'debug' },
    config:
      'providers: [{ id: mock, plugin: mock }]\nconsole: { queues: { writable: true }, tenants: { 99999999-9999-4999-8999-999999999999: Branch } }',
  });
  database = await connectDatabase(stack.mongodbUri, { appName: 'riposte-test' });
  const port = await freePort();
  anotherUrl = `http://127.0.0.1:${port}`;
  another = new ProductProcess(API_COMMAND, { ...stack.env, PORT: String(port) });
  await another.ready();
});
afterAll(async () => {
  await another.end();
  await database.close();
  await stack.stop();
});

let people = 0;

/** Somebody of their own for each test, who has signed in. */
async function signedIn(options: Parameters<typeof makeOperator>[2] = {}) {
  people += 1;
  const name = `person-${people}`;
  await makeOperator(database, name, options);
  const client = new ConsoleClient(stack.baseUrl);
  expect((await client.signIn(name, PASSWORD)).status).toBe(200);
  return { name, client };
}

function codeOf({ status, body }: Answer): string {
  return `${status} ${(body as GraphError).error.code}`;
}

describe('signing in by name and password', () => {
  it('begins a session whose cookie no script reads and no other site sends', async () => {
    await makeOperator(database, 'ann', { role: 'Administrator', operates: true });
    const client = new ConsoleClient(stack.baseUrl);
    const answer = await client.signIn(' Ann ', PASSWORD);
    expect(answer.status).toBe(200);
    expect(answer.headers.getSetCookie()).toEqual([
      // Tells this browser from others that try to guess the password from the same address.
      expect.stringMatching(/^riposte-device=[\w.-]+; Path=\/; HttpOnly; SameSite=Strict; Max-Age=\d+$/),
      expect.stringMatching(/^riposte=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/),
    ]);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.body).toEqual({
      signedIn: true,
      user: { name: 'ann', displayName: 'Known as ann', kind: 'local' },
      tenant: { id: TENANT_A, name: null, role: 'Administrator' },
      tenants: [{ id: TENANT_A, name: null, role: 'Administrator' }],
      operates: true,
      mustChangePassword: false,
      csrfToken: expect.stringMatching(/^[\w-]{43}$/) as string,
      idleUntil: expect.any(String) as string,
      endsAt: expect.any(String) as string,
      version: (JSON.parse(await readFile(join(PROJECT_DIR, 'package.json'), 'utf8')) as { version: string })
        .version,
    });
    expect(await client.session()).toEqual(answer.body);
    const lasts = (until = '') => Math.round((Date.parse(until) - Date.now()) / 60_000);
    expect([lasts(answer.body.idleUntil), lasts(answer.body.endsAt)]).toEqual([30, 720]);
  });

  it('tells who has not signed in how to', async () => {
    expect(await new ConsoleClient(stack.baseUrl).session()).toEqual({
      signedIn: false,
      signIn: { local: true, issuers: [] },
    });
  });

  it('gives a session another cookie than the browser had before', async () => {
    const { name, client } = await signedIn();
    const before = client.copy();
    await client.signIn(name, PASSWORD);
    expect(client.cookies.get('riposte')).not.toBe(before.cookies.get('riposte'));
    expect((await before.session()).signedIn).toBe(false);
    const fixed = new ConsoleClient(stack.baseUrl);
    fixed.cookies.set('riposte', 'A'.repeat(43));
    await fixed.signIn(name, PASSWORD);
    expect(fixed.cookies.get('riposte')).not.toBe('A'.repeat(43));
  });

  it('stores nothing that a session could be taken over by', async () => {
    const { client } = await signedIn();
    const { default: mongoose } = await import('mongoose');
    const connection = await mongoose.createConnection(stack.mongodbUri).asPromise();
    const stored = JSON.stringify(await connection.collection('sessions').find().toArray());
    await connection.close();
    expect(stored).not.toContain(client.cookies.get('riposte'));
    expect(stored).not.toContain(client.csrfToken);
    expect(stack.api.output).not.toContain(client.cookies.get('riposte'));
    expect(stack.api.output).not.toContain(PASSWORD);
  });

  it('answers the same to a wrong password, an unknown name and a disabled account', async () => {
    await makeOperator(database, 'disabled');
    await database.operators.setDisabled('disabled', true);
    const client = new ConsoleClient(stack.baseUrl);
    const answers = [
      await client.signIn('ann', 'wrong wrong wrong'),
      await client.signIn(`nobody-${randomUUID()}`, PASSWORD),
      await client.signIn('disabled', PASSWORD),
    ];
    expect(answers.map(codeOf)).toEqual(Array.from({ length: 3 }, () => '401 unauthenticated'));
    const told = answers.map(({ body }) => (body as unknown as GraphError).error.message);
    expect(new Set(told).size).toBe(1);
    expect(client.cookies.size).toBe(0);
  });

  it.each([
    ['no password', { name: 'ann' }, /password is needed/],
    ['no name', { password: PASSWORD }, /name is needed/],
    ['a list', [], /JSON object/],
    ['more than that', { name: 'ann', password: PASSWORD, role: 'Administrator' }, /role is not a known/],
  ])('refuses %s in words', async (_what, body, message) => {
    const answer = await new ConsoleClient(stack.baseUrl).send<GraphError>('POST', '/api/v1/session', {
      body,
    });
    expect(codeOf(answer)).toBe('400 invalidRequest');
    expect(answer.body.error.message).toMatch(message);
  });

  it.each<[string, Record<string, string | undefined>]>([
    ['another site', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }],
    ['another port of this machine', { origin: 'http://127.0.0.1:1', 'sec-fetch-site': 'same-site' }],
    ['a page without an origin', { origin: 'null', 'sec-fetch-site': undefined }],
    ['who does not say from where', { origin: undefined, 'sec-fetch-site': undefined }],
  ])('is not done for %s', async (_what, headers) => {
    const client = new ConsoleClient(stack.baseUrl);
    const answer = await client.send('POST', '/api/v1/session', {
      body: { name: 'ann', password: PASSWORD },
      headers,
    });
    expect(codeOf(answer)).toBe('403 accessDenied');
    expect(client.cookies.size).toBe(0);
  });

  it.each(['soc.example', 'soc.example:80', '1.2.3.400', 'localhost:70000', '[::::]'])(
    'is not done over plain HTTP from another machine, nor at a host that is none: %s',
    async (host) => {
      const { request } = await import('node:http');
      const { port } = new URL(stack.baseUrl);
      const asked = (method: string, headers: Readonly<Record<string, string>>, body = '') =>
        new Promise<number>((resolve, reject) => {
          const to = { port, host: '127.0.0.1', path: '/api/v1/session' };
          const sent = request({ ...to, method, headers: { host, ...headers } }, (response) => {
            response.resume();
            resolve(response.statusCode ?? 0);
          });
          sent.on('error', reject);
          sent.end(body);
        });
      const headers = { origin: `http://${host}`, 'content-type': 'application/json' };
      expect(await asked('POST', headers, JSON.stringify({ name: 'ann', password: PASSWORD }))).toBe(403);
      expect(await asked('GET', { cookie: `riposte=${'A'.repeat(43)}` })).toBe(200);
    },
  );
});

describe('signing in behind a proxy with TLS', () => {
  const PUBLIC_URL = 'https://riposte.example';
  let proxied: ProductProcess;
  let url: string;
  beforeAll(async () => {
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    proxied = new ProductProcess(API_COMMAND, { ...stack.env, PORT: String(port), PUBLIC_URL });
    await proxied.ready();
  });
  afterAll(() => proxied.end());

  it('sets a cookie that browsers keep to this host and to TLS, and takes no other', async () => {
    const { name } = await signedIn();
    const client = new ConsoleClient(url);
    const body = { name, password: PASSWORD };
    const headers = { origin: PUBLIC_URL };
    const answer = await client.send<SessionView>('POST', '/api/v1/session', { body, headers });
    expect(answer.headers.getSetCookie()).toEqual([
      expect.stringMatching(
        /^__Host-riposte-device=[\w.-]+; Path=\/; HttpOnly; SameSite=Strict; Secure; Max-Age=\d+$/,
      ),
      expect.stringMatching(/^__Host-riposte=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Secure$/),
    ]);
    expect((await client.session()).signedIn).toBe(true);
    const secret = client.cookies.get('__Host-riposte') ?? '';
    const tossed = new ConsoleClient(url);
    tossed.cookies.set('riposte', secret);
    expect((await tossed.session()).signedIn).toBe(false);
  });

  it('is done at its address alone', async () => {
    const answer = await new ConsoleClient(url).signIn('ann', PASSWORD);
    expect(codeOf(answer)).toBe('403 accessDenied');
  });
});

describe('what a person does', () => {
  it('is on record under their name, through the console, in the tenant of the session', async () => {
    const { name, client } = await signedIn();
    const owner = await stack.client();
    const id = await owner.act('BlockIp', { IP: '203.0.113.7' });
    await owner.ended(id);
    const { status, body } = await client.send<NativeAction>('POST', `/api/v1/actions/${id}/revert`);
    expect(status).toBe(201);
    expect(body).toMatchObject({ azureTenantId: TENANT_A, appId: CONSOLE_APP_ID, user: name });
    expect(body.states[0]).toMatchObject({ appId: CONSOLE_APP_ID, user: name });
  });

  it.each<[Parameters<typeof makeOperator>[2], Record<string, number>]>([
    [{ role: 'Viewer' }, { read: 200, write: 403, operate: 403 }],
    [{ role: 'Operator' }, { read: 200, write: 404, operate: 403 }],
    [{ role: 'Administrator' }, { read: 200, write: 404, operate: 403 }],
    [
      { role: 'Viewer', operates: true },
      { read: 200, write: 403, operate: 200 },
    ],
  ])('is what the role allows: %o', async (options, statuses) => {
    const { client } = await signedIn(options);
    const read = await client.send('GET', '/api/v1/actions');
    const write = await client.send('POST', `/api/v1/actions/${randomUUID()}/revert`);
    const operate = await client.send('GET', '/api/v1/workers');
    expect({ read: read.status, write: write.status, operate: operate.status }).toEqual(statuses);
  });

  it('concerns their tenant alone', async () => {
    const stranger = await signedIn({ grants: [{ tenantId: TENANT_B, role: 'Administrator' }] });
    const owner = await stack.client();
    const id = await owner.act('LongRunning', { durationMs: 600_000 });
    expect((await stranger.client.send('GET', `/api/v1/actions/${id}`)).status).toBe(404);
    const { body, headers } = await stranger.client.send<{ value: unknown[] }>('GET', '/api/v1/actions');
    expect(body.value).toEqual([]);
    // Nobody keeps it for whoever asks next.
    expect(headers.get('cache-control')).toBe('no-store');
    await owner.cancel(id);
  });

  it('goes by the access token where a request has one, too', async () => {
    const { client } = await signedIn({ grants: [{ tenantId: TENANT_B, role: 'Viewer' }] });
    const { token } = await stack.client({ roles: ['SecurityActions.ReadWrite.All'] });
    const foreign = {
      origin: 'https://soar.example',
      'sec-fetch-site': 'cross-site',
      'x-csrf-token': undefined,
    };
    const path = `/api/v1/actions/${randomUUID()}/revert`;
    const authorization = `Bearer ${token}`;
    expect((await client.send('POST', path, { headers: { ...foreign, authorization } })).status).toBe(404);
    const wrong = { ...foreign, authorization: 'Bearer nonsense' };
    expect((await client.send('GET', '/api/v1/actions', { headers: wrong })).status).toBe(401);
  });

  it("is not asked for on Graph's surface, where applications call", async () => {
    const { client } = await signedIn();
    for (const [method, path] of [
      ['GET', '/beta/security/securityActions'],
      ['POST', '/v1.0/security/securityActions'],
      ['POST', '/beta/$batch'],
    ] as const) {
      const body = method === 'GET' ? undefined : mockAction('BlockIp', { IP: '1.2.3.4' });
      expect((await client.send(method, path, { body })).status).toBe(401);
    }
  });
});

describe('a session', () => {
  it('goes on in another tenant of the person, under another cookie, and as the role there', async () => {
    const { client } = await signedIn({
      grants: [
        { tenantId: TENANT_A, role: 'Viewer' },
        { tenantId: TENANT_B, role: 'Administrator' },
      ],
    });
    const before = client.copy();
    const { endsAt } = await client.session();
    const { status, body } = await client.send<SessionView>('PUT', '/api/v1/session/tenant', {
      body: { tenantId: TENANT_B.toUpperCase() },
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({ tenant: { id: TENANT_B, name: 'Branch' }, endsAt });
    expect(body).toMatchObject({
      tenants: [
        { id: TENANT_A, name: null },
        { id: TENANT_B, name: 'Branch' },
      ],
    });
    expect((await before.session()).signedIn).toBe(false);
    expect((await client.session()).tenant?.id).toBe(TENANT_B);
    const elsewhere = await client.send('PUT', '/api/v1/session/tenant', {
      body: { tenantId: randomUUID() },
    });
    expect(codeOf(elsewhere)).toBe('404 itemNotFound');
  });

  it('is good at every API process, and ends at all of them at once', async () => {
    const { client } = await signedIn();
    const there = client.copy(anotherUrl);
    expect((await there.session()).signedIn).toBe(true);
    expect((await there.send('DELETE', '/api/v1/session')).status).toBe(204);
    expect(there.cookies.has('riposte')).toBe(false);
    expect((await client.session()).signedIn).toBe(false);
    expect((await client.send('GET', '/api/v1/actions')).status).toBe(401);
  });

  it('ends everywhere with all others of the person, and with nobody else’s', async () => {
    const { name, client } = await signedIn();
    const bystander = await signedIn();
    const phone = new ConsoleClient(anotherUrl);
    await phone.signIn(name, PASSWORD);
    expect((await client.send('POST', '/api/v1/session/end-all')).status).toBe(204);
    expect((await phone.session()).signedIn).toBe(false);
    expect((await bystander.client.session()).signedIn).toBe(true);
    expect((await phone.signIn(name, PASSWORD)).status).toBe(200);
  });

  it('ends at once, everywhere, when the account is disabled, gets another role or is removed', async () => {
    for (const change of [
      (name: string) => database.operators.setDisabled(name, true),
      (name: string) => database.operators.setRights(name, { grant: { tenantId: TENANT_A, role: 'Viewer' } }),
      (name: string) => database.operators.remove(name, null),
      (name: string) => database.operators.setRights(name, { operates: true }),
    ]) {
      const { name, client } = await signedIn();
      await change(name);
      expect((await client.copy(anotherUrl).session()).signedIn).toBe(false);
      expect((await client.session()).signedIn).toBe(false);
    }
  });

  it('goes on with a changed password; the others of the person end', async () => {
    const { name, client } = await signedIn();
    const phone = new ConsoleClient(anotherUrl);
    await phone.signIn(name, PASSWORD);
    const next = 'another long password';
    const put = (body: object) => client.send<SessionView>('PUT', '/api/v1/session/password', { body });
    expect(codeOf(await put({ current: 'wrong wrong wrong', new: next }))).toBe('403 accessDenied');
    const before = client.cookies.get('riposte');
    const { status, body } = await put({ current: PASSWORD, new: next });
    expect(status).toBe(200);
    expect(client.cookies.get('riposte')).not.toBe(before);
    client.csrfToken = body.csrfToken ?? '';
    expect((await client.session()).signedIn).toBe(true);
    expect((await phone.session()).signedIn).toBe(false);
    expect((await phone.signIn(name, PASSWORD)).status).toBe(401);
    expect((await phone.signIn(name, next)).status).toBe(200);
  });

  it('of a one-time password is good for nothing but changing it', async () => {
    const { name, client } = await signedIn({
      role: 'Administrator',
      operates: true,
      mustChangePassword: true,
    });
    expect((await client.session()).mustChangePassword).toBe(true);
    for (const path of ['/api/v1/actions', '/api/v1/workers', '/ops/queues'])
      expect(codeOf(await client.send('GET', path))).toBe('403 accessDenied');
    for (const [password, message] of [
      ['too short', /12 to 128/],
      [name, /12 to 128|easy to guess/],
      ['aaaaaaaaaaaaaaaa', /easy to guess/],
      [PASSWORD, /is the one you have/],
    ] as const) {
      const body = { current: PASSWORD, new: password };
      const answer = await client.send<GraphError>('PUT', '/api/v1/session/password', { body });
      expect(codeOf(answer)).toBe('400 invalidRequest');
      expect(answer.body.error.message).toMatch(message);
    }
    const body = { current: PASSWORD, new: 'another long password' };
    const changed = await client.send<SessionView>('PUT', '/api/v1/session/password', { body });
    expect(changed.body.mustChangePassword).toBe(false);
    expect((await client.send('GET', '/api/v1/actions')).status).toBe(200);
  });
});

describe('every route that a session is good for', () => {
  const EVIL = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
  /** By whom nobody is asked for: it tells how to sign in. */
  const PUBLIC = new Set(['GET /api/v1/session', 'HEAD /api/v1/session']);

  const routes = (): { method: string; path: string }[] =>
    stack.api.log
      .flatMap(({ msg, routes: served }) => (msg === 'routes served' ? (served as string[]) : []))
      .filter((route) => /^\S+ \/(?:api\/v1|ops\/queues)\b/.test(route) && !PUBLIC.has(route))
      .map((route) => {
        const [method = '', path = ''] = route.split(' ');
        return { method, path: path.replaceAll(/:\w+|\*/g, 'mock') };
      });
  const unsafe = () => routes().filter(({ method }) => method !== 'GET' && method !== 'HEAD');

  it('answers nothing without one', async () => {
    const nobody = new ConsoleClient(stack.baseUrl);
    expect(routes().length).toBeGreaterThan(50);
    for (const { method, path } of routes()) {
      const signsIn = path === '/api/v1/session' && method === 'POST';
      const { status } = await nobody.send(method, path, { headers: signsIn ? EVIL : {} });
      expect({ method, path, status }).toEqual({ method, path, status: signsIn ? 400 : 401 });
    }
  });

  it('does nothing that another site has a browser send', async () => {
    const { client } = await signedIn({ role: 'Administrator', operates: true });
    expect(unsafe().length).toBeGreaterThan(20);
    for (const { method, path } of unsafe()) {
      for (const headers of [
        EVIL,
        { ...EVIL, 'x-csrf-token': undefined },
        { origin: 'null', 'sec-fetch-site': undefined },
      ]) {
        const body =
          path === '/api/v1/session' && method === 'POST' ? { name: 'a', password: 'b' } : undefined;
        const { status } = await client.send(method, path, { headers, body });
        expect({ method, path, status }).toEqual({ method, path, status: 403 });
      }
    }
    expect((await client.session()).signedIn).toBe(true);
  });

  it('of the native API does nothing without the token of the session, which no other has', async () => {
    const { client } = await signedIn({ role: 'Administrator', operates: true });
    const other = await signedIn();
    const api = unsafe().filter(
      ({ method, path }) => path.startsWith('/api/v1') && !(path === '/api/v1/session' && method === 'POST'),
    );
    for (const { method, path } of api) {
      for (const token of [undefined, '', other.client.csrfToken]) {
        const { status } = await client.send(method, path, { headers: { 'x-csrf-token': token } });
        expect({ method, path, status }).toEqual({ method, path, status: 403 });
      }
    }
    expect((await client.session()).signedIn).toBe(true);
  });
});

describe('the dashboard of the queues', () => {
  const PAGE = { accept: 'text/html', origin: undefined, 'sec-fetch-site': 'none' };

  it('opens with a session of somebody who operates the installation, and links back to the console', async () => {
    const { client } = await signedIn({ operates: true });
    const page = await client.send<string>('GET', '/ops/queues', { headers: PAGE });
    expect(page.status).toBe(200);
    expect(page.body).toContain('{"text":"Console","url":"/"}');
  });

  it('leads who has not signed in to where one does, and back', async () => {
    const nobody = new ConsoleClient(stack.baseUrl);
    const { status, headers } = await nobody.send('GET', '/ops/queues/queue/mock?status=failed', {
      headers: PAGE,
    });
    expect(status).toBe(302);
    expect(headers.get('location')).toBe(
      '/sign-in?returnTo=%2Fops%2Fqueues%2Fqueue%2Fmock%3Fstatus%3Dfailed',
    );
    expect((await nobody.send('GET', '/ops/queues/api/queues')).status).toBe(401);
  });

  it('is closed to administrators of tenants', async () => {
    const { client } = await signedIn({ role: 'Administrator' });
    expect((await client.send('GET', '/ops/queues', { headers: PAGE })).status).toBe(403);
    expect((await client.send('GET', '/ops/queues/api/queues')).status).toBe(403);
  });

  it('changes queues where that is configured, from its own pages', async () => {
    const { client } = await signedIn({ operates: true });
    expect((await client.send('PUT', '/ops/queues/api/queues/mock/pause')).status).toBe(200);
    expect((await client.send('PUT', '/ops/queues/api/queues/mock/resume')).status).toBe(200);
    const { token } = await stack.client({ roles: ['Riposte.Operator'] });
    const basic = `Basic ${Buffer.from(`x:${token}`).toString('base64')}`;
    for (const [authorization, status] of [
      [basic, 403],
      [`Bearer ${token}`, 200],
    ] as const) {
      const headers = { authorization, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
      const nobody = new ConsoleClient(stack.baseUrl);
      expect((await nobody.send('PUT', '/ops/queues/api/queues/mock/resume', { headers })).status).toBe(
        status,
      );
    }
  });
});
