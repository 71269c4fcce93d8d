import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_COMMAND } from '../deploy/start-commands.js';
import {
  mockAction,
  type Answer,
  type Client,
  type GraphAction,
  type GraphError,
} from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { ProductProcess } from '../support/product-process.js';
import { Stack } from '../support/stack.js';

const COLLECTION = '/beta/security/securityActions';
const JSON_TYPE = { 'content-type': 'application/json' };
const valid = JSON.stringify(mockAction('BlockIp', { IP: '1.2.3.4' }));

let stack: Stack;
let client: Client;
let id: string;

beforeAll(async () => {
  // This process is the proxy.
  stack = await Stack.start({ env: { RIPOSTE_TRUSTED_PROXIES: 'loopback' } });
  client = await stack.client();
  id = await client.act('BlockIp', { IP: '1.2.3.4' });
  await client.ended(id);
});
afterAll(() => stack.stop());

const create = (headers: Record<string, string>, body: string | Buffer = valid) =>
  client.request<GraphAction>('POST', COLLECTION, { body, headers: { ...JSON_TYPE, ...headers } });

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly servers: readonly { readonly url: string }[];
}

async function paths(): Promise<[path: string, methods: string[]][]> {
  const { body } = await client.request<Document>('GET', '/openapi.json');
  return Object.entries(body.paths).map(([path, operations]) => [
    path.replace('{id}', id),
    Object.keys(operations).map((method) => method.toUpperCase()),
  ]);
}

describe('HEAD', () => {
  it('answers with the status and headers of GET on every route, and no body', async () => {
    const operator = await stack.client({ roles: ['SecurityActions.ReadWrite.All', 'Riposte.Operator'] });
    const readable = (await paths()).filter(([, methods]) => methods.includes('GET'));
    expect(readable.length).toBeGreaterThan(7);
    // Where a body follows, its chunks are of the connection.
    const changing = /^(?:date|request-id|ratelimit|connection|keep-alive|transfer-encoding)/;
    for (const [path] of readable) {
      const [get, head] = [await operator.request('GET', path), await operator.request('HEAD', path)];
      const stable = ({ headers }: Answer) => [...headers].filter(([name]) => !changing.test(name));
      expect({ path, status: head.status, body: head.body }).toMatchObject({ path, status: get.status });
      // Of workers, and of what is measured, the content changes by itself, and its length with it.
      if (!/\/(?:workers|metrics)$/.test(path))
        expect({ path, headers: stable(head) }).toEqual({ path, headers: stable(get) });
    }
    expect(await rawHead(COLLECTION)).toBe('');
  });

  it('is refused like GET where GET is', async () => {
    const missing = await client.request('HEAD', `${COLLECTION}/11111111-1111-4111-8111-111111111111`);
    expect(missing.status).toBe(404);
    expect((await client.request('HEAD', '/nowhere')).status).toBe(404);
  });

  /** What follows the head of an answer to HEAD on the wire. */
  function rawHead(path: string): Promise<string> {
    const { hostname, port } = new URL(stack.baseUrl);
    return new Promise((resolve, reject) => {
      let answer = '';
      const socket = connect(Number(port), hostname, () =>
        socket.write(
          `HEAD ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer ${client.token}\r\n\r\n`,
        ),
      );
      socket.on('data', (data) => (answer += data.toString()));
      socket.on('close', () => resolve(answer.slice(answer.indexOf('\r\n\r\n') + 4)));
      socket.on('error', reject);
    });
  }
});

