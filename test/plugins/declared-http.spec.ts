import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { VendorOperation } from '#provider-sdk';
import { pluginsWith } from '#plugins';
import { declaredProvider } from '../../plugins/http/index.js';
import { callContext } from '../support/call-context.js';

/** What a definition in YAML means, over HTTP. */

interface Sent {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}
let server: Server;
let baseUrl: string;
let sent: Sent[] = [];
let answer: (request: Sent) => { readonly status: number; readonly body?: unknown };

beforeAll(async () => {
  server = createServer((request, response) => {
    void text(request).then((body) => {
      const one = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body };
      sent.push(one);
      const { status, body: said } = answer(one);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(said ?? {}));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  sent = [];
  answer = () => ({ status: 200, body: { ok: true } });
});

const definition = (more: string, auth = 'bearer: token'): string => `
vendor: Acme
provider: EDR
version: 1.0.0
settings: { baseUrl: { type: string } }
secrets: { required: [token] }
baseUrl: '{settings.baseUrl}'
auth: { ${auth} }
actions:
  Scan:
    title: Scans a host
    parameters:
      Host: { type: string, examples: [host-7] }
      Deep: { type: boolean, examples: [true] }
      Note: { type: string, examples: [case 7] }
    required: [Host]
    idempotency: none
${more}`;
const scan = `
    execute:
      request:
        method: POST
        path: '/hosts/{parameters.Host}/scan'
        query: { by: '{parameters.Note}' }
        headers: { X-Note: 'n {parameters.Note}' }
        json: { deep: '{parameters.Deep}', note: '{parameters.Note}', text: 'for {parameters.Host}' }
      done: [{ status: [200], body: { /ok: true } }]
`;
const providerOf = (yaml: string): ReturnType<typeof declaredProvider> => declaredProvider(yaml, 'acme.yaml');
const context = (instance = 'one', saved: VendorOperation[] = []): ReturnType<typeof callContext> =>
  callContext({ settings: { baseUrl }, secrets: { token: 's3cret-token' }, instance, saved });
const request = (parameters: object): { action: string; parameters: object } => ({
  action: 'Scan',
  parameters,
});

describe('a value in a template', () => {
  it('is one segment of the path, one query value, and JSON of its own type', async () => {
    await providerOf(definition(scan)).calls.execute(
      context(),
      request({ Host: 'a/../b?x=1#y', Deep: true, Note: '"}, {parameters.Host} &z=2' }),
    );
    expect(sent).toHaveLength(1);
    const url = new URL(sent[0]?.url ?? '', baseUrl);
    expect(url.pathname).toBe('/hosts/a%2F..%2Fb%3Fx%3D1%23y/scan');
    expect([...url.searchParams]).toEqual([['by', '"}, {parameters.Host} &z=2']]);
    expect(JSON.parse(sent[0]?.body ?? '')).toEqual({
      deep: true,
      note: '"}, {parameters.Host} &z=2',
      text: 'for a/../b?x=1#y',
    });
    expect(sent[0]?.headers.authorization).toBe('Bearer s3cret-token');
  });

  it('that is not given leaves its member and its query value out', async () => {
    await providerOf(definition(scan)).calls.execute(context(), request({ Host: 'h' }));
    expect(JSON.parse(sent[0]?.body ?? '')).toEqual({ text: 'for h' });
    expect(sent[0]?.url).toBe('/hosts/h/scan');
  });

  it('may be when the effect is to be over, for a vendor that keeps to it', async () => {
    const timed = `
    execute:
      request:
        method: POST
        path: /blocks
        json: { until: '{action.effectUntil}', ttl: '{action.effectSeconds}', host: '{parameters.Host}' }
      done: [{ status: [200] }]
    revert: { request: { method: DELETE, path: /blocks }, done: [{ status: [200] }] }
`;
    const { manifest, calls } = providerOf(definition(timed));
    expect(manifest.actions['Scan']).toMatchObject({ revertible: true, supportsExpiry: true });
    expect(providerOf(definition(scan)).manifest.actions['Scan']).toMatchObject({ supportsExpiry: false });
    const effectUntil = new Date(Date.now() + 3_600_000);
    await calls.execute(context(), { ...request({ Host: 'h' }), effectUntil });
    await calls.execute(context(), { ...request({ Host: 'h' }), effectUntil: new Date(0) });
    await calls.execute(context(), request({ Host: 'h' }));
    const [ahead, past, never] = sent.map(({ body }) => JSON.parse(body) as { ttl?: number; until?: string });
    expect(ahead?.until).toBe(effectUntil.toISOString());
    expect(ahead?.ttl).toBeGreaterThan(3500);
    expect(ahead?.ttl).toBeLessThanOrEqual(3600);
    expect(past?.ttl).toBe(1);
    expect(never).toEqual({ host: 'h' });
  });

  it.each([
    ['a segment of dots', { Host: '..' }],
    ['an empty segment', { Host: '' }],
    ['a line break in a header', { Host: 'h', Note: 'x\r\nX-Admin: 1' }],
  ])('is refused before anything is sent: %s', async (_what, parameters) => {
    await expect(
      providerOf(definition(scan)).calls.execute(context(), request(parameters)),
    ).rejects.toMatchObject({ errorClass: 'invalidInput' });
    expect(sent).toHaveLength(0);
  });
});

describe('work that takes a while', () => {
  const long = `
    execute:
      request: { method: POST, path: /scans, json: { host: '{parameters.Host}' } }
      pending: { when: [{ status: [202] }], operationId: /scan/id, everySeconds: 7 }
    poll:
      request: { method: GET, path: '/scans/{operation.id}' }
      done: [{ body: { /state: finished } }]
      running: [{ body: { /state: [queued, running] } }]
      stopped: [{ body: { /state: aborted } }]
      failed: [{ body: { /state: error }, class: permanent, message: /why }]
    cancel:
      request: { method: DELETE, path: '/scans/{operation.id}' }
      cancelled: [{ status: [204, 200] }]
      tooLate: [{ status: [409] }]
`;
  it('is saved by the id of the vendor before it is waited for', async () => {
    answer = () => ({ status: 202, body: { scan: { id: 42 } } });
    const saved: VendorOperation[] = [];
    const outcome = await providerOf(definition(long)).calls.execute(
      context('one', saved),
      request({ Host: 'h' }),
    );
    expect(outcome).toEqual({ kind: 'pending', operation: { id: '42' }, nextPollMs: 7000 });
    expect(saved).toEqual([{ id: '42' }]);
  });

  it.each([
    ['finished', { kind: 'completed' }],
    ['queued', { kind: 'pending' }],
    ['aborted', { kind: 'stopped' }],
    ['error', { kind: 'failed' }],
  ])('that is %s', async (state, expected) => {
    answer = () => ({ status: 200, body: { state } });
    expect(
      await providerOf(definition(long)).calls.poll?.(context(), { id: '42' }, request({ Host: 'h' })),
    ).toMatchObject(expected);
    expect(sent[0]?.url).toBe('/scans/42');
  });

  it('is undone by the id of its operation', async () => {
    const revert =
      "    revert: { request: { method: DELETE, path: '/scans/{effect.id}' }, done: [{ status: [200] }] }\n";
    const { calls } = providerOf(definition(`${long}${revert}`));
    answer = () => ({ status: 200, body: { state: 'finished' } });
    const done = await calls.poll?.(context(), { id: '42' }, request({ Host: 'h' }));
    expect(done).toMatchObject({ kind: 'completed', effect: { changed: true, ids: ['42'] } });
    const record = { ...request({ Host: 'h' }), effect: { changed: true, ids: ['42'] } };
    expect(await calls.revert?.(context(), record as never)).toMatchObject({ kind: 'completed' });
    expect(sent.at(-1)).toMatchObject({ method: 'DELETE', url: '/scans/42' });
  });

  it('in a state that nobody described is asked about again', async () => {
    answer = () => ({ status: 200, body: { state: 'paused' } });
    await expect(
      providerOf(definition(long)).calls.poll?.(context(), { id: '42' }, request({ Host: 'h' })),
    ).rejects.toMatchObject({ errorClass: 'transient' });
  });

  it.each([
    [204, 'cancelled'],
    [409, 'tooLate'],
  ] as const)('is stopped: HTTP %i says %s', async (status, expected) => {
    answer = () => ({ status });
    const { calls } = providerOf(definition(long));
    expect(await calls.cancel(context(), { id: '42' }, request({ Host: 'h' }))).toBe(expected);
    expect(await calls.cancel(context(), null, request({ Host: 'h' }))).toBe('unknown');
  });
});

describe('what is sent', () => {
  it.each([
    [
      'basic: { user: "me {instance.id}", password: token }',
      { authorization: `Basic ${btoa('me one:s3cret-token')}` },
    ],
    ['header: { name: X-Api-Key, secret: token }', { 'x-api-key': 's3cret-token' }],
  ])('carries the credentials of %s', async (auth, headers) => {
    await providerOf(definition(scan, auth)).calls.execute(context(), request({ Host: 'h' }));
    expect(sent[0]?.headers).toMatchObject(headers);
  });

  it('as a form has each value encoded, and none for what is not given', async () => {
    const form = scan.replace(/json: .*/, "form: { host: '{parameters.Host}', note: '{parameters.Note}' }");
    await providerOf(definition(form)).calls.execute(context(), request({ Host: 'a&note=b c' }));
    expect(sent[0]?.headers['content-type']).toBe('application/x-www-form-urlencoded');
    expect(sent[0]?.body).toBe('host=a%26note%3Db+c');
  });
});

it('an answer that says it was so before is done and changed nothing', async () => {
  const unchanged = `${scan.trimEnd()}\n      unchanged: [{ body: { /isNew: false } }]\n`;
  const { calls } = providerOf(definition(unchanged));
  for (const isNew of [true, false]) {
    answer = () => ({ status: 200, body: { ok: true, isNew } });
    expect(await calls.execute(context(), request({ Host: 'h' }))).toMatchObject({
      effect: { changed: isNew },
    });
  }
});

describe('OAuth 2 client credentials', () => {
  const oauth = `clientCredentials: { tokenUrl: '{settings.baseUrl}/token', clientId: me, clientSecret: token }`;
  const asked = (): number => sent.filter(({ url }) => url === '/token').length;
  beforeEach(() => {
    let tokens = 0;
    answer = ({ url }) =>
      url === '/token'
        ? { status: 200, body: { access_token: `t${(tokens += 1)}`, expires_in: 3600 } }
        : { status: 200, body: { ok: true } };
  });

  it('are asked for one token by calls at the same time, and by another instance for its own', async () => {
    const { calls } = providerOf(definition(scan, oauth));
    await Promise.all([1, 2, 3].map(() => calls.execute(context('one'), request({ Host: 'h' }))));
    expect(asked()).toBe(1);
    await calls.execute(context('two'), request({ Host: 'h' }));
    expect(asked()).toBe(2);
    expect(sent.at(-1)?.headers.authorization).toBe('Bearer t2');
  });

  it.each([400, 401])('that are refused with HTTP %i fail for good, and nothing is sent', async (status) => {
    answer = () => ({
      status,
      body: { error: 'invalid_client', error_description: 's3cret-token is wrong' },
    });
    await expect(
      providerOf(definition(scan, oauth)).calls.execute(context(), request({ Host: 'h' })),
    ).rejects.toMatchObject({
      errorClass: 'auth',
      message: 'The token endpoint refused the client credentials.',
    });
    expect(sent.map(({ url }) => url)).toEqual(['/token']);
  });

  it('never show a token, whatever the vendor says of it', async () => {
    const { calls } = providerOf(definition(scan, oauth));
    answer = ({ url, headers }) =>
      url === '/token'
        ? { status: 200, body: { access_token: 'token-of-the-vendor', expires_in: 3600 } }
        : { status: 403, body: { message: `not for ${String(headers.authorization)}` } };
    await expect(calls.execute(context(), request({ Host: 'h' }))).rejects.toThrow(
      'not for Bearer [redacted]',
    );
  });

  it('get a new token when the kept one was withdrawn', async () => {
    const { calls } = providerOf(definition(scan, oauth));
    await calls.execute(context(), request({ Host: 'h' }));
    const before = answer;
    answer = (one) => (one.headers.authorization === 'Bearer t1' ? { status: 401, body: {} } : before(one));
    expect(await calls.execute(context(), request({ Host: 'h' }))).toMatchObject({ kind: 'completed' });
    expect(asked()).toBe(2);
  });
});

describe('a definition that cannot be used', () => {
  it.each([
    [
      'a key that is not known',
      definition(`${scan}    undo: {}`),
      /^acme\.yaml:\d+: actions\.Scan\.undo is not known; known: /,
    ],
    ['YAML that is none', 'vendor: [', /^acme\.yaml: .*line 1/s],
    [
      'a name that nothing declares',
      definition(scan.replace('{parameters.Host}/', '{parameters.Hots}/')),
      /^acme\.yaml:\d+: actions\.Scan\.execute\.request uses \{parameters\.Hots\}, which is not known; known: .*parameters\.Host/,
    ],
    [
      'a secret that nothing declares',
      definition(scan, 'bearer: tokn'),
      /auth\.bearer names the secret "tokn"/,
    ],
    [
      'pending without poll',
      definition(
        scan.replace(
          '      done:',
          '      pending: { when: [{ status: [202] }], operationId: /id }\n      done:',
        ),
      ),
      /execute\.pending needs poll/,
    ],
    [
      'look-up of what is still under way',
      definition(
        scan.replace(
          '      done:',
          '      pending: { when: [{ status: [202] }], operationId: /id }\n      done:',
        ),
      ).replace('idempotency: none', 'idempotency: lookup'),
      /idempotency is "lookup", which tells what is in place and not what is under way/,
    ],
    [
      'a lookup by what need not be given',
      definition(`${scan}
    lookup: { wants: absent, request: { method: GET, path: / }, in: /list, where: { /note: '{parameters.Note}' }, id: /id }
`),
      /^acme\.yaml:\d+: actions\.Scan\.lookup\.where uses \{parameters\.Note\}, which need not be given/,
    ],
    [
      'an address that is no web address',
      definition(scan).replace("baseUrl: '{settings.baseUrl}'", "baseUrl: 'ftp://files.example'"),
      /^acme\.yaml:\d+: baseUrl "ftp:\/\/files\.example" is no https or http URL; write for example https:/,
    ],
    [
      'a schema that does not compile',
      definition(scan).replace('Host: { type: string,', 'Host: { type: strin,'),
      /^acme\.yaml: .*actions\.Scan\.parameters is not a valid JSON Schema/,
    ],
  ])('is refused with file, key and rule: %s', (_what, yaml, message) => {
    expect(() => providerOf(yaml)).toThrow(message);
  });

  it('or is not there stops the start, naming the key', async () => {
    await expect(
      pluginsWith({ acme: { definition: './no.yaml' } }, '/etc/riposte.config.yaml'),
    ).rejects.toThrow('/etc/riposte.config.yaml: plugins.acme.definition: /etc/no.yaml cannot be read');
    await expect(pluginsWith({ mock: { definition: './no.yaml' } }, '/etc/c.yaml')).rejects.toThrow(
      'plugins.mock has the name of a shipped plugin',
    );
  });
});
