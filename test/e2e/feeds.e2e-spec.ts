import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MongoServer, findMongod } from '#embedded-servers';
import type { Client, NativeAction } from '../support/client.js';
import { TENANT_A, TENANT_B } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';

/** Firewalls that fetch what is blocked, from the product as it runs. */

const PASSWORD_A = 'password-of-the-first-tenant';
const PREVIOUS_A = 'password-that-the-first-had-before';
const PASSWORD_B = 'password-of-the-second-tenant';
const ENV = { FEED_A: PASSWORD_A, FEED_A_BEFORE: PREVIOUS_A, FEED_B: PASSWORD_B };
const MOST_OF_B = 3;

const config = `
providers:
  - id: feed-a
    plugin: feed
    tenants: ['${TENANT_A}']
    secrets: { feedPassword: 'env:FEED_A', previousFeedPassword: 'env:FEED_A_BEFORE' }
  - id: feed-b
    plugin: feed
    tenants: ['${TENANT_B.toUpperCase()}']
    settings: { maxEntries: ${MOST_OF_B}, consumers: ['127.0.0.0/8', '192.0.2.10'] }
    secrets: { feedPassword: 'env:FEED_B' }
  - id: closed
    plugin: feed
    subProvider: elsewhere
    tenants: ['${TENANT_A}']
    settings: { consumers: ['192.0.2.10'] }
    secrets: { feedPassword: 'env:FEED_B' }
`;

let dir: string;
let mongo: MongoServer;
let stack: Stack;
let first: Client;
let second: Client;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-feeds-'));
  const binary = await findMongod(() => undefined);
  mongo = await MongoServer.start({ binary, dbPath: path.join(dir, 'mongo'), report: () => undefined });
  stack = await Stack.start({ config, env: ENV, mongodbUri: mongo.uri.replace('/?', '/riposte?') });
  first = await stack.client();
  second = await stack.client({ tenant: TENANT_B });
});
afterAll(async () => {
  await stack.stop();
  await mongo.stop();
  await rm(dir, { recursive: true, force: true });
});

