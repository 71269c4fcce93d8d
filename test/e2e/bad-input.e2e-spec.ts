import { connect, type Socket } from 'node:net';
import mongoose from 'mongoose';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { mockAction, type Answer, type Client, type GraphError } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';
import { signToken } from '../support/token.js';

let stack: Stack;
let client: Client;
/** Clients that send a header now and then, and never the last; there from the first test to the last. */
let dripping: readonly Socket[];
let drip: NodeJS.Timeout;

beforeAll(async () => {
  stack = await Stack.start();
  client = await stack.client();
  const { hostname, port } = new URL(stack.baseUrl);
  dripping = await Promise.all(
    Array.from(
      { length: 400 },
      () =>
        new Promise<Socket>((resolve, reject) => {
          // They do not close their side when the server closes its own.
          const options = { port: Number(port), host: hostname, allowHalfOpen: true };
          const socket = connect(options, () => resolve(socket));
          socket.once('error', reject);
        }),
    ),
  );
  for (const socket of dripping) {
    socket.on('error', () => undefined).resume();
    socket.write('GET /health/live HTTP/1.1\r\nhost: x\r\n');
  }
  drip = setInterval(() => {
    for (const socket of dripping) if (socket.writable) socket.write('x: y\r\n');
  }, 1000);
});
afterAll(async () => {
  clearInterval(drip);
  for (const socket of dripping) socket.destroy();
  await stack.stop();
});
afterEach(async () => {
  // The process keeps serving, whatever it was sent.
  expect((await client.request('GET', '/health/live')).status).toBe(200);
});

const COLLECTION = '/beta/security/securityActions';
const JSON_TYPE = { 'content-type': 'application/json' };
const valid = JSON.stringify(mockAction('BlockIp', { IP: '1.2.3.4' }));

function expectGraphError(answer: Answer<GraphError>, status: number, code: string): void {
  expect({ status: answer.status, code: answer.body.error?.code }).toEqual({ status, code });
  expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
  const { message, innerError } = answer.body.error;
  expect(message.length).toBeGreaterThan(5);
  expect(message).not.toMatch(/\bat .*\.js|node_modules|Error:/);
  expect(innerError['request-id']).toBe(answer.headers.get('request-id'));
  expect(innerError['date']).toMatch(/^\d{4}-.*Z$/);
}