describe('OPTIONS', () => {
  it('names the methods of every path, to anybody', async () => {
    for (const [path, methods] of await paths()) {
      const answer = await fetch(`${stack.baseUrl}${path}`, { method: 'OPTIONS' });
      const expected = ['OPTIONS', ...methods, ...(methods.includes('GET') ? ['HEAD'] : [])].toSorted();
      expect({
        path,
        status: answer.status,
        allow: answer.headers.get('allow'),
        body: await answer.text(),
      }).toEqual({ path, status: 204, allow: expected.join(', '), body: '' });
      expect(answer.headers.get('request-id')).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  it('is a 404 on a path that is not there', async () => {
    expect((await client.request('OPTIONS', '/beta/nowhere')).status).toBe(404);
  });

  it('names what a 405 names', async () => {
    const wrong = await client.request('DELETE', COLLECTION);
    const options = await client.request('OPTIONS', COLLECTION);
    expect(wrong.status).toBe(405);
    expect(wrong.headers.get('allow')).toBe(options.headers.get('allow'));
  });
});

describe('a compressed body', () => {
  const zip = { 'content-encoding': 'gzip' };
  const sized = (bytes: number) => gzipSync(valid + ' '.repeat(bytes - Buffer.byteLength(valid)));
  const cases: [string, Record<string, string>, Buffer | string, number][] = [
    ['gzip', zip, gzipSync(valid), 201],
    ['gzip by its other name, in capitals', { 'content-encoding': 'X-GZIP' }, gzipSync(valid), 201],
    ['gzip and identity', { 'content-encoding': 'identity, gzip' }, gzipSync(valid), 201],
    ['identity alone', { 'content-encoding': 'identity' }, valid, 201],
    ['gzip of exactly 64 KiB', zip, sized(65_536), 201],
    ['gzip of a byte more', zip, sized(65_537), 413],
    ['a bomb of 64 MiB', zip, gzipSync(Buffer.alloc(64 << 20)), 413],
    ['what is no gzip', zip, valid, 400],
    ['gzip that is cut short', zip, gzipSync(valid).subarray(0, -12), 400],
    [
      'gzip whose checksum is wrong',
      zip,
      Buffer.concat([gzipSync(valid).subarray(0, -8), Buffer.alloc(8)]),
      400,
    ],
    ['gzip of what is no JSON', zip, gzipSync('{'), 400],
    ['gzip twice', { 'content-encoding': 'gzip, gzip' }, gzipSync(gzipSync(valid)), 415],
    ['deflate', { 'content-encoding': 'deflate' }, deflateSync(valid), 415],
    ['Brotli', { 'content-encoding': 'br' }, valid, 415],
  ];
  it.each(cases)('of %s', async (_what, headers, body, status) => {
    const answer = await create(headers, body);
    expect({ status: answer.status, name: answer.body.name }).toEqual({
      status,
      name: status === 201 ? 'BlockIp' : undefined,
    });
    // So that a client can tell what to send instead.
    expect(answer.headers.get('accept-encoding')).toBe(status === 415 ? 'gzip' : null);
  });

  it('may come in pieces, without its length', async () => {
    const zipped = gzipSync(valid);
    const status = await new Promise((resolve, reject) => {
      const sending = httpRequest(
        `${stack.baseUrl}${COLLECTION}`,
        { method: 'POST', headers: { ...JSON_TYPE, ...zip, authorization: `Bearer ${client.token}` } },
        (response) => resolve(response.resume().statusCode),
      );
      sending.on('error', reject);
      sending.write(zipped.subarray(0, 20));
      setImmediate(() => sending.end(zipped.subarray(20)));
    });
    expect(status).toBe(201);
  });

  it('that never ends leaves the server as it was', async () => {
    const sending = httpRequest(`${stack.baseUrl}${COLLECTION}`, {
      method: 'POST',
      headers: { ...JSON_TYPE, ...zip, authorization: `Bearer ${client.token}` },
    });
    await new Promise((resolve) => sending.write(gzipSync(valid).subarray(0, 20), resolve));
    sending.on('error', () => undefined).destroy();
    expect((await create({})).status).toBe(201);
  });

  it('may be empty where no body is needed', async () => {
    const running = await client.act('LongRunning', { durationMs: 600_000 });
    const answer = await client.request('POST', `${COLLECTION}/${running}/cancelSecurityAction`, {
      headers: zip,
    });
    expect(answer.status).toBe(200);
  });
});

describe('Prefer: return=minimal', () => {
  it('spares a create its body', async () => {
    const answer = await create({ prefer: 'return=minimal' });
    expect(answer).toMatchObject({ status: 204, body: '' });
    const location = answer.headers.get('location') ?? '';
    expect(answer.headers.get('odata-entityid')).toBe(location);
    expect(answer.headers.get('preference-applied')).toBe('return=minimal');
    expect(answer.headers.get('content-type')).toBeNull();
    expect((await client.request<GraphAction>('GET', new URL(location).pathname)).body.name).toBe('BlockIp');
  });

  it.each([
    ['return=representation', 201, 'return=representation'],
    ['include-unknown-enum-members, RETURN="minimal"; x=y', 204, 'return=minimal'],
    ['return=minimal, return=representation', 204, 'return=minimal'],
    ['include-unknown-enum-members', 201, null],
    ['respond-async, return=maximal', 201, null],
    ['', 201, null],
  ])('%s', async (prefer, status, applied) => {
    const answer = await create({ prefer });
    expect([answer.status, answer.headers.get('preference-applied')]).toEqual([status, applied]);
  });

  it('changes nothing of a failure or of a read', async () => {
    const prefer = { prefer: 'return=minimal' };
    expect((await create(prefer, '{}')).status).toBe(400);
    const read = await client.request<GraphAction>('GET', `${COLLECTION}/${id}`, { headers: prefer });
    expect([read.status, read.body.id]).toEqual([200, id]);
  });
});

describe('the ETag of an action', () => {
  const item = (headers: Record<string, string> = {}, method = 'GET') =>
    client.request<GraphAction>(method, `${COLLECTION}/${id}`, { headers });
  const tagOf = (answer: Answer) => answer.headers.get('etag') ?? '';

  it('is weak, the same for the same, and not in the body', async () => {
    const first = await item();
    expect(tagOf(first)).toMatch(/^W\/"[\w-]{20,}"$/);
    expect(tagOf(await item())).toBe(tagOf(first));
    expect(JSON.stringify(first.body)).not.toMatch(/etag/i);
    expect(first.headers.get('cache-control')).toBe('private, no-cache');
  });

  it('changes whenever the action does', async () => {
    const created = await client.post(mockAction('LongRunning', { durationMs: 600_000 }));
    const path = `${COLLECTION}/${created.body.id}`;
    const running = await eventually(async () => {
      const answer = await client.request<GraphAction>('GET', path);
      return answer.body.status === 'Running' ? answer : false;
    });
    await client.cancel(created.body.id);
    await client.ended(created.body.id);
    const tags = [created, running as Answer, await client.request('GET', path)].map(tagOf);
    expect(new Set(tags).size).toBe(3);
    expect(tags).not.toContain('');
  });

  it('in If-None-Match spares the body, by whatever of several it is named', async () => {
    const tag = tagOf(await item());
    for (const condition of [tag, tag.slice(2), `"other", ${tag}`, '*']) {
      const answer = await item({ 'if-none-match': condition });
      expect(answer).toMatchObject({ status: 304, body: '' });
      expect(tagOf(answer)).toBe(tag);
      expect((await item({ 'if-none-match': condition }, 'HEAD')).status).toBe(304);
    }
    // The connection is in order after it.
    expect((await item({ 'if-none-match': '"other", nonsense' })).body.id).toBe(id);
  });

  it('is on the HEAD, and on nothing that shows no action', async () => {
    expect(tagOf(await item({}, 'HEAD'))).toBe(tagOf(await item()));
    expect(tagOf(await client.request('GET', `${COLLECTION}/nothing`))).toBe('');
    expect(tagOf(await client.request('GET', COLLECTION))).toBe('');
  });
});

describe('links, behind a trusted proxy', () => {
  const linked = async (headers: Record<string, string>) => {
    const answer = await create(headers);
    const list = await client.request<GraphAction>('GET', `${COLLECTION}?$top=1`, { headers });
    const document = await client.request<Document>('GET', '/openapi.json', { headers });
    return [
      answer.headers.get('location'),
      answer.body['@odata.context'],
      list.body['@odata.nextLink'],
      document.body.servers[0]?.url,
    ].map((link) => /^\w+:\/\/[^/]+/.exec(String(link))?.[0]);
  };
  const own = () => stack.baseUrl;
  const cases: [string, Record<string, string>, () => string][] = [
    ['none', {}, own],
    ['a host', { 'x-forwarded-host': 'api.example.com' }, () => 'http://api.example.com'],
    [
      'a host with port, and a protocol',
      { 'x-forwarded-host': 'API.example.com:8443', 'x-forwarded-proto': 'https' },
      () => 'https://api.example.com:8443',
    ],
    [
      'several: the last is what the proxy itself added',
      { 'x-forwarded-host': 'evil.test, api.example.com', 'x-forwarded-proto': 'gopher, https' },
      () => 'https://api.example.com',
    ],
    ['an IPv6 address', { 'x-forwarded-host': '[2001:db8::1]:8080' }, () => 'http://[2001:db8::1]:8080'],
    [
      'another protocol',
      { 'x-forwarded-host': 'a.test', 'x-forwarded-proto': 'javascript' },
      () => 'http://a.test',
    ],
    ['a path', { 'x-forwarded-host': 'a.test/evil' }, own],
    ['a user', { 'x-forwarded-host': 'user@a.test' }, own],
    ['a query', { 'x-forwarded-host': 'a.test?x' }, own],
    ['quotes', { 'x-forwarded-host': 'a"b' }, own],
    ['a port that is none', { 'x-forwarded-host': 'a.test:99999' }, own],
    ['nothing', { 'x-forwarded-host': '' }, own],
    ['only a protocol', { 'x-forwarded-proto': 'https' }, own],
  ];
  it.each(cases)('that forwards %s', async (_what, headers, base) => {
    expect(await linked(headers)).toEqual(Array.from({ length: 4 }, base));
  });

  it('are the same within a batch, where no request has a say', async () => {
    const answer = await client.request<{ responses: { body: GraphAction }[] }>('POST', '/beta/$batch', {
      headers: { ...JSON_TYPE, 'x-forwarded-host': 'api.example.com' },
      body: JSON.stringify({
        requests: [
          {
            id: '1',
            method: 'GET',
            url: `/security/securityActions/${id}`,
            headers: { 'X-Forwarded-Host': 'evil.test', Host: 'evil.test', 'X-Forwarded-Proto': 'https' },
          },
        ],
      }),
    });
    expect(answer.body.responses[0]?.body['@odata.context']).toMatch(/^http:\/\/api\.example\.com\/beta\//);
  });
});

describe('RIPOSTE_TRUSTED_PROXIES', () => {
  it('that is no list of addresses and networks stops the start', async () => {
    const api = new ProductProcess(API_COMMAND, {
      ...stack.env,
      RIPOSTE_TRUSTED_PROXIES: '10.0.0.1, 10.0.0.0/99',
    });
    await eventually(() => !api.running, 50_000);
    expect(api.child.exitCode).not.toBe(0);
    expect(api.output).toContain('RIPOSTE_TRUSTED_PROXIES has to be a list of addresses and networks');
  });
});

describe('a failure', () => {
  it('carries the headers of every answer', async () => {
    const failures: Answer<GraphError>[] = [
      await client.request('GET', '/nowhere'),
      await client.request('PUT', COLLECTION),
      await client.request('POST', COLLECTION, { body: 'x', headers: { 'content-type': 'text/plain' } }),
    ];
    for (const { headers, body } of failures) {
      expect(headers.get('request-id')).toBe(body.error.innerError['request-id']);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
    }
  });
});
