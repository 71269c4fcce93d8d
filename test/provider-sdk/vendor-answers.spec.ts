import fc from 'fast-check';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ProviderError,
  StopRequested,
  Type,
  vendorHttp,
  type NetworkPolicy,
  type VendorRequest,
} from '#provider-sdk';

/** What a plugin gets to see of a vendor: a bounded, checked answer, or a failure that says what may be done next. */

const NETWORK: NetworkPolicy = { allow: ['127.0.0.0/8'], ports: [] };
const SECRET = 'tok/en+of the "vendor"';
const JSON_TYPE = { 'content-type': 'application/json' };

let answering: RequestListener = (_request, response) => void response.end();
let requests = 0;
const server = createServer((request, response) => {
  requests += 1;
  answering(request, response);
});
let url = '';
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** Sends a request to a vendor that answers so. */
function ask(
  answer: RequestListener,
  request: Partial<VendorRequest> = {},
  signal: AbortSignal = new AbortController().signal,
  spend: () => Promise<void> = () => Promise.resolve(),
) {
  answering = answer;
  requests = 0;
  const http = vendorHttp({ network: NETWORK, signal, spend, secrets: [SECRET] });
  return http.request({ method: 'GET', url, ...request });
}

const status =
  (code: number, body = '', headers: Record<string, string> = JSON_TYPE): RequestListener =>
  (_request, response) =>
    void response.writeHead(code, headers).end(body);

async function failureOf(call: Promise<unknown>): Promise<ProviderError> {
  const thrown: unknown = await call.then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(ProviderError);
  return thrown as ProviderError;
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}

describe('a request', () => {
  it.each<[Partial<VendorRequest>, string, string, string]>([
    [{ json: { a: [1] } }, 'application/json', '{"a":[1]}', '/v1'],
    [{ form: { a: 'x y', b: '&' } }, 'application/x-www-form-urlencoded', 'a=x+y&b=%26', '/v1'],
    [{ body: '<x/>', headers: { 'Content-Type': 'text/xml' } }, 'text/xml', '<x/>', '/v1'],
    [{ json: 1, query: { q: 'ä&b', n: 2, no: undefined } }, 'application/json', '1', '/v1?q=%C3%A4%26b&n=2'],
  ])('%j arrives as written', async (request, type, body, target) => {
    let seen: unknown;
    await ask(
      (incoming, response) => {
        void textOf(incoming).then((text) => {
          seen = [incoming.headers['content-type'], text, incoming.url];
          response.end();
        });
      },
      { method: 'POST', ...request },
    );
    expect(seen).toEqual([type, body, target]);
  });

  it.each<Partial<VendorRequest>>([
    { method: 'POST', json: {}, body: '' },
    { json: {} },
    { headers: { host: 'other.example' } },
    { headers: { 'transfer-encoding': 'chunked' } },
    { headers: { 'x-name': 'a\r\nx-injected: b' } },
    { headers: { 'bad name': 'a' } },
  ])('%j is not sent', async (request) => {
    const error = await failureOf(ask(status(200), request));
    expect(error).toMatchObject({ errorClass: 'permanent' });
    expect(requests).toBe(0);
  });
});

