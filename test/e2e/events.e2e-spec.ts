import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '#embedded-servers';
import { connectDatabase } from '#persistence';
import { API_COMMAND } from '../deploy/start-commands.js';
import { riposte } from '../support/cli.js';
import { Client, type GraphError } from '../support/client.js';
import { ConsoleClient } from '../support/console-client.js';
import { TENANT_A, TENANT_B } from '../support/database.js';
import { EventListener } from '../support/event-listener.js';
import { eventually } from '../support/eventually.js';
import { PASSWORD, makeOperator } from '../support/operators.js';
import { ProductProcess } from '../support/product-process.js';
import { Stack } from '../support/stack.js';
import { signToken } from '../support/token.js';

/** What changes, as it is told over HTTP to whoever listens, by two processes. */

interface Registered {
  readonly clientId: string;
  readonly clientSecret: string;
}

const PATH = '/api/v1/events';
const ORDER = ['NotStarted', 'Running', 'Completed'];

let stack: Stack;
let second: ProductProcess;
let secondUrl: string;
let client: Client;
let stranger: Client;
let operator: Client;
/** Listen from the first test to the last, while it is seen that they have to leave. */
let leaving: Readonly<Record<'expired' | 'revoked' | 'idle', EventListener>>;
const listeners: EventListener[] = [];

beforeAll(async () => {
  stack = await Stack.start({
    config: `
console: { session: { idleMinutes: 0.3 } }
providers:
  - { id: everybody, plugin: mock }
  - { id: ours, plugin: mock, subProvider: ours, tenants: ['${TENANT_A}'] }
`,
  });
  const port = String(await freePort());
  secondUrl = `http://127.0.0.1:${port}`;
  second = new ProductProcess(API_COMMAND, { ...stack.env, PORT: port });
  await second.ready();
  client = await stack.client();
  stranger = await stack.client({ tenant: TENANT_B });
  operator = await stack.client({ roles: ['Riposte.Operator'] });
  // A clock may be a minute off: it is taken for some seconds more.
  const expired = await signToken(stack.dataDir, { app: 'expired', expiresInSeconds: -40 });
  const app = await register();
  const revoked = await tokenOf(app);
  leaving = {
    expired: await new EventListener(new Client(stack.baseUrl, expired)).present(),
    revoked: await new EventListener(new Client(stack.baseUrl, revoked)).present(),
    idle: await new EventListener({ baseUrl: stack.baseUrl, cookie: await signedIn() }).present(),
  };
  expect(await command('apps', 'revoke', app.clientId)).toMatchObject({ code: 0 });
});
afterEach(() => {
  for (const listener of listeners.splice(0)) listener.close();
});
afterAll(async () => {
  for (const listener of Object.values(leaving)) listener.close();
  await second.end();
  await stack.stop();
});

function listen(as: Client = client, options: { readonly lastEventId?: string } = {}): EventListener {
  const listener = new EventListener(as, options);
  listeners.push(listener);
  return listener;
}

const command = (...args: readonly string[]) =>
  riposte({ MONGODB_URI: stack.mongodbUri, RIPOSTE_DATA_DIR: stack.dataDir }, ...args);

/** An application that is revoked once it listens. */
async function register(): Promise<Registered> {
  const role = 'SecurityActions.Read.All';
  const { stdout } = await command(
    'apps',
    'add',
    '--tenant',
    TENANT_A,
    '--name',
    'X',
    '--role',
    role,
    '--json',
  );
  return JSON.parse(stdout) as Registered;
}

async function tokenOf({ clientId, clientSecret }: Registered): Promise<string> {
  const form = { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret };
  const answer = await fetch(`${stack.baseUrl}/${TENANT_A}/oauth2/v2.0/token`, {
    method: 'POST',
    body: new URLSearchParams({ ...form, scope: 'api://riposte/.default' }),
  });
  return ((await answer.json()) as { access_token: string }).access_token;
}

