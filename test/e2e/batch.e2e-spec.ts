import {
  BatchRequestContent,
  BatchResponseContent,
  Client as GraphClient,
  type AuthenticationProvider,
  type BatchRequestStep,
} from '@microsoft/microsoft-graph-client';
import { Ajv } from 'ajv';
import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  mockAction,
  type Answer,
  type Client,
  type GraphAction,
  type GraphError,
} from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';
import { trustedCertificate, type TrustedCertificate } from '../support/tls.js';

interface InnerAnswer {
  readonly id: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: GraphAction & GraphError & { readonly value: readonly GraphAction[] };
}

const JSON_TYPE = { 'content-type': 'application/json' };
const ACTIONS = '/security/securityActions';
const NOBODY = '11111111-1111-4111-8111-111111111111';

let stack: Stack;
let client: Client;
let certificate: TrustedCertificate;

beforeAll(async () => {
  // Graph's own client sends its token over TLS only.
  certificate = await trustedCertificate();
  stack = await Stack.start({ tls: certificate });
  client = await stack.client({ tenant: randomUUID() });
});
afterAll(async () => {
  await stack.stop();
  await certificate.distrust();
});

const send = (
  body: unknown,
  options: { readonly as?: Client; readonly to?: string; readonly headers?: Record<string, string> } = {},
): Promise<Answer<GraphError>> =>
  (options.as ?? client).request('POST', options.to ?? '/beta/$batch', {
    body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
    headers: { ...JSON_TYPE, ...options.headers },
  });

async function batch(requests: readonly object[], options = {}): Promise<readonly InnerAnswer[]> {
  const { status, body } = await send({ requests }, options);
  expect({ status, body }).toMatchObject({ status: 200 });
  return (body as unknown as { responses: readonly InnerAnswer[] }).responses;
}

async function alone(request: object, options = {}): Promise<InnerAnswer> {
  const [answer] = await batch([{ id: '1', ...request }], options);
  if (answer === undefined) throw new Error('no answer');
  return answer;
}

const get = (id: string, url: string, extra: object = {}) => ({ id, method: 'GET', url, ...extra });
const create = (
  id: string,
  extra: object = {},
  body: unknown = mockAction('BlockIp', { IP: '1.2.3.4' }),
) => ({
  id,
  method: 'POST',
  url: ACTIONS,
  headers: { 'Content-Type': 'application/json' },
  body,
  ...extra,
});

