import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { mockAction, type Answer, type Client, type GraphError } from '../support/client.js';
import { Stack } from '../support/stack.js';
import { signToken } from '../support/token.js';

let stack: Stack;
let client: Client;

beforeAll(async () => {
  stack = await Stack.start();
  client = await stack.client();
});
afterAll(() => stack.stop());
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
      'with an engine option this version has not',
      JSON.stringify(
        mockAction('BlockIp', { IP: '1.2.3.4' }, { '@riposte.effectUntil': '2099-01-01T00:00:00Z' }),
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

  it('may be as large as 64 KiB', async () => {
    const padding = 65_536 - Buffer.byteLength(valid);
    expect(
      (await client.request('POST', COLLECTION, { body: valid + ' '.repeat(padding), headers: JSON_TYPE }))
        .status,
    ).toBe(201);
  });

  it('of another type is a 415, also when it is compressed', async () => {
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
    expectGraphError(
      await client.request('POST', COLLECTION, {
        body: gzipSync(valid),
        headers: { ...JSON_TYPE, 'content-encoding': 'gzip' },
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
    ['GET', '/'],
    ['GET', '/beta'],
    ['GET', '/beta/security/securityActions/a/b/c'],
    ['POST', '/nope'],
    ['GET', '/beta/security/securityActions/not-a-guid'],
    ['GET', '/beta/security/securityActions/00000000-0000-4000-8000-00000000000'],
    ['GET', '/beta/security/securityActions/%00'],
  ])('%s %s is a 404', async (method, path) => {
    expectGraphError(await client.request(method, path), 404, 'itemNotFound');
  });

  it.each([
    ['PATCH', `${COLLECTION}/11111111-1111-4111-8111-111111111111`, 'GET, HEAD'],
    ['DELETE', `${COLLECTION}/11111111-1111-4111-8111-111111111111`, 'GET, HEAD'],
    ['PUT', `${COLLECTION}/11111111-1111-4111-8111-111111111111`, 'GET, HEAD'],
    ['DELETE', COLLECTION, 'GET, HEAD, POST'],
    ['GET', `${COLLECTION}/11111111-1111-4111-8111-111111111111/cancelSecurityAction`, 'POST'],
  ])('%s %s is a 405 with Allow', async (method, path, allow) => {
    const answer = await client.request<GraphError>(method, path);
    expectGraphError(answer, 405, 'methodNotAllowed');
    expect(answer.headers.get('allow')).toBe(allow);
  });

  it('is a 400 when it is no valid URL, and a 414 when it is too long', async () => {
    expectGraphError(await client.request('GET', '/%zz'), 400, 'invalidRequest');
    expectGraphError(await client.request('GET', `/${'a'.repeat(5000)}`), 414, 'uriTooLong');
  });
});

describe('what is not even HTTP', () => {
  const send = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(stack.baseUrl);
      let answer = '';
      const socket = connect(Number(port), hostname, () => socket.write(text));
      socket.on('data', (data) => (answer += data.toString()));
      socket.on('close', () => resolve(answer));
      socket.on('error', reject);
    });

  it('gets a 400 with the same body', async () => {
    const answer = await send('this is not http\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({
      error: { code: 'invalidRequest' },
    });
  });

  it('gets a 431 for headers over 16 KiB', async () => {
    expect(await send(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 .*"headersTooLarge"/s,
    );
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

  it('repeat nothing else', async () => {
    const answer = await client.request<GraphError>('GET', `${COLLECTION}/x`, {
      headers: { 'client-request-id': '<script>' },
    });
    expect(answer.headers.get('client-request-id')).toBeNull();
    expect(JSON.stringify(answer.body)).not.toContain('script');
  });
});