/** The cookie of somebody who has signed in at the console, and then does nothing. */
async function signedIn(): Promise<string> {
  const database = await connectDatabase(stack.mongodbUri, { appName: 'riposte-test' });
  await makeOperator(database, 'idle', { role: 'Viewer' });
  await database.close();
  const browser = new ConsoleClient(stack.baseUrl);
  expect((await browser.signIn('idle', PASSWORD)).status).toBe(200);
  return [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
}

describe('a stream of events', () => {
  it('tells of an action from its creation to its end, in the order of what happens', async () => {
    const listener = await listen().present();
    const id = await client.act('LongRunning', { durationMs: 300 });
    await listener.hears(id, 'Completed');
    const statuses = listener.of(id).map(({ status }) => status);
    expect(statuses).toEqual(statuses.toSorted((one, other) => ORDER.indexOf(one) - ORDER.indexOf(other)));
    const action = await client.native(id);
    expect(listener.of(id).at(-1)).toEqual({
      id,
      status: 'Completed',
      phase: 'done',
      name: 'LongRunning',
      providerInstance: 'everybody',
      createdDateTime: action['createdDateTime'],
      lastActionDateTime: action['lastActionDateTime'],
      unresolved: false,
    });
  });

  it('tells each tenant of its own actions alone, whichever process has them', async () => {
    const [ours, theirs] = [listen(new Client(secondUrl, client.token)), listen(stranger)];
    await Promise.all([ours.present(), theirs.present()]);
    const [own, other] = [
      await client.act('BlockIp', { IP: '10.0.0.1' }),
      await stranger.act('BlockIp', { IP: '10.0.0.2' }),
    ];
    await Promise.all([ours.hears(own, 'Completed'), theirs.hears(other, 'Completed')]);
    expect([ours.of(other), theirs.of(own)]).toEqual([[], []]);
  });

  it('tells of a pause those whom the provider serves', async () => {
    const [ours, theirs] = [await listen().present(), await listen(stranger).present()];
    const pause = (id: string) => operator.post({ reason: 'Maintenance' }, `/api/v1/providers/${id}/pause`);
    await pause('ours');
    await pause('everybody');
    await Promise.all([ours, theirs].map((one) => eventually(() => one.instances.includes('everybody'))));
    expect([ours.instances.includes('ours'), theirs.instances.includes('ours')]).toEqual([true, false]);
    for (const id of ['ours', 'everybody']) await operator.request('POST', `/api/v1/providers/${id}/resume`);
  });

  it('is not kept by whoever passes it on', async () => {
    const listener = await listen().present();
    const headers = Object.fromEntries(listener.answer?.headers ?? []);
    expect(headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    });
    expect(headers).toHaveProperty('request-id');
  });

  it('is written to the log once its client has left', async () => {
    const listener = await listen(
      new Client(stack.baseUrl, await signToken(stack.dataDir, { app: 'logged' })),
    ).present();
    listener.close();
    const line = await eventually(() => stack.api.log.find(({ appId }) => appId === 'logged'));
    expect(line).toMatchObject({ msg: 'listener left', route: PATH, tenant: TENANT_A });
  });
});

describe('a listener that comes back', () => {
  it.each([
    ['to the same process', () => stack.baseUrl],
    ['to another one', () => secondUrl],
  ])('%s is told what happened meanwhile', async (_where, url) => {
    const before = await listen().present();
    const known = await client.act('BlockIp', { IP: '10.0.1.1' });
    await before.hears(known, 'Completed');
    before.close();
    const missed = await client.act('BlockIp', { IP: '10.0.1.2' });
    await client.ended(missed);
    const back = listen(new Client(url(), client.token), { lastEventId: before.lastEventId });
    await back.hears(missed, 'Completed');
    // What it knew may be told again, as it is now.
    expect(back.of(known).filter(({ status }) => status !== 'Completed')).toEqual([]);
    expect(back.types).not.toContain('reset');
  });

  it.each([
    ['that is made up', () => 'AAAA'],
    ['that was changed', (id: string) => `${id.slice(0, -1)}${id.endsWith('A') ? 'B' : 'A'}`],
    ['that is a token of the database', () => '8265A0C0A0000000012B0229296E04'],
  ])('with an id %s is told to read everything anew, and then what happens', async (_which, made) => {
    const before = await listen().present();
    const listener = listen(client, { lastEventId: made(before.lastEventId) });
    await eventually(() => listener.heard.length > 0);
    expect(listener.types[0]).toBe('reset');
    const id = await client.act('BlockIp', { IP: '10.0.1.3' });
    await listener.hears(id, 'Completed');
  });
});