interface Fetched {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

const basic = (password: string, name = 'fw1'): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;

async function fetchList(
  list = 'ip',
  options: {
    readonly tenant?: string;
    readonly authorization?: string | null;
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): Promise<Fetched> {
  const { tenant = TENANT_A, authorization = basic(PASSWORD_A), method = 'GET', headers = {} } = options;
  const response = await fetch(`${stack.baseUrl}/feeds/${tenant}/${list}.txt`, {
    method,
    headers: { ...headers, ...(authorization === null ? {} : { authorization }) },
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** Asks for an action of the feed, and waits for its end. */
async function act(client: Client, name: string, parameter: string, value: string): Promise<NativeAction> {
  const { status, body } = await client.post(request(name, parameter, value));
  expect({ status, body }).toMatchObject({ status: 201 });
  return client.ended(body.id);
}

function request(name: string, parameter: string, value: string): object {
  return {
    name,
    actionReason: 'Test',
    parameters: [{ name: parameter, value }],
    vendorInformation: { vendor: 'Riposte', provider: 'Feed' },
  };
}

async function undo(client: Client, id: string): Promise<NativeAction> {
  const { status, body } = await client.request<NativeAction>('POST', `/api/v1/actions/${id}/revert`);
  expect(status).toBe(201);
  return client.ended(body.id);
}

describe('a list', () => {
  it('is empty, and is one, while nothing is blocked', async () => {
    const { status, headers, text } = await fetchList();
    expect({ status, text }).toEqual({ status: 200, text: '' });
    expect(headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(headers.get('content-length')).toBe('0');
  });

  it('has what was blocked as soon as the action is completed, and not what was undone', async () => {
    const block = await act(first, 'BlockIp', 'IP', '203.0.113.7');
    expect(block).toMatchObject({
      status: 'Completed',
      result: { message: expect.stringContaining('is published') as string },
    });
    expect((await fetchList()).text).toBe('203.0.113.7\n');
    expect(await undo(first, block.id)).toMatchObject({ status: 'Completed' });
    expect((await fetchList()).text).toBe('');
  });

  it('keeps what another action blocks, too', async () => {
    const [one, other] = [
      await act(first, 'BlockIp', 'IP', '203.0.113.8'),
      await act(first, 'BlockIp', 'IP', '203.0.113.8/32'),
    ];
    await undo(first, one.id);
    expect((await fetchList()).text).toBe('203.0.113.8\n');
    await undo(first, other.id);
    expect((await fetchList()).text).toBe('');
  });

  it('has what is blocked for a time until then, and no longer', async () => {
    const until = new Date(Date.now() + 3000);
    const { status, body } = await first.post({
      ...request('BlockIp', 'IP', '203.0.113.9'),
      '@riposte.effectUntil': until.toISOString(),
    });
    expect({ status, body }).toMatchObject({ status: 201 });
    await first.ended(body.id);
    expect((await fetchList()).text).toBe('203.0.113.9\n');
    await eventually(async () => (await fetchList()).text === '');
    expect(Date.now()).toBeGreaterThanOrEqual(until.getTime() - 1000);
  });

  it('has one canonical entry a line, sorted, in the form that its file is for', async () => {
    await act(first, 'BlockIp', 'IP', '2001:DB8:0::1');
    await act(first, 'BlockIp', 'IP', '203.0.113.77/28');
    await act(first, 'BlockDomain', 'Domain', 'Evil.Example.');
    await act(first, 'BlockUrl', 'URL', 'https://Evil.example/a%20b?q=<script>#top');
    await act(first, 'BlockUrl', 'URL', 'http://evil.example');
    const lists = await Promise.all(
      ['ip', 'domain', 'url', 'url-without-scheme'].map(async (list) => (await fetchList(list)).text),
    );
    expect(lists).toEqual([
      '2001:db8::1\n203.0.113.64/28\n',
      'evil.example\n',
      'http://evil.example/\nhttps://evil.example/a%20b?q=%3Cscript%3E\n',
      'evil.example/\nevil.example/a%20b?q=%3Cscript%3E\n',
    ]);
  });

  it("is one tenant's: what another blocks is not in it", async () => {
    await act(second, 'BlockIp', 'IP', '198.51.100.99');
    const [ofFirst, ofSecond] = [
      await fetchList(),
      await fetchList('ip', { tenant: TENANT_B, authorization: basic(PASSWORD_B) }),
    ];
    expect(ofFirst.text).not.toContain('198.51.100.99');
    expect(ofSecond.text).toBe('198.51.100.99\n');
  });

  it('takes no more entries than every firewall can hold', async () => {
    for (let host = 1; host < MOST_OF_B; host += 1)
      expect(await act(second, 'BlockIp', 'IP', `198.51.100.${host}`)).toMatchObject({ status: 'Completed' });
    const refused = await act(second, 'BlockIp', 'IP', '198.51.100.50');
    expect(refused).toMatchObject({
      status: 'Failed',
      errorInfo: { code: 507, message: expect.stringContaining('settings.maxEntries') as string },
    });
    const ofSecond = { tenant: TENANT_B, authorization: basic(PASSWORD_B) };
    expect((await fetchList('ip', ofSecond)).text.split('\n')).toHaveLength(MOST_OF_B + 1);
    expect(await act(second, 'UnblockIp', 'IP', '198.51.100.1')).toMatchObject({ status: 'Completed' });
    expect(await act(second, 'BlockIp', 'IP', '198.51.100.50')).toMatchObject({ status: 'Completed' });
  });

  it('never has one of the firewalls that fetch it', async () => {
    const answer = await second.post(request('BlockIp', 'IP', '192.0.2.10'));
    expect(answer).toMatchObject({
      status: 403,
      body: { error: { message: expect.stringContaining('192.0.2.10') as string } },
    });
  });

  it('is not sent again to who has it, and is when it has changed', async () => {
    const before = await fetchList();
    const etag = before.headers.get('etag') ?? '';
    expect(etag).toMatch(/^"[\w-]+"$/);
    const has = { headers: { 'if-none-match': etag } };
    expect(await fetchList('ip', has)).toMatchObject({ status: 304, text: '' });
    expect((await fetchList('ip', has)).headers.get('etag')).toBe(etag);
    expect((await fetchList('ip', { headers: { 'if-none-match': `W/${etag}, "x"` } })).status).toBe(304);
    const block = await act(first, 'BlockIp', 'IP', '203.0.113.200');
    const after = await fetchList('ip', has);
    expect(after).toMatchObject({ status: 200, text: expect.stringContaining('203.0.113.200') as string });
    await undo(first, block.id);
    expect((await fetchList('ip', has)).status).toBe(304);
  });

  it('is kept by no cache for others, and says since when it is so', async () => {
    const { headers } = await fetchList();
    expect(headers.get('cache-control')).toBe('private, no-cache');
    expect(Date.parse(headers.get('last-modified') ?? '')).toBeLessThanOrEqual(Date.now());
  });

  it('shows its head alone to HEAD', async () => {
    const [head, get] = [await fetchList('ip', { method: 'HEAD' }), await fetchList()];
    expect(head).toMatchObject({ status: 200, text: '' });
    for (const name of ['etag', 'content-length', 'content-type'])
      expect(head.headers.get(name)).toBe(get.headers.get(name));
  });
});

describe('who may fetch', () => {
  it.each([
    ['nobody', null],
    ['a wrong password', basic('wrong-password-of-somebody')],
    ['the password in other letters', basic(PASSWORD_A.toUpperCase())],
    ['an access token', 'Bearer ey.ey.ey'],
    ['nonsense', 'Basic %%%'],
  ])('%s is refused with a challenge', async (_who, authorization) => {
    const { status, headers, text } = await fetchList('ip', { authorization });
    expect(status).toBe(401);
    expect(headers.get('www-authenticate')).toBe('Basic realm="riposte feeds", charset="UTF-8"');
    expect(headers.get('content-type')).toContain('text/plain');
    expect(text).not.toContain('203.0.113');
  });

  it('learns nothing of tenants, nor of lists, without the password', async () => {
    const wrong = { authorization: basic('wrong-password-of-somebody') };
    const answers = await Promise.all([
      fetchList('ip', wrong),
      fetchList('nope', wrong),
      fetchList('ip', { ...wrong, tenant: TENANT_B }),
      fetchList('ip', { tenant: TENANT_B }),
      fetchList('ip', { tenant: 'no-tenant' }),
    ]);
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
  });

  it('gives the password as a bearer token, too, or the one before', async () => {
    expect((await fetchList('ip', { authorization: `Bearer ${PASSWORD_A}` })).status).toBe(200);
    expect((await fetchList('ip', { authorization: basic(PREVIOUS_A) })).status).toBe(200);
  });

  it('comes from one of the addresses, where they are named', async () => {
    const { status, text } = await fetchList('ip', { authorization: basic(PASSWORD_B) });
    expect({ status, text }).toMatchObject({
      status: 403,
      text: expect.stringContaining('settings.consumers') as string,
    });
  });

  it('is told which lists there are', async () => {
    const { status, text } = await fetchList('ipv4');
    expect(status).toBe(404);
    expect(text).toContain('ip.txt, domain.txt, url.txt, url-without-scheme.txt');
    expect((await fetchList('__proto__')).status).toBe(404);
  });

  it('may not write', async () => {
    expect((await fetchList('ip', { method: 'PUT' })).status).toBe(405);
  });

  it('is slowed down after many wrong passwords, and the right one is not', async () => {
    const tried: Fetched[] = [];
    for (let time = 0; time < 11; time += 1)
      tried.push(await fetchList('ip', { authorization: basic(`guess-number-${time}-of-many`, 'guesser') }));
    expect(tried.at(-1)).toMatchObject({ status: 429 });
    expect(Number(tried.at(-1)?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await fetchList('ip', { authorization: basic(PASSWORD_A, 'guesser') })).status).toBe(200);
  });
});

describe('the firewalls that fetch', () => {
  interface Feed {
    readonly instance: string;
    readonly list: string;
    readonly url: string;
    readonly entries: number;
    readonly etag: string;
    readonly consumers: readonly {
      readonly name: string | null;
      readonly userAgent: string | null;
      readonly status: number;
      readonly etag: string | null;
    }[];
  }
  const feeds = async (client: Client): Promise<readonly Feed[]> =>
    (await client.request<{ value: Feed[] }>('GET', '/api/v1/feeds')).body.value;

  const block = request('BlockIp', 'IP', '203.0.113.30');
  let answered: Headers;

  // What was fetched is written down every 10 s: waited for once.
  beforeAll(async () => {
    await act(first, 'BlockIp', 'IP', '203.0.113.30');
    await fetchList('ip', { authorization: basic(PASSWORD_A, 'fw-quick') });
    const authorization = basic(PASSWORD_A, 'fw\u0007-<b>');
    ({ headers: answered } = await fetchList('domain', {
      authorization,
      headers: { 'user-agent': 'FortiOS/7.4' },
    }));
  });

  it('are on record with what they have, for their tenant alone', async () => {
    const found = await eventually(async () => {
      const feed = (await feeds(first)).find(({ list }) => list === 'domain');
      return feed?.consumers.some(({ name }) => name === 'fw-<b>') === true ? feed : null;
    }, 20_000);
    expect(found).toMatchObject({
      instance: 'feed-a',
      url: `${stack.baseUrl}/feeds/${TENANT_A}/domain.txt`,
      entries: 1,
      etag: answered.get('etag'),
    });
    expect(found.consumers[0]).toMatchObject({
      name: 'fw-<b>',
      userAgent: 'FortiOS/7.4',
      status: 200,
      etag: answered.get('etag'),
    });
    expect((await feeds(second)).map(({ instance }) => instance)).toEqual(['feed-b', 'feed-b', 'feed-b']);
    expect(JSON.stringify(await feeds(second))).not.toContain('FortiOS');
  });

  it('are told by an observation of the block, each with whether it has it', async () => {
    const observed = async (): Promise<{ inPlace: boolean; message: string }> => {
      const { status, body } = await first.post<{ inPlace: boolean; message: string }>(
        block,
        '/api/v1/actions/observe',
      );
      expect(status).toBe(200);
      return body;
    };
    const seen = await eventually(async () => {
      const state = await observed();
      return state.message.includes('Picked up by fw-quick') ? state : null;
    }, 20_000);
    expect(seen).toMatchObject({ inPlace: true });
    expect(seen.message).toMatch(
      /203\.0\.113\.30 is in \S+\/ip\. Picked up by fw-quick \(127\.0\.0\.1\) at 20\S+Z/,
    );
    await act(first, 'BlockIp', 'IP', '203.0.113.31');
    const { body } = await first.post<{ message: string }>(
      request('BlockIp', 'IP', '203.0.113.31'),
      '/api/v1/actions/observe',
    );
    expect(body.message).toMatch(/Not yet by .*fw-quick \(127\.0\.0\.1\)/);
  });

  it('and what they send are in no log, where it is secret', () => {
    const log = JSON.stringify([stack.api, ...stack.workers].map((process) => process.log));
    for (const secret of [PASSWORD_A, PREVIOUS_A, PASSWORD_B, basic(PASSWORD_A)])
      expect(log).not.toContain(secret);
  });
});

describe('without a database', () => {
  it('no list is sent, not even an empty one, and the firewall is asked to come again', async () => {
    const before = await fetchList();
    await mongo.stop();
    try {
      const { status, headers, text } = await fetchList();
      expect(status).toBe(503);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
      expect(text).toContain('database');
      const has = { headers: { 'if-none-match': before.headers.get('etag') ?? '' } };
      expect((await fetchList('ip', has)).status).toBe(503);
    } finally {
      await mongo.restart();
    }
    const after = await eventually(async () => {
      const answer = await fetchList();
      return answer.status === 200 ? answer : null;
    }, 30_000);
    expect(after.text).toBe(before.text);
  });
});

describe('without workers', () => {
  it('the lists are served all the same', async () => {
    const before = await fetchList();
    await Promise.all(stack.workers.map((worker) => worker.end()));
    expect((await fetchList()).text).toBe(before.text);
  });
});
