import { Client as GraphClient, HTTPMessageHandler, RetryHandler } from '@microsoft/microsoft-graph-client';
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import mongoose from 'mongoose';
import { freePort } from '#embedded-servers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_COMMAND } from '../deploy/start-commands.js';
import { riposte } from '../support/cli.js';
import { Client, mockAction, type Answer, type GraphAction, type GraphError } from '../support/client.js';
import { TENANT_A } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { documentOf } from '../support/openapi.js';
import { ProductProcess } from '../support/product-process.js';
import { Stack } from '../support/stack.js';

const LIST = '/beta/security/securityActions?$top=1';
const PER_APP = 2;
/** At once, after a quiet time. */
const BURST = 4;
/** Asked at once, of which some are refused even if the machine takes seconds for them. */
const MANY = 20;
/** The time in which all of them come back, at most. */
const SECONDS = /^[12]$/;

/** Asks so often, as quickly as it goes, in turn. */
async function ask(clients: readonly Client[], each: number, path = LIST) {
  const began = performance.now();
  const answers = await Promise.all(
    clients.flatMap((client) =>
      Array.from({ length: each }, () => client.request<Partial<GraphError>>('GET', path)),
    ),
  );
  const ms = performance.now() - began;
  const refused = answers.filter(({ status }) => status === 429);
  return {
    answers,
    refused: refused as readonly Answer<GraphError>[],
    let: answers.length - refused.length,
    /** The burst, and what came in by and by. */
    atMost: BURST + Math.ceil((ms * PER_APP) / 1000),
    ms,
  };
}