describe('a process that is told to stop', () => {
  it('ends its streams at once; they come back, and nothing is missed', async () => {
    const port = await freePort();
    const [env, own] = [
      { ...stack.env, PORT: String(port) },
      new Client(`http://127.0.0.1:${port}`, client.token),
    ];
    const stopping = new ProductProcess(API_COMMAND, env);
    await stopping.ready();
    const listener = await listen(own).present();
    expect(await stopping.end()).toBe(0);
    const missed = await client.act('BlockIp', { IP: '10.0.2.1' });
    await client.ended(missed);
    const again = new ProductProcess(API_COMMAND, env);
    try {
      await again.ready();
      await listener.hears(missed, 'Completed');
      expect(listener.types).not.toContain('reset');
      expect(listener.connections).toBeGreaterThan(1);
    } finally {
      listener.close();
      await again.end();
    }
  });
});

describe('who may listen', () => {
  it('needs a token with a role to read, and asks for nothing that is not known', async () => {
    const asked = async (as: Client, query = '') =>
      (await as.request<GraphError>('GET', `${PATH}${query}`)).status;
    expect(await asked(new Client(stack.baseUrl, ''))).toBe(401);
    expect(await asked(operator)).toBe(403);
    expect(await asked(client, '?since=yesterday')).toBe(400);
    expect(await asked(client, '?lastEventId=a&lastEventId=b')).toBe(400);
    expect(await asked(client)).toBe(200);
  });

  it('may have twenty streams, and another once one is closed', async () => {
    const token = await signToken(stack.dataDir, { app: 'many' });
    const as = new Client(stack.baseUrl, token);
    const open = Array.from({ length: 20 }, () => listen(as));
    await Promise.all(open.map((listener) => listener.present()));
    const refused = await as.request<GraphError>('GET', PATH);
    expect({ status: refused.status, code: refused.body.error.code }).toEqual({
      status: 429,
      code: 'tooManyRequests',
    });
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    open[0]?.close();
    await eventually(async () => (await as.request('GET', PATH)).status === 200);
    await listen().present();
  });

  it.each([
    ['before the stream began', 1],
    ['while another one was before it on the same connection', 2],
  ])('may have another once it has left %s', async (_when, times) => {
    const token = await signToken(stack.dataDir, { app: randomUUID() });
    const { hostname, port } = new URL(stack.baseUrl);
    const get = `GET ${PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`;
    for (let left = 0; left < 40; left += 1) {
      const socket = connect(Number(port), hostname);
      await promisify<string, void>(socket.write.bind(socket))(get.repeat(times));
      // Of the first there is something then.
      if (times > 1) await once(socket, 'readable');
      socket.destroy();
    }
    const as = new Client(stack.baseUrl, token);
    await eventually(async () => (await as.request('GET', PATH)).status === 200);
  });

  it('leaves when the token has expired, the application is revoked, or the session ends because nobody uses it', async () => {
    const { expired, revoked, idle } = leaving;
    await eventually(() => expired.isRefused, 60_000);
    await eventually(() => revoked.isRefused, 60_000);
    // That it listens is no use of the session.
    await eventually(() => idle.isRefused, 60_000);
    expect([expired, revoked, idle].map(({ answer }) => answer?.status)).toEqual([401, 401, 401]);
  });
});