describe('a status', () => {
  it.each([
    [400, 'invalidInput', 'invalidInput'],
    [401, 'auth', 'auth'],
    [403, 'permission', 'permission'],
    [404, 'targetNotFound', 'targetNotFound'],
    [408, 'transient', 'unknownOutcome'],
    [409, 'conflict', 'conflict'],
    [422, 'invalidInput', 'invalidInput'],
    [429, 'rateLimited', 'rateLimited'],
    [500, 'transient', 'unknownOutcome'],
    [507, 'capacity', 'capacity'],
    [304, 'transient', 'unknownOutcome'],
    [599, 'transient', 'unknownOutcome'],
  ])('%i is %s, of a request that changes something %s', async (code, reading, changing) => {
    expect(await failureOf(ask(status(code)))).toMatchObject({ errorClass: reading, httpStatus: code });
    expect((await failureOf(ask(status(code), { method: 'POST', json: {} }))).errorClass).toBe(changing);
    expect(requests).toBe(1);
  });

  it('that the plugin accepts is an answer', async () => {
    const { status: code, body } = await ask(status(409, '{"already":true}'), { accept: [409] });
    expect([code, body]).toEqual([409, { already: true }]);
  });

  it('means what the plugin says it means', async () => {
    const classify: VendorRequest['classify'] = ({ body }) =>
      (body as { code: number }).code === 7
        ? { errorClass: 'capacity', message: 'The list is full.' }
        : undefined;
    const request = { method: 'POST', classify } as const;
    expect(await failureOf(ask(status(400, '{"code":7}'), request))).toMatchObject({
      errorClass: 'capacity',
      message: 'The list is full.',
    });
    expect((await failureOf(ask(status(400, '{"code":8}'), request))).errorClass).toBe('invalidInput');
  });

  it.each([
    ['7', 7000],
    ['0', 1000],
    ['999999', 3_600_000],
    [new Date(0).toUTCString(), 1000],
    ['soon', null],
  ])('with Retry-After %s is come back to after %s ms', async (header, ms) => {
    const headers = { 'retry-after': header };
    expect((await failureOf(ask(status(429, '', headers)))).retryAfterMs).toBe(ms);
    if (ms !== null) {
      const unavailable = await failureOf(ask(status(503, '', headers), { method: 'POST' }));
      expect(unavailable).toMatchObject({ errorClass: 'transient', retryAfterMs: ms });
    }
  });
});

describe('what may pass', () => {
  it('is sent again, each time within the quota, where it changes nothing', async () => {
    let spent = 0;
    const spend = () => Promise.resolve(void (spent += 1));
    const flaky: RequestListener = (request, response) =>
      requests === 1
        ? void request.socket.destroy()
        : void response.writeHead(requests === 2 ? 503 : 200, JSON_TYPE).end('{"ok":true}');
    expect((await ask(flaky, {}, undefined, spend)).body).toEqual({ ok: true });
    expect([requests, spent]).toEqual([3, 3]);
  });

  it('is given up after three times', async () => {
    expect((await failureOf(ask(status(502)))).errorClass).toBe('transient');
    expect(requests).toBe(3);
  });

  it('is not sent again where it may have changed something', async () => {
    const broken: RequestListener = (request) => void request.socket.destroy();
    expect((await failureOf(ask(broken, { method: 'POST', json: {} }))).errorClass).toBe('unknownOutcome');
    expect(requests).toBe(1);
    expect((await ask(status(200), { method: 'POST', changes: false })).status).toBe(200);
  });

  it('is sent again when no connection was made, and nothing was sent', async () => {
    let spent = 0;
    const spend = () => Promise.resolve(void (spent += 1));
    const request = { method: 'POST', url: 'http://127.0.0.1:1/', json: {} } as const;
    const error = await failureOf(ask(status(200), request, undefined, spend));
    expect(error).toMatchObject({ errorClass: 'unreachable' });
    expect(error.message).toContain('nothing was sent');
    expect(spent).toBe(3);
  });

  it('is not even tried where the quota says no', async () => {
    const no = new ProviderError('rateLimited', 'Not now.');
    const asked = ask(status(200), {}, undefined, () => Promise.reject(no));
    await expect(asked).rejects.toBe(no);
    expect(requests).toBe(0);
  });
});