describe('a batch', () => {
  it('answers as it is documented, and says that a body may be anything', async () => {
    const { body: document } = await client.request<{ components: object }>('GET', '/openapi.json');
    const ajv = new Ajv({ strict: false, validateFormats: false });
    ajv.addSchema(document, 'api');
    const requests = [
      get('text', `${ACTIONS}/$count`),
      get('object', `${ACTIONS}?$top=1`),
      create('list', {}, [null]),
      create('header', { headers: { ...JSON_TYPE, 'x-own': {} } }),
    ];
    const { body } = await send({ requests });
    expect(ajv.validate('api#/components/schemas/BatchDto', { requests }), ajv.errorsText()).toBe(true);
    expect(ajv.validate('api#/components/schemas/BatchResponsesDto', body), ajv.errorsText()).toBe(true);
    const { responses } = body as unknown as { responses: readonly InnerAnswer[] };
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 400, 400]);
    expect(typeof responses[0]?.body).toBe('string');
  });

  it('answers each request as if it had come alone, in the order of the requests', async () => {
    await client.act('BlockIp', { IP: '1.2.3.4' });
    const known = await client.act('BlockIp', { IP: '1.2.3.4' });
    await client.ended(known);
    const answers = await batch([
      create('new'),
      get('item', `${ACTIONS}/${known}`),
      get('list', `${ACTIONS.slice(1)}?$top=1`),
      get('missing', `${ACTIONS}/${NOBODY}`),
      { id: 'wrong', method: 'DELETE', url: ACTIONS },
      { id: 'head', method: 'HEAD', url: ACTIONS },
      { id: 'options', method: 'options', url: ACTIONS },
      create('minimal', { headers: { ...JSON_TYPE, Prefer: 'return=minimal' } }),
      { id: 'cancel', method: 'POST', url: `${ACTIONS}/${NOBODY}/cancelSecurityAction` },
    ]);
    expect(answers.map(({ id, status }) => [id, status])).toEqual([
      ['new', 201],
      ['item', 200],
      ['list', 200],
      ['missing', 404],
      ['wrong', 405],
      ['head', 200],
      ['options', 204],
      ['minimal', 204],
      ['cancel', 404],
    ]);
    const by = Object.fromEntries(answers.map((answer) => [answer.id, answer]));
    const direct = await client.request<GraphAction>('GET', `/beta${ACTIONS}/${known}`);
    expect(by['item']?.body).toEqual(direct.body);
    expect(by['item']?.headers['ETag']).toBe(direct.headers.get('etag'));
    expect(by['new']?.headers['Location']).toBe(`${stack.baseUrl}/beta${ACTIONS}/${by['new']?.body?.id}`);
    expect(by['list']?.body?.['@odata.nextLink']).toMatch(
      `${stack.baseUrl}/beta${ACTIONS}?$top=1&$skiptoken=`,
    );
    expect(by['missing']?.body?.error.code).toBe('itemNotFound');
    expect(by['wrong']?.headers['Allow']).toBe('GET, HEAD, OPTIONS, POST');
    for (const id of ['head', 'options', 'minimal']) expect(by[id]).not.toHaveProperty('body');
    expect(by['new']?.headers).toMatchObject({ 'Content-Type': 'application/json; charset=utf-8' });
    expect(Object.keys(by['new']?.headers ?? {}).join()).not.toMatch(/content-length|security-policy|x-/);
  });

  it('is the same on /v1.0, whose links it gives', async () => {
    const answer = await alone(get('1', `${ACTIONS}?$top=1`), { to: '/v1.0/$batch' });
    expect(answer.body?.['@odata.context']).toBe(`${stack.baseUrl}/v1.0/$metadata#security/securityActions`);
  });

  it('is as large as 20 requests of 64 KiB together are not, but 1 MiB', async () => {
    const twenty = Array.from({ length: 20 }, (_, index) => create(String(index)));
    const padded = (bytes: number): string => {
      const text = JSON.stringify({ requests: twenty });
      return text + ' '.repeat(bytes - Buffer.byteLength(text));
    };
    const largest = await send(padded(1 << 20));
    expect(largest.status).toBe(200);
    const { responses } = largest.body as unknown as { responses: readonly InnerAnswer[] };
    expect(responses.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 201));
    expect((await send(padded((1 << 20) + 1))).status).toBe(413);
    const gzip = { headers: { 'content-encoding': 'gzip' } };
    expect((await send(gzipSync(padded(1 << 20)), gzip)).status).toBe(200);
    expect((await send(gzipSync(padded((1 << 20) + 1)), gzip)).status).toBe(413);
  });

  it('gives each request the limits of one that comes alone', async () => {
    const parameters = { parameters: Array.from({ length: 260 }, () => ({ name: 'a', value: 'b' })) };
    let deep: unknown = 'x';
    for (let level = 0; level < 20; level += 1) deep = [deep];
    const answers = await batch([
      create('large', {}, mockAction('BlockIp', { IP: 'x'.repeat(66_000) })),
      create('keys', {}, { ...mockAction('BlockIp'), ...parameters }),
      create('deep', {}, { parameters: deep }),
      get('long', `${ACTIONS}?x=${'y'.repeat(4096)}`),
      get('headers', ACTIONS, {
        headers: Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`h${index}`, 'v'])),
      }),
      get('header', ACTIONS, { headers: { h: 'v'.repeat(16_384) } }),
    ]);
    expect(answers.map(({ id, status, body }) => [id, status, body?.error.code])).toEqual([
      ['large', 413, 'requestTooLarge'],
      ['keys', 400, 'invalidRequest'],
      ['deep', 400, 'invalidRequest'],
      ['long', 414, 'uriTooLong'],
      ['headers', 431, 'headersTooLarge'],
      ['header', 431, 'headersTooLarge'],
    ]);
    expect(answers[1]?.body?.error.message).toMatch(/500 properties/);
    expect(answers[2]?.body?.error.message).toMatch(/20 levels/);
  });
});