describe('the rate limit of an application', () => {
  let stack: Stack;
  let other: ProductProcess;
  let otherUrl: string;

  beforeAll(async () => {
    stack = await Stack.start({
      config: `providers: [{ id: mock, plugin: mock }]\nlimits: { perApp: ${PER_APP} }\n`,
      workers: 0,
    });
    const port = await freePort();
    otherUrl = `http://127.0.0.1:${port}`;
    other = new ProductProcess(API_COMMAND, { ...stack.env, PORT: String(port) });
    await other.ready();
  });
  afterAll(async () => {
    await other.end();
    await stack.stop();
  });

  const caller = (tenant = TENANT_A, roles = ['SecurityActions.ReadWrite.All']) =>
    stack.client({ tenant, app: randomUUID(), roles });

  it('is told in headers, and refused with 429, the time to wait, and Graph’s error', async () => {
    const client = await caller();
    const first = await client.request('GET', LIST);
    expect(first.status).toBe(200);
    expect(first.headers.get('ratelimit-limit')).toBe(String(BURST));
    expect(first.headers.get('ratelimit-remaining')).toBe(String(BURST - 1));
    expect(first.headers.get('ratelimit-reset')).toMatch(SECONDS);
    const { refused } = await ask([client], MANY);
    const [one] = refused;
    expect(one?.headers.get('retry-after')).toMatch(SECONDS);
    expect(one?.headers.get('ratelimit-remaining')).toBe('0');
    expect(one?.headers.get('content-type')).toContain('application/json');
    expect(one?.body.error).toMatchObject({
      code: 'tooManyRequests',
      message: expect.stringMatching(/asks too often/) as string,
      innerError: { 'request-id': one?.headers.get('request-id') },
    });
  });

  it('holds for all API processes together', async () => {
    // Redis may have been too slow once, on a busy machine; then each limits by itself for a second.
    await eventually(async () => {
      const client = await caller();
      const { let: through, atMost, answers } = await ask([client, new Client(otherUrl, client.token)], MANY);
      expect(answers).toHaveLength(2 * MANY);
      expect(through).toBeGreaterThanOrEqual(BURST);
      // Quick enough to tell one allowance from two, and within one.
      expect(atMost).toBeLessThan(2 * BURST);
      expect(through).toBeLessThanOrEqual(atMost);
      return true;
    });
  });

  it('leaves other applications and other tenants alone', async () => {
    const app = randomUUID();
    const busy = await stack.client({ tenant: TENANT_A, app });
    expect((await ask([busy], MANY)).refused.length).toBeGreaterThan(0);
    for (const quiet of [await caller(), await stack.client({ tenant: randomUUID(), app })]) {
      expect((await quiet.request('GET', LIST)).status).toBe(200);
    }
  });

  it('refuses a create before anything is written', async () => {
    const tenant = randomUUID();
    const app = randomUUID();
    const client = await stack.client({ tenant, app });
    const answers = await Promise.all(
      Array.from({ length: MANY }, () => client.post(mockAction('BlockIp', { IP: '1.2.3.4' }))),
    );
    const created = answers.filter(({ status }) => status === 201).map(({ body }) => body.id);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(MANY - created.length);
    const reader = await caller(tenant);
    const list = await reader.request<{ value: { id: string }[] }>('GET', '/beta/security/securityActions');
    expect(list.body.value.map(({ id }) => id).toSorted()).toEqual(created.toSorted());
  });

  it.each([
    ['what lacks a role', LIST, 403],
    ['the native API', '/api/v1/actions/nothing-like-it', 404],
  ])('counts %s, too', async (what, path, status) => {
    const client = await caller(TENANT_A, what === 'what lacks a role' ? [] : undefined);
    const { answers, refused } = await ask([client], MANY, path);
    expect(refused.length).toBeGreaterThan(0);
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([status, 429]));
  });

  it.each([
    ['/health/ready', 200],
    ['/openapi.json', 200],
    ['/beta/security/securityActions', 401],
  ])('does not count what nobody signed: %s', async (path, status) => {
    const { answers } = await ask([new Client(stack.baseUrl, '')], MANY, path);
    expect(answers.every((answer) => answer.status === status)).toBe(true);
    expect(answers[0]?.headers.get('ratelimit-limit')).toBeNull();
  });

  it('bounds the access tokens it is given, in OAuth’s form, and what is recorded of them', async () => {
    const add = ['apps', 'add', '--tenant', TENANT_A, '--name', 'greedy', '--role', 'Audit.Read.All'];
    const { stdout } = await riposte(stack.env, ...add, '--json');
    const { clientId, clientSecret } = JSON.parse(stdout) as Record<'clientId' | 'clientSecret', string>;
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: clientSecret,
    });
    const began = performance.now();
    const answers = await Promise.all(
      Array.from({ length: MANY }, () =>
        fetch(`${stack.baseUrl}/${TENANT_A}/oauth2/v2.0/token`, { method: 'POST', body }),
      ),
    );
    const atMost = BURST + Math.ceil(((performance.now() - began) * PER_APP) / 1000);
    const given = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status === 429);
    expect(given.length + refused.length).toBe(MANY);
    expect(given.length).toBeLessThanOrEqual(atMost);
    expect(refused[0]?.headers.get('retry-after')).toMatch(SECONDS);
    expect(await refused[0]?.json()).toMatchObject({ error: 'temporarily_unavailable' });
    const connection = await mongoose.createConnection(stack.mongodbUri).asPromise();
    const noted = { kind: 'token.issued', 'about.appId': clientId };
    expect(await connection.collection('auditInbox').countDocuments(noted)).toBe(given.length);
    await connection.close();
  });

  it('is waited out by the retry handler of the Microsoft Graph client', async () => {
    const client = await caller();
    const network = new HTTPMessageHandler();
    const statuses: number[] = [];
    const retry = new RetryHandler();
    retry.setNext({
      execute: async (context) => {
        await network.execute(context);
        statuses.push(context.response?.status ?? 0);
      },
    });
    const graph = GraphClient.initWithMiddleware({
      baseUrl: stack.baseUrl,
      defaultVersion: 'beta',
      middleware: retry,
    });
    await eventually(async () => {
      await ask([client], MANY);
      statuses.length = 0;
      const action = (await graph
        .api('/security/securityActions')
        .header('Authorization', `Bearer ${client.token}`)
        .post(mockAction('BlockIp', { IP: '1.2.3.4' }))) as GraphAction;
      expect(action.status).toBe('NotStarted');
      // Where the machine was slow, there was room again already.
      return statuses[0] === 429;
    });
    expect(statuses).toEqual([429, 201]);
  });

  it('is documented for every route that asks for a token', async () => {
    const { paths } = await documentOf(stack.baseUrl);
    const operations = Object.values(paths).flatMap((path) => Object.values(path));
    const guarded = operations.filter(({ security = [] }) => security.length > 0);
    expect(guarded.length).toBeGreaterThan(5);
    for (const { responses } of guarded) expect(responses['429']?.headers).toHaveProperty('Retry-After');
  });

  it('is kept by each process while Redis is away, without a wait', async () => {
    await stack.redis.stop();
    const client = await caller();
    const { let: through, atMost, ms } = await ask([client], MANY);
    expect(through).toBeGreaterThanOrEqual(BURST);
    expect(through).toBeLessThanOrEqual(atMost);
    expect(ms).toBeLessThan(5000);
  });
});