/** What comes back for these bytes. */
function send(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(stack.baseUrl);
    let answer = '';
    const socket = connect(Number(port), hostname, () => socket.write(text));
    socket.on('data', (data) => (answer += data.toString()));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

describe('clients that never finish their requests', () => {
  it('keep nobody else waiting', async () => {
    for (let turn = 0; turn < 20; turn += 1) {
      const begun = performance.now();
      expect((await client.request('GET', COLLECTION)).status).toBe(200);
      // Far below the 10 s that the others are given.
      expect(performance.now() - begun).toBeLessThan(5000);
    }
    expect(dripping.filter(({ closed }) => closed)).toEqual([]);
  });
});

describe('a connection', () => {
  it('serves 1,000 requests and is closed with the answer to the last', async () => {
    const request = 'GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n';
    const answers = await send(request.repeat(1001));
    expect(answers.match(/HTTP\/1\.1 200 /g)).toHaveLength(1000);
    expect(answers.match(/^connection: close/gim)?.length).toBeGreaterThan(0);
  });

  it('that is idle is closed after 5 s', async () => {
    const begun = performance.now();
    expect(await send('GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n')).toMatch(/keep-alive: timeout=5/i);
    expect(performance.now() - begun).toBeGreaterThan(4000);
  });
});

describe('a body that is not right', () => {
  const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
  const cases: [string, string | Buffer, number, string][] = [
    ['no JSON', '{"name":', 400, 'invalidRequest'],
    ['empty', '', 400, 'invalidRequest'],
    ['an array', '[]', 400, 'invalidRequest'],
    ['a string', '"x"', 400, 'invalidRequest'],
    ['null', 'null', 400, 'invalidRequest'],
    ['nested 100 deep', `{"parameters":${deep(100)}}`, 400, 'invalidRequest'],
    ['nested 20,000 deep', deep(20_000), 400, 'invalidRequest'],
    ['with a key twice', valid.replace('{', '{"name":"BlockIp",'), 400, 'invalidRequest'],
    [
      'with a key twice further down',
      valid.replace('"vendor":', '"vendor":"Mock","vendor":'),
      400,
      'invalidRequest',
    ],
    ['with __proto__', valid.replace('{', '{"__proto__":{"admin":true},'), 400, 'invalidRequest'],
    [
      'with an unknown property',
      valid.replace('{', '{"$set":{"status":"Completed"},'),
      400,
      'invalidRequest',
    ],
    [
      'with operators for values',
      JSON.stringify({ ...mockAction('BlockIp'), parameters: [{ name: 'IP', value: { $ne: null } }] }),
      400,
      'invalidRequest',
    ],
    [
      'with null parameters',
      JSON.stringify({ ...mockAction('BlockIp'), parameters: null }),
      400,
      'invalidRequest',
    ],
    [
      'with null in parameters',
      JSON.stringify({ ...mockAction('BlockIp'), parameters: [null] }),
      400,
      'invalidRequest',
    ],
    [
      'with a list in parameters',
      JSON.stringify({ ...mockAction('BlockIp'), parameters: [[{ name: 'IP', value: '1.2.3.4' }]] }),
      400,
      'invalidRequest',
    ],
    [
      'with a list for vendorInformation',
      JSON.stringify({ ...mockAction('BlockIp'), vendorInformation: [] }),
      400,
      'invalidRequest',
    ],
    ['without vendorInformation', JSON.stringify({ name: 'BlockIp', parameters: [] }), 400, 'invalidRequest'],
    [
      'with a clientContext over 256 characters',
      JSON.stringify(mockAction('BlockIp', { IP: '1.2.3.4' }, { clientContext: 'x'.repeat(257) })),
      400,
      'invalidRequest',
    ],
    [
      'with startBefore in the past',
      JSON.stringify(
        mockAction('BlockIp', { IP: '1.2.3.4' }, { '@riposte.startBefore': '2020-01-01T00:00:00Z' }),
      ),
      400,
      'invalidRequest',
    ],
    [
      'with effectUntil in the past',
      JSON.stringify(
        mockAction('BlockIp', { IP: '1.2.3.4' }, { '@riposte.effectUntil': '2020-01-01T00:00:00Z' }),
      ),
      400,
      'invalidRequest',
    ],
    [
      'with an end of the effect before its start may be',
      JSON.stringify(
        mockAction(
          'BlockIp',
          { IP: '1.2.3.4' },
          { '@riposte.startBefore': '2099-01-02T00:00:00Z', '@riposte.effectUntil': '2099-01-01T00:00:00Z' },
        ),
      ),
      400,
      'invalidRequest',
    ],
    [
      'with an end of an effect that cannot be undone',
      JSON.stringify(
        mockAction('AllowIp', { IP: '1.2.3.4' }, { '@riposte.effectUntil': '2099-01-01T00:00:00Z' }),
      ),
      400,
      'invalidRequest',
    ],
    [
      'with an engine option that there is none of',
      JSON.stringify(
        mockAction('BlockIp', { IP: '1.2.3.4' }, { '@riposte.effectuntil': '2099-01-01T00:00:00Z' }),
      ),
      400,
      'invalidRequest',
    ],
    ['that is not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 400, 'invalidRequest'],
    [
      'over 64 KiB',
      JSON.stringify(mockAction('BlockIp', { IP: 'x'.repeat(66_000) })),
      413,
      'requestTooLarge',
    ],
  ];
  it.each(cases)('%s', async (_what, body, status, code) => {
    expectGraphError(await client.request('POST', COLLECTION, { body, headers: JSON_TYPE }), status, code);
  });

  const padded = (bytes: number): string => valid + ' '.repeat(bytes - Buffer.byteLength(valid));
  /** An unknown property is refused only by who has read the whole. */
  const levels = (count: number): string => `{"x":${deep(count - 1)}}`;
  const keys = (count: number): string =>
    JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 0])));
  /** The object and the list are two of them. */
  const values = (count: number): string =>
    JSON.stringify({ x: Array.from({ length: count - 2 }, (_, index) => (index % 2 === 0 ? {} : 0)) });
  it.each([
    ['64 KiB', padded(65_536), 201, /^$/],
    ['a byte more', padded(65_537), 413, /large/],
    ['20 levels', levels(20), 400, /x is not a known property/],
    ['a level more', levels(21), 400, /deeper than 20 levels/],
    ['500 properties', keys(500), 400, /k0 is not a known property/],
    ['a property more', keys(501), 400, /more than 500 properties/],
    ['1,000 values', values(1000), 400, /x is not a known property/],
    ['a value more', values(1001), 400, /more than 1000 values/],
  ])('may have %s, and no more', async (_what, body, status, message) => {
    const answer = await client.request<Partial<GraphError>>('POST', COLLECTION, {
      body,
      headers: JSON_TYPE,
    });
    expect(answer.status).toBe(status);
    expect(answer.body.error?.message ?? '').toMatch(message);
  });

  it.each([
    ['Content-Length', `content-length: 70000\r\n\r\n`],
    ['pieces', `transfer-encoding: chunked\r\n\r\n11170\r\n${' '.repeat(0x11170)}\r\n`],
  ])('over 64 KiB by its %s is refused before it has come', async (_what, rest) => {
    const head = `POST ${COLLECTION} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${client.token}\r\ncontent-type: application/json\r\n`;
    expect(await send(head + rest)).toMatch(/^HTTP\/1\.1 413 .*"requestTooLarge"/s);
  });

  it('from nobody is a 401 before it has come, whatever it is', async () => {
    for (const [url, rest] of [
      [COLLECTION, 'content-type: application/json\r\ncontent-length: 60000'],
      [
        '/beta/$batch',
        'content-type: application/json\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked',
      ],
      ['/v1.0/$batch', 'authorization: Bearer a.b.c\r\ncontent-type: text/plain\r\ncontent-length: 9000000'],
    ]) {
      const answer = await send(`POST ${url} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${rest}\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.1 401 .*www-authenticate: Bearer.*"unauthenticated"/is);
    }
  });

  it.each(['utf-16', 'iso-8859-1', '"utf-7"', 'utf8x'])('in charset %s is a 415', async (charset) => {
    const headers = { 'content-type': `application/json; charset=${charset}` };
    expectGraphError(
      await client.request('POST', COLLECTION, { body: valid, headers }),
      415,
      'unsupportedMediaType',
    );
  });

  it('of another type is a 415', async () => {
    expectGraphError(
      await client.request('POST', COLLECTION, { body: valid, headers: { 'content-type': 'text/plain' } }),
      415,
      'unsupportedMediaType',
    );
    expectGraphError(
      await client.request('POST', COLLECTION, {
        body: '<a/>',
        headers: { 'content-type': 'application/xml' },
      }),
      415,
      'unsupportedMediaType',
    );
    expectGraphError(
      await client.request('POST', COLLECTION, {
        body: valid,
        headers: { 'content-type': 'application/json; charset=utf-16' },
      }),
      415,
      'unsupportedMediaType',
    );
  });

  it('with OData parameters in its content type is taken', async () => {
    expect(
      (
        await client.request('POST', COLLECTION, {
          body: valid,
          headers: { 'content-type': 'application/json;odata.metadata=minimal;charset=UTF-8' },
        })
      ).status,
    ).toBe(201);
  });
});

describe('a path or method that is not there', () => {
  it.each([
    ['GET', '/nothing'],
    ['GET', '/beta'],
    ['GET', '/beta/security/securityActions/a/b/c'],
    ['POST', '/nope'],
    ['GET', '/beta/security/securityActions/not-a-guid'],
    ['GET', '/beta/security/securityActions/00000000-0000-4000-8000-00000000000'],
    ['GET', '/beta/security/securityActions/%00'],
  ])('%s %s is a 404', async (method, path) => {
    expectGraphError(await client.request(method, path), 404, 'itemNotFound');
  });

  it('says where the API is, whoever forgot the version', async () => {
    const { body } = await client.request('GET', '/security/securityActions');
    expect(JSON.stringify(body)).toContain('begins with /beta or /v1.0');
  });

  it.each([
    ['PATCH', `${COLLECTION}/11111111-1111-4111-8111-111111111111`, 'GET, HEAD, OPTIONS'],
    ['DELETE', `${COLLECTION}/11111111-1111-4111-8111-111111111111`, 'GET, HEAD, OPTIONS'],
    ['PUT', `${COLLECTION}/11111111-1111-4111-8111-111111111111`, 'GET, HEAD, OPTIONS'],
    ['DELETE', COLLECTION, 'GET, HEAD, OPTIONS, POST'],
    ['GET', `${COLLECTION}/11111111-1111-4111-8111-111111111111/cancelSecurityAction`, 'OPTIONS, POST'],
  ])('%s %s is a 405 with Allow', async (method, path, allow) => {
    const answer = await client.request<GraphError>(method, path);
    expectGraphError(answer, 405, 'methodNotAllowed');
    expect(answer.headers.get('allow')).toBe(allow);
  });

  it('is a 400 when it is no valid URL, and a 414 when it is too long', async () => {
    expectGraphError(await client.request('GET', '/%zz'), 400, 'invalidRequest');
    const longest = `${COLLECTION}/${'a'.repeat(4096 - COLLECTION.length - 1)}`;
    expectGraphError(await client.request('GET', longest), 404, 'itemNotFound');
    expectGraphError(await client.request('GET', `${longest}a`), 414, 'uriTooLong');
  });
});

describe('a query that is more than names and texts', () => {
  it.each([
    '$filter[$gt]=',
    '$filter[$ne]=null',
    '$top[]=1',
    '$top[$gt]=0',
    '$top=1&$top=2',
    '$top=1&top=2',
    '$skiptoken=a&$skiptoken=b',
    '$skiptoken[$ne]=x',
    '$where=1',
    '$top={"$gt":0}',
    '$top=1%00',
  ])('%s is a 400', async (query) => {
    expectGraphError(await client.request('GET', `${COLLECTION}?${query}`), 400, 'invalidRequest');
    expectGraphError(await client.request('GET', `/api/v1/actions?${query}`), 400, 'invalidRequest');
  });
});

describe('a query whose names are no options', () => {
  it.each(['filter[$where]=sleep(1000)', '__proto__[top]=1', 'constructor[prototype][top]=1'])(
    '%s has no effect',
    async (query) => {
      // OData leaves names without a $ to the service; ours has none. The native list refuses what it does not know.
      const plain = await client.request('GET', `${COLLECTION}?$top=2`);
      const answer = await client.request('GET', `${COLLECTION}?$top=2&${query}`);
      if (answer.status === 400) expectGraphError(answer as Answer<GraphError>, 400, 'invalidRequest');
      else expect(answer).toMatchObject({ status: 200, body: plain.body });
      expectGraphError(await client.request('GET', `/api/v1/actions?${query}`), 400, 'invalidRequest');
    },
  );
});

describe('what a caller may not set', () => {
  const canary = 'canary-7f3a';
  const guid = 'cafecafe-0000-4000-8000-000000000001';
  const longAgo = '2001-02-03T04:05:06Z';
  const readOnly = {
    id: guid,
    status: 'Completed',
    appId: guid,
    azureTenantId: guid,
    user: canary,
    states: [{ appId: guid, status: 'Completed', updatedDateTime: longAgo, user: canary }],
    createdDateTime: longAgo,
    lastActionDateTime: longAgo,
    completedDateTime: longAgo,
    errorInfo: { code: 1, subcode: 2, message: canary },
  };
  const planted = new RegExp(`${canary}|${guid}|2001-02-03`);

  /** All that the databases hold of it. */
  async function stored(): Promise<string> {
    const connection = await mongoose.createConnection(stack.mongodbUri).asPromise();
    try {
      const collections = await connection.listCollections();
      const documents = await Promise.all(
        collections.map(({ name }) => connection.collection(name).find().toArray()),
      );
      return JSON.stringify(documents);
    } finally {
      await connection.close();
    }
  }

  it('is ignored where Graph has it as read-only, as SDK models send it back', async () => {
    const answer = await client.post(mockAction('BlockIp', { IP: '1.2.3.4' }, readOnly));
    expect(answer.status).toBe(201);
    expect(JSON.stringify(answer.body)).not.toMatch(planted);
    const ended = await client.ended(answer.body.id);
    expect(JSON.stringify(ended)).not.toMatch(planted);
    expect((await client.request('GET', `${COLLECTION}/${guid}`)).status).toBe(404);
    const all = await stored();
    expect(all).toContain(answer.body.id);
    expect(all).not.toMatch(planted);
  });

  it.each([
    'tenantId',
    'phase',
    'attempts',
    'result',
    'progress',
    'deadlineAt',
    'instance',
    'epoch',
    '_id',
    '__v',
    '$set',
    '$where',
    '$inc',
    'states.0.status',
    'vendorInformation.vendor',
    '__proto__',
    'constructor',
    'prototype',
  ])('is refused where it is %s, and nothing stored', async (name) => {
    const inside = [
      valid.replace('{', `{${JSON.stringify(name)}:{"x":"${canary}"},`),
      valid.replace('"vendor":', `${JSON.stringify(name)}:"${canary}","vendor":`),
      valid.replace('"parameters":[{', `"parameters":[{${JSON.stringify(name)}:"${canary}",`),
    ];
    for (const body of inside) {
      const answer = await client.request<GraphError>('POST', COLLECTION, { body, headers: JSON_TYPE });
      expectGraphError(answer, 400, 'invalidRequest');
      expect(answer.body.error.message).toContain(name);
    }
    expect(await stored()).not.toContain(canary);
  });
});

describe('what is not even HTTP', () => {
  it('gets a 400 with the same body', async () => {
    const answer = await send('this is not http\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({
      error: { code: 'invalidRequest' },
    });
  });

  const live = (...headers: readonly string[]): Promise<string> =>
    send(`GET /health/live HTTP/1.1\r\n${['host: x', 'connection: close', ...headers].join('\r\n')}\r\n\r\n`);

  it.each([
    ['16 KiB', 16_000, 200],
    ['more', 16_400, 431],
  ])('gets a 431 for headers over 16 KiB: %s', async (_what, size, status) => {
    const answer = await live(`x: ${'y'.repeat(size)}`);
    expect(answer).toMatch(`HTTP/1.1 ${status} `);
    if (status === 431) expect(answer).toContain('"headersTooLarge"');
  });

  it.each([
    [64, 200],
    [65, 431],
    [3000, 431],
  ])('gets a 431 for more than 64 headers: %d', async (count, status) => {
    const answer = await live(...Array.from({ length: count - 2 }, () => 'a:'));
    expect(answer).toMatch(`HTTP/1.1 ${status} `);
    if (status === 431) expect(answer).toContain('"headersTooLarge"');
  });
});

describe('a token that is not right', () => {
  const bad = async (authorization: string | undefined): Promise<Answer<GraphError>> => {
    const response = await fetch(
      `${stack.baseUrl}${COLLECTION}`,
      authorization === undefined ? {} : { headers: { authorization } },
    );
    return {
      status: response.status,
      headers: response.headers,
      body: (await response.json()) as GraphError,
    };
  };

  it.each([
    ['none', () => undefined],
    ['another scheme', () => 'Basic eDp5'],
    ['empty', () => 'Bearer '],
    ['no JWT', () => 'Bearer abc'],
    ['10 KB of it', () => `Bearer ${'a'.repeat(10_000)}`],
    [
      'a changed claim',
      () => `Bearer ${client.token.replace(/\.[^.]+\./, (payload) => `${payload.slice(0, -3)}AA.`)}`,
    ],
    ['a cut signature', () => `Bearer ${client.token.slice(0, -5)}`],
    [
      'no signature (alg none)',
      () => `Bearer ${Buffer.from('{"alg":"none"}').toString('base64url')}.${client.token.split('.')[1]}.`,
    ],
  ])('%s is a 401 that names the scheme', async (_what, authorization) => {
    const answer = await bad(authorization());
    expectGraphError(answer, 401, 'unauthenticated');
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
    expect(JSON.stringify(answer.body)).not.toContain(client.token.slice(0, 40));
  });

  it('signed by another key is a 401', async () => {
    const token = await signToken(`${stack.dataDir}/elsewhere`);
    expectGraphError(await bad(`Bearer ${token}`), 401, 'unauthenticated');
  });

  it('without the role it needs is a 403 that names the role', async () => {
    const reader = await stack.client({ roles: ['SecurityActions.Read.All'] });
    expect((await reader.request('GET', COLLECTION)).status).toBe(200);
    const refused = await reader.post<GraphError>(mockAction('BlockIp', { IP: '1.2.3.4' }));
    expectGraphError(refused, 403, 'accessDenied');
    expect(refused.body.error.message).toContain('SecurityActions.ReadWrite.All');
    const nobody = await stack.client({ roles: [] });
    expectGraphError(await nobody.request('GET', COLLECTION), 403, 'accessDenied');
    const operator = await stack.client({ roles: ['Riposte.Operator'] });
    expectGraphError(await operator.request('GET', COLLECTION), 403, 'accessDenied');
  });
});

describe('the ids of a request', () => {
  it("repeat the caller's own when it is a GUID, in header and error body", async () => {
    const own = 'a3f1c1e0-0000-4000-8000-000000000001';
    const answer = await client.request<GraphError>('GET', `${COLLECTION}/x`, {
      headers: { 'client-request-id': own },
    });
    expect(answer.headers.get('client-request-id')).toBe(own);
    expect(answer.body.error.innerError['client-request-id']).toBe(own);
  });

  // What would end a header or begin one, raw and in disguise, and what is merely no GUID.
  it.each([
    '<script>',
    'a3f1c1e0-0000-4000-8000-000000000001\rinjected: 1',
    'a3f1c1e0-0000-4000-8000-000000000001\ninjected: 1',
    'a3f1c1e0-0000-4000-8000-000000000001%0d%0ainjected: 1',
    'a3f1c1e0-0000-4000-8000-000000000001\u0000injected',
    'a3f1c1e0-0000-4000-8000-000000000001\u010D\u010Ainjected: 1',
    'a3f1c1e0-0000-4000-8000-000000000001\u2028injected',
    'a3f1c1e0-0000-4000-8000-000000000001, injected',
    '{a3f1c1e0-0000-4000-8000-000000000001}',
    'a3f1c1e0-0000-4000-8000-00000000000g',
    'x'.repeat(500),
    '',
  ])('repeat nothing else: %j', async (id) => {
    const answer = await send(
      `GET ${COLLECTION}/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer ${client.token}\r\nclient-request-id: ${id}\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d [\s\S]*\r\nrequest-id: [0-9a-f-]{36}\r\n/);
    expect(answer).not.toMatch(/injected|<script|xxx|\r\nclient-request-id:/i);
    const { error } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as GraphError;
    expect(error.innerError['client-request-id']).toBeNull();
  });

  it('repeat nothing that comes twice', async () => {
    const id = 'client-request-id: a3f1c1e0-0000-4000-8000-000000000001\r\n';
    const answer = await send(`GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${id}${id}\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 404/);
    expect(answer).not.toMatch(/\r\nclient-request-id:/i);
  });
});

describe('links', () => {
  it.each([
    { 'x-forwarded-host': 'evil.test', 'x-forwarded-proto': 'https' },
    {
      forwarded: 'host=evil.test;proto=https',
      'x-original-host': 'evil.test',
      'x-forwarded-prefix': '/evil',
    },
  ])('are not chosen by who sends %j', async (headers) => {
    const answer = await client.request('POST', COLLECTION, {
      body: valid,
      headers: { ...JSON_TYPE, ...headers },
    });
    expect(answer.headers.get('location')).toMatch(`${stack.baseUrl}/beta/`);
    expect(JSON.stringify([answer.body, ...answer.headers])).not.toContain('evil');
    const list = await client.request('GET', `${COLLECTION}?$top=1`, { headers });
    expect(JSON.stringify(list.body)).not.toContain('evil');
    expect(JSON.stringify(list.body)).toContain(`"@odata.nextLink":"${stack.baseUrl}/`);
    const document = await client.request('GET', '/openapi.json', { headers });
    expect(document.body).toMatchObject({ servers: [{ url: stack.baseUrl }] });
  });

  it('are not chosen by Host', async () => {
    const answer = await send(
      `GET ${COLLECTION}?$top=1 HTTP/1.1\r\nhost: evil.test\r\nconnection: close\r\nauthorization: Bearer ${client.token}\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200/);
    expect(answer).toContain(`"@odata.context":"${stack.baseUrl}/`);
    expect(answer).not.toContain('evil');
  });
});

describe('clients that never finished their requests', () => {
  it('are let go after the 10 s that a request has for its headers', async () => {
    await eventually(() => dripping.every(({ closed }) => closed), 20_000);
    expect((await client.request('GET', COLLECTION)).status).toBe(200);
  });
});