describe('a batch that cannot be understood', () => {
  const one = get('1', ACTIONS);
  const cases: [string, unknown, RegExp][] = [
    ['no JSON', '{', /JSON/],
    ['empty', '', /JSON object/],
    ['an array', [one], /JSON object/],
    ['without requests', {}, /requests/],
    ['with requests that are no list', { requests: { 0: one } }, /requests/],
    ['without any', { requests: [] }, /requests/],
    ['with 21', { requests: Array.from({ length: 21 }, (_, index) => get(String(index), ACTIONS)) }, /20/],
    ['with 300,000', `{"requests":[${'{},'.repeat(300_000)}{}]}`, /more than 40000 values/],
    ['with 30,000', { requests: Array.from({ length: 30_000 }, () => ({})) }, /20 elements; it has 30000/],
    ['with null for a request', { requests: [null] }, /requests/],
    ['with a list for a request', { requests: [[one]] }, /requests\.0 has to be an object/],
    ['without an id', { requests: [{ method: 'GET', url: ACTIONS }] }, /requests\.0\.id/],
    ['with an empty id', { requests: [get('', ACTIONS)] }, /requests\.0\.id/],
    ['with a number for an id', { requests: [{ ...one, id: 1 }] }, /requests\.0\.id/],
    ['with an id twice', { requests: [get('a', ACTIONS), get('A', ACTIONS)] }, /"A" stands twice/],
    ['without a method', { requests: [{ id: '1', url: ACTIONS }] }, /requests\.0\.method/],
    ['without a url', { requests: [{ id: '1', method: 'GET' }] }, /requests\.0\.url/],
    ['with headers that are no object', { requests: [{ ...one, headers: 'x' }] }, /requests\.0\.headers/],
    [
      'with a group',
      { requests: [{ ...one, atomicityGroup: 'g' }] },
      /atomicityGroup is not a known property/,
    ],
    ['with what is not known', { requests: [one], urgent: true }, /urgent is not a known property/],
    [
      'with a dependency that is no list',
      { requests: [{ ...one, dependsOn: '2' }] },
      /requests\.0\.dependsOn/,
    ],
    [
      'with a dependency on none of it',
      { requests: [{ ...one, dependsOn: ['2'] }] },
      /"2", which is not in the batch/,
    ],
    ['with a dependency on itself', { requests: [{ ...one, dependsOn: ['1'] }] }, /"1" depends on itself/],
    [
      'with a circle of dependencies',
      {
        requests: [
          get('1', ACTIONS, { dependsOn: ['3'] }),
          get('2', ACTIONS, { dependsOn: ['1'] }),
          get('3', ACTIONS, { dependsOn: ['2'] }),
        ],
      },
      /depends on itself, by way of others/,
    ],
    ['with a key twice', '{"requests":[],"requests":[]}', /twice/],
    ['with __proto__', '{"requests":[],"__proto__":{}}', /__proto__/],
  ];
  it.each(cases)('%s is a 400, and nothing of it is done', async (_what, body, message) => {
    const answer = await send(body);
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'invalidRequest' } } });
    expect(answer.body.error.message).toMatch(message);
    expect(answer.body.error.message.length).toBeLessThan(500);
  });

  it('is another failure where the batch itself is refused', async () => {
    const requests = { requests: [get('1', ACTIONS)] };
    const nobody = await stack.client({ roles: [] });
    expect((await send(requests, { as: nobody })).status).toBe(403);
    expect((await fetch(`${stack.baseUrl}/beta/$batch`, { method: 'POST' })).status).toBe(401);
    expect((await send(requests, { headers: { 'content-type': 'text/plain' } })).status).toBe(415);
    expect((await client.request('GET', '/beta/$batch')).headers.get('allow')).toBe('OPTIONS, POST');
  });
});