describe('the bound of what waits for a provider instance', () => {
  const BACKLOG = 3;
  let stack: Stack;
  let client: Client;

  beforeAll(async () => {
    stack = await Stack.start({
      config: `
providers:
  - { id: small, plugin: mock, subProvider: small, limits: { concurrency: 1, backlog: ${BACKLOG} } }
  - { id: large, plugin: mock, subProvider: large }
limits: { perApp: 0 }
`,
      workers: 0,
    });
    client = await stack.client();
  });
  afterAll(() => stack.stop());

  const wanted = (subProvider: string, address = '1.2.3.4') =>
    mockAction(
      'BlockIp',
      { IP: address },
      { vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider } },
    );
  const create = (subProvider: string) =>
    client.post<Partial<GraphError> & { readonly id: string }>(wanted(subProvider));

  it('writes nothing for a caller who hung up while the workers’ backlog slowed the create down', async () => {
    const redis = new Redis(stack.redis.url);
    const connection = await mongoose.createConnection(stack.mongodbUri).asPromise();
    const records = connection.collection<{ instance: string; status: string }>('actions');
    const overload = setInterval(() => void redis.publish('{riposte}:overloaded', 'large'), 100);
    try {
      await records.insertMany(
        Array.from({ length: 3000 }, () => ({ instance: 'large', status: 'NotStarted' })),
      );
      await eventually(async () => {
        const sentAt = performance.now();
        expect((await create('large')).status).toBe(201);
        return performance.now() - sentAt > 900;
      });
      await expect(
        fetch(`${stack.baseUrl}/beta/security/securityActions`, {
          method: 'POST',
          headers: { authorization: `Bearer ${client.token}`, 'content-type': 'application/json' },
          body: JSON.stringify(wanted('large', '9.9.9.9')),
          signal: AbortSignal.timeout(200),
        }),
      ).rejects.toThrow('timeout');
      // It came later and waits as long: when it is written, the other's turn has been.
      expect((await create('large')).status).toBe(201);
      expect(await records.countDocuments({ 'parameters.value': '9.9.9.9' })).toBe(0);
    } finally {
      clearInterval(overload);
      await records.deleteMany({ instance: 'large' });
      await connection.close();
      redis.disconnect();
    }
  });

  it('refuses one more with 429 and writes nothing, and accepts it once a worker works', async () => {
    // A count that is under way while one is accepted may count that twice, until the next.
    for (let index = 0; index < BACKLOG; index += 1)
      await eventually(async () => (await create('small')).status === 201);
    const refused = await create('small');
    expect(refused.status).toBe(429);
    expect(refused.body.error).toMatchObject({
      code: 'tooManyRequests',
      message: expect.stringMatching(/3 actions wait for provider instance "small"/) as string,
    });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(300);
    const list = await client.request<{ value: unknown[] }>('GET', '/beta/security/securityActions');
    expect(list.body.value).toHaveLength(BACKLOG);

    expect((await create('large')).status).toBe(201);

    await stack.startWorker().ready();
    await eventually(async () => (await create('small')).status === 201);
  });

  it('limits no rate where the configuration says 0', async () => {
    const { answers } = await ask([client], 250);
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(answers[0]?.headers.get('ratelimit-limit')).toBeNull();
  });
});