describe('a call that is asked to stop', () => {
  const never: RequestListener = () => undefined;

  it.each([
    ['before it is sent, stops', 'POST', true],
    ['while the vendor is asked something, stops', 'GET', false],
  ] as const)('%s', async (_when, method, before) => {
    const abort = new AbortController();
    const reason = new StopRequested('cancel');
    if (before) abort.abort(reason);
    const call = ask(before ? never : () => abort.abort(reason), { method }, abort.signal);
    await expect(call).rejects.toBe(reason);
    expect(requests).toBe(before ? 0 : 1);
  });

  it('while something may change, does not know whether it did', async () => {
    const abort = new AbortController();
    const call = ask(() => abort.abort(new StopRequested('cancel')), { method: 'POST' }, abort.signal);
    expect((await failureOf(call)).errorClass).toBe('unknownOutcome');
  });

  it.each([
    ['GET', 'transient'],
    ['POST', 'unknownOutcome'],
  ] as const)('by its own time: %s is %s', async (method, errorClass) => {
    const slow: RequestListener = (_request, response) => {
      const drip = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(drip));
    };
    expect((await failureOf(ask(slow, { method, timeoutMs: 200 }))).errorClass).toBe(errorClass);
  });
});

describe('an answer', () => {
  const text = JSON.stringify({ text: 'ä'.repeat(1000) });

  it.each([
    ['gzip', gzipSync(text)],
    ['br', brotliCompressSync(text)],
    ['deflate', deflateSync(text)],
    ['deflate', deflateRawSync(text)],
  ])('in %s is read', async (encoding, body) => {
    const packed: RequestListener = (_request, response) =>
      void response.writeHead(200, { ...JSON_TYPE, 'content-encoding': encoding }).end(body);
    expect((await ask(packed)).text).toBe(text);
  });

  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
  const large = Buffer.alloc(10 * 1024 * 1024, 32);
  it.each<[string, Record<string, string>, Buffer]>([
    ['of 10 MiB', {}, large],
    ['that inflates to 64 MiB', { 'content-encoding': 'gzip' }, bomb],
    ['in an encoding nobody asked for', { 'content-encoding': 'zstd' }, Buffer.from('{}')],
    ['packed twice', { 'content-encoding': 'gzip, gzip' }, gzipSync(gzipSync('{}'))],
    ['that is not what it says', { 'content-encoding': 'br' }, Buffer.from('{}')],
  ])('%s is a failure', async (_what, headers, body) => {
    const listener: RequestListener = (_request, response) =>
      void response.writeHead(200, { ...JSON_TYPE, ...headers }).end(body);
    expect((await failureOf(ask(listener))).errorClass).toBe('transient');
    expect((await failureOf(ask(listener, { method: 'PUT', json: 1 }))).errorClass).toBe('unknownOutcome');
  });

  const answer = Type.Object({ id: Type.String() });
  it.each([
    ['{"id":7}', JSON_TYPE],
    ['[]', JSON_TYPE],
    ['', JSON_TYPE],
    ['{"id":"x"', JSON_TYPE],
    ['{"id":"x"}', { 'content-type': 'text/html' }],
    [`{"id":"x","deep":${'['.repeat(100)}${']'.repeat(100)}}`, JSON_TYPE],
  ])('%j is not the protocol', async (body, headers) => {
    const error = await failureOf(ask(status(200, body, headers), { answer, method: 'POST' }));
    expect(error.errorClass).toBe('unknownOutcome');
    expect((await failureOf(ask(status(200, body, headers), { answer }))).errorClass).toBe('transient');
  });

  it.each([
    '{"__proto__":{"polluted":true}}',
    '{"a":[{"__proto__":{"polluted":true}}]}',
    '{"\\u005f_proto__":{"polluted":true}}',
    '{"constructor":{"prototype":{"polluted":true}}}',
    '{"con\\u0073tructor":{"prototype":{"polluted":true}}}',
  ])('with %s pollutes nothing', async (body) => {
    const { body: given } = await ask(status(200, body));
    expect(JSON.stringify(given)).not.toContain('polluted');
    Object.assign({}, given);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

describe('the words of a failure', () => {
  it.each([
    ['{"error":{"code":"X","message":"No such host."}}', 'HTTP 400: No such host.'],
    ['{"error":"invalid_grant","error_description":"It expired."}', 'HTTP 400: invalid_grant: It expired.'],
    ['{"errors":[{"detail":"Too long"}]}', 'HTTP 400: Too long.'],
    ['{"secret":"inside"}', 'HTTP 400.'],
  ])('%s are the vendor’s: %s', async (body, words) => {
    expect((await failureOf(ask(status(400, body)))).message).toContain(words);
  });

  it('show no markup, no control characters and not more than 500 characters', async () => {
    const page = `<html><script>alert(1)</script><b onclick="x">Bad</b>\u001b[31m\r\nrequest${'!'.repeat(5000)}`;
    const { message } = await failureOf(ask(status(400, page, { 'content-type': 'text/html' })));
    expect(message).toMatch(/HTTP 400: Bad \[31m request!+/);
    expect(message.length).toBeLessThanOrEqual(501);
  });

  it('show no secret, in whatever form the vendor sends it back', async () => {
    for (const form of [
      SECRET,
      encodeURIComponent(SECRET),
      new URLSearchParams({ '': SECRET }).toString().slice(1),
      Buffer.from(SECRET).toString('base64'),
      SECRET.replaceAll('"', '\\"'),
    ]) {
      const { message } = await failureOf(
        ask(status(400, `You sent ${form}, which`, { 'content-type': 'text/plain' })),
      );
      expect(message).toContain('You sent [');
      expect(message).not.toContain(form);
    }
    // Harmless as it is sent, and a secret once the markup is taken out.
    const split = `${SECRET.slice(0, 4)}\u0007${SECRET.slice(4)}`;
    const { message } = await failureOf(ask(status(400, split, { 'content-type': 'text/plain' })));
    expect(message).not.toContain(SECRET);
  });

  it('show no credential that the plugin sent in whatever header, and leave the harmless ones', async () => {
    const headers = {
      Authorization: 'Bearer bearer-made',
      'x-pan-key': 'key/made==',
      'X-Auth': 'Token token-made',
      cookie: 'session=cookie-made; theme=dark',
      'x-request-id': 'request-4711',
    };
    const echo: RequestListener = (request, response) =>
      void response.writeHead(400, { 'content-type': 'text/plain' }).end(request.rawHeaders.join(' '));
    const { message } = await failureOf(ask(echo, { headers }));
    expect(message).toContain('request-4711');
    for (const made of ['bearer-made', 'key/made==', 'token-made', 'cookie-made'])
      expect(message).not.toContain(made);
    const encoded = encodeURIComponent(headers['x-pan-key']);
    const again = await failureOf(
      ask(status(400, `${encoded} token-made`, { 'content-type': 'text/plain' }), { headers }),
    );
    expect(again.message).toContain('HTTP 400: [redacted] [redacted].');
  });
});

it('whatever a vendor sends is an answer or a ProviderError, and bounded', async () => {
  const contentType = fc.constantFrom('application/json', 'text/html', 'text/plain', 'image/png', 'x', '');
  const body = fc.oneof(
    fc.json(),
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.constant('{"__proto__":1}'),
    fc.constant('['.repeat(20_000)),
    fc.constant('<html><body>Sign in</body></html>'),
  );
  const encoding = fc.constantFrom('', 'gzip', 'br', 'deflate', 'identity', 'compress', '__proto__');
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 200, max: 999 }),
      contentType,
      body,
      encoding,
      fc.boolean(),
      async (code, type, sent, packed, changes) => {
        const headers = { 'content-type': type, ...(packed === '' ? {} : { 'content-encoding': packed }) };
        const raw: RequestListener = (_request, response) => {
          if (code === 304 || code === 204) response.writeHead(code).end();
          else response.writeHead(code, headers).end(sent);
        };
        const call = ask(raw, {
          method: changes ? 'POST' : 'DELETE',
          changes,
          maxBytes: 10_000,
          timeoutMs: 5000,
        });
        const outcome: unknown = await call.catch((error: unknown) => error);
        if (outcome instanceof Error) {
          expect(outcome).toBeInstanceOf(ProviderError);
          expect(outcome.message.length).toBeLessThanOrEqual(501);
        } else expect(code).toBeLessThan(300);
      },
    ),
    { numRuns: 150 },
  );
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
});