describe('a request of a batch that is wrong by itself', () => {
  const cases: [string, object, RegExp][] = [
    ['no method of HTTP', { method: 'FETCH', url: ACTIONS }, /"FETCH" is not a method/],
    [
      'an absolute url',
      { method: 'GET', url: `https://graph.microsoft.com/beta${ACTIONS}` },
      /relative to \/beta/,
    ],
    ['a url with a host', { method: 'GET', url: `//evil.test${ACTIONS}` }, /relative to \/beta/],
    ['a url that leads out', { method: 'GET', url: '/../api/v1/actions' }, /leads out/],
    ['one that does so in disguise', { method: 'GET', url: '/%2e%2E/api/v1/actions' }, /leads out/],
    ['a url with a line break', { method: 'GET', url: `${ACTIONS}\r\nx: y` }, /character/],
    ['a url with a fragment', { method: 'GET', url: `${ACTIONS}?$top=1#x` }, /character/],
    [
      'a batch',
      { method: 'POST', url: '/$batch', headers: JSON_TYPE, body: { requests: [] } },
      /part of a batch/,
    ],
    ['a body without its type', { method: 'POST', url: ACTIONS, body: {} }, /Content-Type/],
    [
      'a body that is a text',
      { method: 'POST', url: ACTIONS, headers: JSON_TYPE, body: 'e30' },
      /JSON object/,
    ],
    ['a header that is none', { method: 'GET', url: ACTIONS, headers: { 'a b': 'c' } }, /"a b" is not/],
    [
      'a header with a line break',
      { method: 'GET', url: ACTIONS, headers: { a: 'b\r\nc: d' } },
      /"a" is not/,
    ],
    ['a header that is no text', { method: 'GET', url: ACTIONS, headers: { a: 1 } }, /"a" is not/],
    [
      'an Authorization of its own',
      { method: 'GET', url: ACTIONS, headers: { authorization: 'Bearer x' } },
      /own Authorization/,
    ],
  ];
  it.each(cases)('%s is a 400 for it alone', async (_what, request, message) => {
    const [wrong, other] = await batch([{ id: '1', ...request }, get('2', ACTIONS)]);
    expect(wrong).toMatchObject({ id: '1', status: 400, body: { error: { code: 'invalidRequest' } } });
    expect(wrong?.body?.error.message).toMatch(message);
    expect(wrong?.body?.error.innerError['request-id']).toBe(wrong?.headers['request-id']);
    expect(other).toMatchObject({ id: '2', status: 200 });
  });

  it('is refused by its own route where that knows better', async () => {
    const answers = await batch([
      create('type', { headers: { 'content-type': 'text/plain' } }),
      create('body', {}, { name: 'BlockIp' }),
      get('path', '/beta/security/securityActions'),
      get('query', `${ACTIONS}?$top=0`),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([415, 400, 404, 400]);
  });
});

describe('dependencies within a batch', () => {
  it('are waited for, through a chain of twenty in any order', async () => {
    const chain = Array.from({ length: 20 }, (_, index) =>
      create(`S${index}`, index === 0 ? {} : { dependsOn: [`s${index - 1}`] }),
    );
    const answers = await batch(chain.toReversed());
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 201));
    const created = answers.toReversed().map(({ body }) => String(body?.['createdDateTime']));
    expect(created).toEqual(created.toSorted());
  });

  it("are understood as Microsoft's SDK for Python spells them", async () => {
    const answers = await batch([
      get('1', `${ACTIONS}/${NOBODY}`, { depends_on: [] }),
      create('2', { depends_on: ['1'] }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([404, 424]);
  });

  it('that failed fail what depends on them, and what depends on that, and nothing else', async () => {
    const tenant = randomUUID();
    const other = await stack.client({ tenant });
    const answers = await batch(
      [
        create('after', { dependsOn: ['fine', 'missing'] }),
        create('behind', { dependsOn: ['after'] }),
        get('missing', `${ACTIONS}/${NOBODY}`),
        get('fine', ACTIONS),
        create('beside', { dependsOn: ['fine'] }),
      ],
      { as: other },
    );
    expect(answers.map(({ status }) => status)).toEqual([424, 424, 404, 200, 201]);
    expect(answers[0]?.body?.error).toMatchObject({
      code: 'failedDependency',
      message: expect.stringContaining('"missing"') as string,
    });
    expect(answers[0]?.headers['Content-Type']).toMatch('application/json');
    const list = await other.request<{ value: readonly GraphAction[] }>('GET', `/beta${ACTIONS}`);
    expect(list.body.value.map(({ id }) => id)).toEqual([answers[4]?.body?.id]);
  });
});

describe('a request of a batch', () => {
  it('may have its $ encoded in the path, as the batch itself', async () => {
    const [answer] = await batch([get('1', `${ACTIONS}/%24count`)], { to: '/beta/%24batch' });
    expect(answer).toMatchObject({ status: 200, body: expect.stringMatching(/^\d+$/) as string });
  });

  it('is made by the caller of the batch', async () => {
    const reader = await stack.client({ roles: ['SecurityActions.Read.All'] });
    const answers = await batch(
      [
        get('1', ACTIONS),
        create('2'),
        get('3', ACTIONS, { headers: { Authorization: `Bearer ${reader.token}` } }),
      ],
      { as: reader },
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 403, 200]);
    const theirs = await client.act('BlockIp', { IP: '1.2.3.4' });
    expect((await alone(get('1', `${ACTIONS}/${theirs}`), { as: reader })).status).toBe(404);
    const listed = await batch([get('1', ACTIONS)]);
    expect(new Set(listed[0]?.body?.value.map((action) => action['azureTenantId'])).size).toBe(1);
  });

  it('has a request-id of its own, and the client-request-id it sent or that of the batch', async () => {
    const [ofBatch, own] = [randomUUID(), randomUUID()];
    const answers = await batch(
      [
        get('1', ACTIONS),
        get('2', ACTIONS, { headers: { 'Client-Request-Id': own } }),
        get('3', 'https://x.test', { headers: { 'Client-Request-Id': own } }),
        get('4', ACTIONS, { headers: { 'client-request-id': 'not a GUID' } }),
      ],
      { headers: { 'client-request-id': ofBatch } },
    );
    expect(answers.map(({ headers }) => headers['client-request-id'])).toEqual([
      ofBatch,
      own,
      own,
      undefined,
    ]);
    expect(new Set(answers.map(({ headers }) => headers['request-id'])).size).toBe(4);
  });

  it('is in the log with the batch it came in', async () => {
    const outer = await send({ requests: [get('1', ACTIONS), get('2', 'https://x.test')] });
    const { responses } = outer.body as unknown as { responses: readonly InnerAnswer[] };
    for (const { headers } of responses) {
      const line = () => stack.api.log.find(({ requestId }) => requestId === headers['request-id']);
      await eventually(() => line() !== undefined);
      expect(line()).toMatchObject({ batch: outer.headers.get('request-id') });
    }
    const own = () => stack.api.log.find(({ requestId }) => requestId === outer.headers.get('request-id'));
    await eventually(() => own() !== undefined);
    expect(own()).toMatchObject({ route: '/beta/$batch', status: 200 });
    expect(own()).not.toHaveProperty('batch');
  });

  it('cannot pretend to be of another size, form or connection', async () => {
    const headers = {
      ...JSON_TYPE,
      'Content-Length': '1',
      'Transfer-Encoding': 'chunked',
      'Content-Encoding': 'gzip',
      Connection: 'close',
      Expect: '100-continue',
      Host: 'evil.test',
      'X-Forwarded-Host': 'evil.test',
      'X-Forwarded-For': '127.0.0.1',
    };
    const answer = await alone(create('1', { headers }));
    expect(answer.status).toBe(201);
    expect(JSON.stringify(answer)).not.toContain('evil.test');
  });

  it('may carry annotations, which its route reads', async () => {
    const startBefore = new Date(Date.now() + 600_000).toISOString();
    const body = mockAction(
      'BlockIp',
      { IP: '1.2.3.4' },
      { '@odata.type': '#microsoft.graph.securityAction', '@riposte.startBefore': startBefore },
    );
    expect((await alone(create('1', { '@note': 'x' }, body))).status).toBe(201);
    const late = { ...body, '@riposte.startBefore': '2020-01-01T00:00:00Z' };
    expect((await alone(create('1', {}, late))).status).toBe(400);
  });
});

describe('answers that are very large together', () => {
  it('are no more than fit: what has not begun is a 429, and nothing of it is done', async () => {
    const owner = await stack.client({ tenant: randomUUID() });
    const large = mockAction('BlockIp', { IP: '1.2.3.4' }, { actionReason: 'é'.repeat(4096) });
    for (let round = 0; round < 3; round += 1) {
      await batch(
        Array.from({ length: 20 }, (_, index) => create(String(index), {}, large)),
        { as: owner },
      );
    }
    const lists = Array.from({ length: 19 }, (_, index) => get(String(index), ACTIONS));
    const answers = await batch([...lists, create('last', { dependsOn: ['18'] })], { as: owner });
    const statuses = answers.map(({ status }) => status);
    const shown = statuses.filter((status) => status === 200).length;
    // Nine have more than 4 MiB; five are under way at a time.
    expect(shown).toBeGreaterThanOrEqual(9);
    expect(shown).toBeLessThanOrEqual(13);
    expect(statuses).toEqual([
      ...Array.from({ length: shown }, () => 200),
      ...Array.from({ length: 19 - shown }, () => 429),
      424,
    ]);
    expect(answers[18]?.headers['Retry-After']).toBe('1');
    expect(answers[0]?.body?.value).toHaveLength(60);
  });
});

describe('a caller that goes away', () => {
  it('has no more begun of its batch', async () => {
    const gone = await stack.client({ tenant: randomUUID() });
    const leaving = new AbortController();
    const chain = Array.from({ length: 20 }, (_, index) =>
      create(`${index}`, index === 0 ? {} : { dependsOn: [`${index - 1}`] }),
    );
    const answer = fetch(`${stack.baseUrl}/beta/$batch`, {
      method: 'POST',
      headers: { ...JSON_TYPE, authorization: `Bearer ${gone.token}` },
      body: JSON.stringify({ requests: chain }),
      signal: leaving.signal,
    }).catch(() => 'left');
    const made = async () =>
      (await gone.request<{ value: readonly GraphAction[] }>('GET', `/beta${ACTIONS}`)).body.value.length;
    await eventually(async () => (await made()) > 0);
    leaving.abort();
    expect(await answer).toBe('left');
    // The last of the chain is among those that nobody waits for.
    await eventually(
      () =>
        stack.api.log.filter(({ msg, status }) => msg === 'request of a batch refused' && status === 503)
          .length > 0,
    );
    expect(await made()).toBeLessThan(20);
  });
});

describe("the Microsoft Graph client's batches", () => {
  it('are understood, and their answers by it', async () => {
    const { token } = client;
    const authProvider: AuthenticationProvider = { getAccessToken: () => Promise.resolve(token) };
    const graph = GraphClient.initWithMiddleware({
      baseUrl: stack.baseUrl,
      defaultVersion: 'beta',
      authProvider,
      customHosts: new Set(['127.0.0.1']),
    });
    const step = (
      id: string,
      path: string,
      init: RequestInit = {},
      dependsOn?: string[],
    ): BatchRequestStep => ({
      id,
      request: new Request(`${stack.baseUrl}${path}`, init),
      ...(dependsOn === undefined ? {} : { dependsOn }),
    });
    const post: RequestInit = {
      method: 'POST',
      headers: JSON_TYPE,
      body: JSON.stringify(mockAction('BlockIp', { IP: '1.2.3.4' })),
    };
    const content = new BatchRequestContent([
      step('1', ACTIONS, post),
      step('2', `${ACTIONS}?$top=1`, {}, ['1']),
      step('3', `${ACTIONS}/${NOBODY}`, {}, ['2']),
      step('4', ACTIONS, {}, ['3']),
    ]);
    const answer = new BatchResponseContent(
      (await graph.api('/$batch').post(await content.getContent())) as ConstructorParameters<
        typeof BatchResponseContent
      >[0],
    );
    const responses = [...answer.getResponses().values()];
    expect(responses.map(({ status }) => status)).toEqual([201, 200, 404, 424]);
    const made = (await answer.getResponseById('1').json()) as GraphAction;
    expect(made.status).toBe('NotStarted');
    const page = (await answer.getResponseById('2').json()) as { value: readonly GraphAction[] };
    expect(page.value[0]?.id).toBe(made.id);
    expect(((await answer.getResponseById('4').json()) as GraphError).error.code).toBe('failedDependency');
  });
});
