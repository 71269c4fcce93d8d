import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import {
  Client as GraphClient,
  PageIterator,
  type AuthenticationProvider,
  type PageCollection,
} from '@microsoft/microsoft-graph-client';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer, Client, GraphAction, GraphError } from '../support/client.js';
import { PROJECT_DIR } from '../support/project-dir.js';
import { Stack } from '../support/stack.js';
import { trustedCertificate, type TrustedCertificate } from '../support/tls.js';

/** Microsoft's own client, which follows the links here, speaks TLS only. */
const COLLECTION = '/beta/security/securityActions';

interface List {
  readonly '@odata.context': string;
  readonly '@odata.count'?: number;
  readonly '@odata.nextLink'?: string;
  readonly value: readonly GraphAction[];
}
type Options = Readonly<Record<string, string>>;

let stack: Stack;
let certificate: TrustedCertificate;
/** Of a tenant with five actions, told apart by their clientContext. */
let client: Client;
let ids: Readonly<Record<string, string>>;

beforeAll(async () => {
  certificate = await trustedCertificate();
  stack = await Stack.start({ tls: certificate });
  client = await stack.client({ tenant: randomUUID() });
  const made: Record<string, string> = {};
  const make = async (
    label: string,
    name: string,
    parameters: Record<string, string | number>,
    actionReason: string | null,
  ): Promise<void> => {
    made[label] = await client.act(name, parameters, { clientContext: label, actionReason });
  };
  await make('ip', 'BlockIp', { IP: '1.2.3.4' }, "It's urgent");
  await make('alias', 'block_ip', { address: '5.6.7.8' }, 'Ärger & 100%');
  await make('missing', 'FailAlways', { code: 404, message: 'no such machine' }, null);
  await make('broken', 'FailAlways', { code: 500, message: 'out of order' }, null);
  await make('long', 'LongRunning', { durationMs: 600_000 }, 'URGENT (again)');
  ids = made;
  await Promise.all(['ip', 'alias', 'missing', 'broken'].map((label) => client.ended(made[label] ?? '')));
  await client.inPhase(made['long'] ?? '', 'waitingOnVendor');
});
afterAll(async () => {
  await stack.stop();
  await certificate.distrust();
});

const queryOf = (options: Options): string =>
  Object.entries(options)
    .map(([name, text]) => `${name}=${encodeURIComponent(text)}`)
    .join('&');
const list = (options: Options, caller = client): Promise<Answer<List>> =>
  caller.request<List>('GET', `${COLLECTION}?${queryOf(options)}`);
const labels = ({ value }: List): unknown[] => value.map(({ clientContext }) => clientContext);
const refused = async (url: string, caller = client): Promise<string> => {
  const answer = await caller.request<GraphError>('GET', url);
  expect({ url, status: answer.status, code: answer.body.error?.code }).toEqual({
    url,
    status: 400,
    code: 'invalidRequest',
  });
  return answer.body.error.message;
};
const refusedList = (options: Options, caller = client): Promise<string> =>
  refused(`${COLLECTION}?${queryOf(options)}`, caller);

/** Follows every nextLink as it is. */
async function pages(options: Options, caller = client, between?: () => Promise<unknown>): Promise<List[]> {
  const found: List[] = [];
  let url: string | undefined = `${COLLECTION}?${queryOf(options)}`;
  while (url !== undefined) {
    const answer: Answer<List> = await caller.request<List>('GET', url);
    expect({ url, status: answer.status }).toEqual({ url, status: 200 });
    found.push(answer.body);
    expect(found.length).toBeLessThan(20);
    url = answer.body['@odata.nextLink']?.slice(stack.baseUrl.length);
    await between?.();
  }
  return found;
}

describe('$filter', () => {
  const all = ['ip', 'alias', 'missing', 'broken', 'long'];
  it.each([
    ["status eq 'Completed'", ['ip', 'alias']],
    ["status eq microsoft.graph.operationStatus'Running'", ['long']],
    ["'Completed' le status", ['ip', 'alias', 'missing', 'broken']],
    ["status in ('Running','Failed')", ['missing', 'broken', 'long']],
    ["startswith(name,'Block')", ['ip']],
    ["startswith(tolower(name),'block')", ['ip', 'alias']],
    ["contains(tolower(actionReason),'urgent')", ['ip', 'long']],
    ["actionReason eq 'It''s urgent'", ['ip']],
    ["actionReason eq 'Ärger & 100%'", ['alias']],
    ["actionReason ne 'It''s urgent'", ['alias', 'missing', 'broken', 'long']],
    ['actionReason eq null', ['missing', 'broken']],
    ['errorInfo eq null', ['ip', 'alias', 'long']],
    ['errorInfo ne null and errorInfo/code ge 500', ['broken']],
    ['errorInfo/code lt 500', ['missing']],
    ["vendorInformation/provider eq 'Mock' and not (status eq 'Failed')", ['ip', 'alias', 'long']],
    ["parameters/any(p:p/name eq 'IP' and p/value eq '1.2.3.4')", ['ip']],
    ["parameters/any(p:p/name eq 'IP' and p/value eq '5.6.7.8')", []],
    ["parameters/any(p:contains(p/value,'.'))", ['ip', 'alias']],
    ["states/any(s:s/status eq 'Running')", all],
    ["states/all(s:s/status ne 'Failed')", ['ip', 'alias', 'long']],
    ['completedDateTime eq null or errorInfo/code eq 404', ['missing', 'long']],
    ['createdDateTime gt 2026-01-01T00:00:00+01:00', all],
    ['createdDateTime lt 2020-01-01T00:00:00.123456789012Z', []],
    ["id eq 'no guid'", []],
  ])('%s', async (filter, expected) => {
    const { status, body } = await list({ $filter: filter, $orderby: 'createdDateTime' });
    expect({ status, labels: labels(body) }).toEqual({ status: 200, labels: expected });
  });

  it('finds an action by its id, in any case', async () => {
    for (const id of [`'${ids['ip']}'`, `'${ids['ip']?.toUpperCase()}'`, String(ids['ip'])])
      expect(labels((await list({ $filter: `id eq ${id}` })).body)).toEqual(['ip']);
  });

  it('is taken as docs/api.md shows it', async () => {
    const text = await readFile(path.join(PROJECT_DIR, 'docs/api.md'), 'utf8');
    const shown = /### Filters\n\n```\n([^`]*)```/.exec(text)?.[1]?.trim().split('\n') ?? [];
    expect(shown.length).toBeGreaterThan(3);
    for (const filter of shown)
      expect({ filter, status: (await list({ $filter: filter })).status }).toEqual({ filter, status: 200 });
  });

  it('that is wrong is refused: where, what was expected, what was found', async () => {
    expect(await refusedList({ $filter: "status eq 'Cancelled'" })).toBe(
      "$filter is not valid at position 11: expected one of 'NotStarted', 'Running', 'Completed', 'Failed', found \"'Cancelled'\".",
    );
    expect(await refusedList({ $filter: 'colour eq 1' })).toMatch(
      /^\$filter is not valid at position 1: expected a property: id, actionReason, .*vendorInformation, found "colour"\.$/,
    );
    expect(await refusedList({ $filter: '(('.repeat(600) })).toContain('at most 8 levels of nesting');
  });
});

describe('$orderby', () => {
  it.each([
    ['createdDateTime', ['ip', 'alias', 'missing', 'broken', 'long']],
    ['createdDateTime desc', ['long', 'broken', 'missing', 'alias', 'ip']],
    ['errorInfo/code desc,clientContext', ['broken', 'missing', 'alias', 'ip', 'long']],
    ['status desc,clientContext desc', ['missing', 'broken', 'ip', 'alias', 'long']],
    ['name,clientContext', ['ip', 'broken', 'missing', 'long', 'alias']],
  ])('%s, page by page as at once', async (orderby, expected) => {
    expect(labels((await list({ $orderby: orderby })).body)).toEqual(expected);
    for (const top of ['1', '2'])
      expect((await pages({ $orderby: orderby, $top: top })).flatMap(labels)).toEqual(expected);
  });

  it('is the newest first where it is not given', async () => {
    expect(labels((await list({})).body)).toEqual(['long', 'broken', 'missing', 'alias', 'ip']);
  });

  it('by something that is not there is refused', async () => {
    expect(await refusedList({ $orderby: 'name,colour desc' })).toMatch(
      /^\$orderby is not valid at position 6: expected a property: id, .*, found "colour"\.$/,
    );
  });

  it('by a text too long for an address is followed like any other', async () => {
    const owner = await stack.client({ tenant: randomUUID() });
    const reason = 'é'.repeat(4000);
    for (const label of ['c', 'a', 'b'])
      await owner.act('BlockIp', { IP: '1.2.3.4' }, { actionReason: reason + label, clientContext: label });
    const found = await pages({ $orderby: 'actionReason', $top: '1' }, owner);
    expect(found.flatMap(labels)).toEqual(['a', 'b', 'c']);
    for (const page of found) expect(page['@odata.nextLink']?.length ?? 0).toBeLessThan(1000);
    const link = found[0]?.['@odata.nextLink']?.slice(stack.baseUrl.length) ?? '';
    expect(await refused(link, client)).toMatch(
      /^The action that the page before ended with is gone\. Begin/,
    );
  });
});

describe('$select', () => {
  it('shows what is asked for and nothing else, on lists and on one action', async () => {
    const options = { $select: 'id,status,vendorInformation/provider,parameters/name' };
    const shown = {
      id: ids['ip'],
      status: 'Completed',
      vendorInformation: { provider: 'Mock' },
      parameters: [{ name: 'IP' }],
    };
    const context = (base: string): string =>
      `${stack.baseUrl}/${base}/$metadata#security/securityActions(id,status,vendorInformation/provider,parameters/name)`;
    const { body } = await list({ ...options, $filter: "clientContext eq 'ip'" });
    expect(body).toEqual({ '@odata.context': context('beta'), value: [shown] });
    for (const base of ['beta', 'v1.0']) {
      const item = await client.request(
        'GET',
        `/${base}/security/securityActions/${ids['ip']}?${queryOf(options)}`,
      );
      expect(item.body).toEqual({ '@odata.context': `${context(base)}/$entity`, ...shown });
    }
  });

  it('* shows everything', async () => {
    const { body } = await client.request<GraphAction>('GET', `${COLLECTION}/${ids['ip']}?$select=*`);
    expect(Object.keys(body)).toHaveLength(16);
  });

  it('of what is not there is refused', async () => {
    expect(await refused(`${COLLECTION}/${ids['ip']}?$select=colour`)).toMatch(/^\$select is not valid at/);
    expect(await refusedList({ $select: 'phase' })).toMatch(/found "phase"\.$/);
  });
});

describe('$search', () => {
  it.each([
    ['urgent', ['ip', 'long']],
    ['URGENT NOT again', ['ip']],
    ['"5.6.7"', ['alias']],
    ['1.2.3.4 OR longrunning', ['ip', 'long']],
    ['mock (missing OR broken)', ['missing', 'broken']],
    ['machine', ['missing']],
    ['nowhere', []],
  ])('%s', async (search, expected) => {
    const { body } = await list({ $search: search, $orderby: 'createdDateTime' });
    expect(labels(body)).toEqual(expected);
  });

  it('narrows a filter', async () => {
    expect(labels((await list({ $search: 'urgent', $filter: "status eq 'Running'" })).body)).toEqual([
      'long',
    ]);
  });

  it('that is wrong is refused', async () => {
    expect(await refusedList({ $search: 'a OR' })).toBe(
      '$search is not valid at position 5: expected a word or a phrase, found the end.',
    );
  });
});

describe('$count', () => {
  it('says on every page how many there are in all', async () => {
    const found = await pages({ $count: 'true', $top: '2', $skip: '1', $filter: "status ne 'Running'" });
    expect(found.map((page) => page['@odata.count'])).toEqual([4, 4]);
    expect(found.map(({ value }) => value.length)).toEqual([2, 1]);
  });

  it.each([{}, { $count: 'false' }])('is not there with %o', async (options) => {
    expect((await list(options)).body).not.toHaveProperty('@odata.count');
  });

  it('is a resource of its own: a number as text', async () => {
    for (const base of ['beta', 'v1.0']) {
      const answer = await client.request('GET', `/${base}/security/securityActions/$count`);
      expect(answer).toMatchObject({ status: 200, body: '5' });
      expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    }
    const count = async (options: Options): Promise<unknown> =>
      (await client.request('GET', `${COLLECTION}/$count?${queryOf(options)}`)).body;
    expect(await count({ $filter: "status eq 'Failed'" })).toBe('2');
    expect(await count({ filter: "status eq 'Failed'", $search: 'machine' })).toBe('1');
    expect(await count({ $filter: "id eq 'none'" })).toBe('0');
    for (const segment of ['%24count', '%24count/', '%24count?$filter=true'])
      expect((await client.request('GET', `${COLLECTION}/${segment}`)).body).toBe('5');
  });

  it('answers what is wrong by a 400 in JSON', async () => {
    expect(await refused(`${COLLECTION}/$count?$filter=x`)).toMatch(/^\$filter is not valid/);
    expect(await refused(`${COLLECTION}/$count?$top=1`)).toMatch(/"\$top" is not supported here/);
    expect(await refusedList({ $count: 'yes' })).toBe('$count has to be true or false; it is "yes".');
  });
});

describe('$top and $skip', () => {
  it('leave out what was skipped once, not on every page', async () => {
    const found = await pages({ $top: '1', $skip: '2', $orderby: 'createdDateTime' });
    expect(found.flatMap(labels)).toEqual(['missing', 'broken', 'long']);
  });

  it('beyond the end is an empty page, the last', async () => {
    expect(await pages({ $skip: '5' })).toMatchObject([{ value: [] }]);
  });

  /** A client of a new tenant that has so many copies of an action. */
  async function tenantWith(count: number, changes: object = {}): Promise<Client> {
    const tenantId = randomUUID();
    const connection = await mongoose.createConnection(stack.mongodbUri).asPromise();
    try {
      const actions = connection.collection('actions');
      const ended = await actions.findOne({ status: 'Completed' });
      const copies = Array.from({ length: count }, () => ({
        ...ended,
        ...changes,
        _id: new mongoose.mongo.UUID() as unknown as mongoose.mongo.ObjectId,
        tenantId,
      }));
      await actions.insertMany(copies);
    } finally {
      await connection.close();
    }
    return stack.client({ tenant: tenantId });
  }

  it('of more than 1,000 is served as 1,000 with a nextLink', async () => {
    const found = await pages({ $top: '5000', $select: 'id' }, await tenantWith(1003));
    expect(found.map(({ value }) => value.length)).toEqual([1000, 3]);
    expect(new Set(found.flatMap(({ value }) => value.map(({ id }) => id))).size).toBe(1003);
  });

  it('of large actions is served as what fits into 2 MiB with a nextLink, on the native list, too', async () => {
    const large = await tenantWith(100, { parameters: [{ name: 'IP', value: 'x'.repeat(60_000) }] });
    for (const options of [{}, { $orderby: 'status' }]) {
      const found = await pages({ $top: '1000', $select: 'id', ...options }, large);
      expect(found.map(({ value }) => value.length)).toEqual([34, 34, 32]);
      expect(new Set(found.flatMap(({ value }) => value.map(({ id }) => id))).size).toBe(100);
    }
    const native = await large.request<{ value: unknown[]; nextLink: string }>(
      'GET',
      '/api/v1/actions?top=1000',
    );
    expect(native.body.value).toHaveLength(34);
    const next = await large.request<{ value: unknown[] }>(
      'GET',
      native.body.nextLink.slice(stack.baseUrl.length),
    );
    expect(next.body.value).toHaveLength(34);
  });

  it.each([
    ['$top=0', /^\$top has to be a whole number from 1/],
    ['$top=-1', /^\$top/],
    ['$top=1.5', /^\$top/],
    ['$skip=-1', /^\$skip has to be a whole number from 0/],
    ['$skip=x', /^\$skip/],
    ['$skip=100000', /^\$skip/],
  ])('%s is refused', async (query, message) => {
    expect(await refused(`${COLLECTION}?${query}`)).toMatch(message);
  });
});

describe('the nextLink', () => {
  const options = {
    $filter: "contains(actionReason,'&') or startswith(name,'Fail') or actionReason eq 'It''s urgent'",
    $orderby: 'status desc, clientContext desc',
    $select: 'id, clientContext',
    $search: '"Mock" NOT "+=&%"',
    $count: 'true',
    $top: '2',
  };

  it('keeps every option, so that it is followed as it is', async () => {
    const found = await pages(options);
    expect(found.map(labels)).toEqual([
      ['missing', 'broken'],
      ['ip', 'alias'],
    ]);
    for (const page of found) {
      expect(page['@odata.count']).toBe(4);
      expect(Object.keys(page.value[0] ?? {})).toEqual(['id', 'clientContext']);
    }
    const link = new URL(found[0]?.['@odata.nextLink'] ?? '');
    expect(link.href).toMatch(new RegExp(`^${stack.baseUrl}${COLLECTION}\\?\\$filter=`));
    const { $skiptoken, ...kept } = Object.fromEntries(link.searchParams);
    expect(kept).toEqual(options);
    expect($skiptoken).toMatch(/^[\w-]+$/);
  });

  it('spells options with a $ that were given without, in any case', async () => {
    const { body } = await list({ FILTER: "status ne 'Running'", orderBy: 'clientContext', $Top: '1' });
    const link = new URL(body['@odata.nextLink'] ?? '');
    expect([...link.searchParams.keys()]).toEqual(['$filter', '$orderby', '$top', '$skiptoken']);
    expect(labels((await list(Object.fromEntries(link.searchParams))).body)).toEqual(['broken']);
  });

  it('stays under /v1.0', async () => {
    const { body } = await client.request<List>('GET', '/v1.0/security/securityActions?$top=1');
    expect(body['@odata.nextLink']).toMatch(new RegExp(`^${stack.baseUrl}/v1.0/security/`));
  });

  it("is followed by Microsoft's own client", async () => {
    const authProvider: AuthenticationProvider = { getAccessToken: () => Promise.resolve(client.token) };
    const graph = GraphClient.initWithMiddleware({
      baseUrl: stack.baseUrl,
      defaultVersion: 'beta',
      authProvider,
      customHosts: new Set(['127.0.0.1']),
    });
    const first = (await graph
      .api('/security/securityActions')
      // It sends an option's text as it is given.
      .filter(encodeURIComponent(options.$filter))
      .orderby(options.$orderby)
      .select(options.$select)
      .search(encodeURIComponent(options.$search))
      .count(true)
      .top(1)
      .get()) as PageCollection;
    const seen: unknown[] = [];
    await new PageIterator(
      graph,
      first,
      (item: GraphAction) => seen.push(item['clientContext']) > 0,
    ).iterate();
    expect(seen).toEqual(['missing', 'broken', 'ip', 'alias']);
    expect(await graph.api('/security/securityActions/$count').filter("status eq 'Failed'").get()).toBe('2');
  });

  it('that would be too long to be asked for is refused at once', async () => {
    const spaces = '+'.repeat(1500);
    const url = `${COLLECTION}?$filter=name+ne+'x'${spaces}`;
    expect((await client.request('GET', url)).status).toBe(200);
    expect(await refused(`${url}&$top=1`)).toMatch(/^The address of the next page would be longer than 4096/);
  });

  it.each([{}, { $orderby: 'createdDateTime' }, { $orderby: 'clientContext desc' }])(
    'shows every action once although others are added meanwhile: %o',
    async (order) => {
      const owner = await stack.client({ tenant: randomUUID() });
      const before: string[] = [];
      for (const label of ['b', 'd', 'f'])
        before.push(await owner.act('BlockIp', { IP: '1.2.3.4' }, { clientContext: label }));
      let added = 0;
      const found = await pages({ ...order, $top: '1' }, owner, async () => {
        if ((added += 1) <= 3)
          await owner.act('BlockIp', { IP: '1.2.3.4' }, { clientContext: 'aceg'[added] ?? '' });
      });
      const seen = found.flatMap(({ value }) => value.map(({ id }) => id));
      expect(new Set(seen).size).toBe(seen.length);
      expect(before.every((id) => seen.includes(id))).toBe(true);
    },
  );
});

describe('a $skiptoken', () => {
  const base = { $filter: "status ne 'Running'", $orderby: 'clientContext', $search: 'mock' };
  const tokenOf = async (options: Options, caller = client): Promise<string> => {
    const { body } = await list({ ...options, $top: '1' }, caller);
    return new URL(body['@odata.nextLink'] ?? '').searchParams.get('$skiptoken') ?? '';
  };
  const message = /^\$skiptoken is not one of ours for this list: follow @odata.nextLink as it is/;

  it('goes on behind the page, also with another page size and selection', async () => {
    const $skiptoken = await tokenOf(base);
    const { body } = await list({ ...base, $skiptoken, $top: '9', $select: 'clientContext' });
    expect(labels(body)).toEqual(['broken', 'ip', 'missing']);
  });

  it('with another filter, order or search is refused', async () => {
    const $skiptoken = await tokenOf(base);
    for (const other of [
      { ...base, $filter: "status ne 'Failed'" },
      { ...base, $orderby: 'clientContext desc' },
      { ...base, $search: 'block' },
      { $filter: base.$filter, $orderby: base.$orderby },
      { $orderby: base.$orderby, $search: base.$search },
      {},
    ])
      expect(await refusedList({ ...other, $skiptoken })).toMatch(message);
    expect(await refusedList({ ...base, $skiptoken, $skip: '1' })).toMatch(/^\$skip cannot be given with/);
  });

  it('that was changed anywhere, or made by somebody else, is refused', async () => {
    const token = await tokenOf({});
    const last = token.length - 1;
    const changed = [0, 10, 43, 50, last].map((at) => {
      const other = token[at] === 'A' ? 'B' : 'A';
      return token.slice(0, at) + other + token.slice(at + 1);
    });
    // The bits of the last character that are no longer part of a byte, and what else reads as the same bytes.
    const sameBytes = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
      .split('')
      .map((letter) => token.slice(0, last) + letter)
      .filter((one) => one !== token);
    const payload = Buffer.from(JSON.stringify([randomUUID(), { ms: 0 }]));
    const forged = Buffer.concat([createHmac('sha256', randomBytes(32)).update(payload).digest(), payload]);
    const cut = [token.slice(0, -4), token.slice(0, 43), '', 'x', 'zzz'];
    const longer = [`${token}=`, `${token} `, `${token}AAAA`];
    const unsigned = [forged.toString('base64url'), payload.toString('base64url')];
    for (const one of [...changed, ...sameBytes, ...cut, ...longer, ...unsigned])
      expect(await refusedList({ $skiptoken: one })).toMatch(message);
  });

  it("shows another tenant only that tenant's own", async () => {
    const stranger = await stack.client({ tenant: randomUUID() });
    const own = await stranger.act('BlockIp', { IP: '9.9.9.9' });
    const { body } = await list(
      { $orderby: 'name', $skiptoken: await tokenOf({ $orderby: 'name' }) },
      stranger,
    );
    expect(body.value.every(({ id }) => id === own)).toBe(true);
    const ascending = { $orderby: 'createdDateTime' };
    const later = await list({ ...ascending, $skiptoken: await tokenOf(ascending) }, stranger);
    expect(later.body.value.map(({ id }) => id)).toEqual([own]);
  });

  it('of the native list is another, and signed as well', async () => {
    const { body } = await client.request<{ nextLink: string }>('GET', '/api/v1/actions?top=2');
    const token = new URL(body.nextLink).searchParams.get('skiptoken') ?? '';
    expect(await refusedList({ $skiptoken: token })).toMatch(message);
    const native = (query: string): Promise<Answer<GraphError & { value: readonly GraphAction[] }>> =>
      client.request('GET', `/api/v1/actions?${query}`);
    expect((await native(`skiptoken=${token}`)).body.value).toHaveLength(3);
    for (const query of [
      `skiptoken=${await tokenOf({})}`,
      `skiptoken=A${token.slice(1)}`,
      `phase=done&skiptoken=${token}`,
      `unresolved=true&skiptoken=${token}`,
    ])
      expect(await refused(`/api/v1/actions?${query}`)).toMatch(/^skiptoken is not one of ours/);
  });
});

describe('the OpenAPI document', () => {
  it.each([
    ['', '$filter $search $orderby $select $top $skip $count $skiptoken $format'],
    ['/$count', '$filter $search'],
    ['/{id}', 'id If-None-Match $select $format'],
  ])('names every option of securityActions%s', async (suffix, names) => {
    const { body } = await client.request<{
      readonly paths: Readonly<
        Record<string, { readonly get: { readonly parameters: readonly { name: string }[] } }>
      >;
    }>('GET', '/openapi.json');
    for (const base of ['/beta', '/v1.0']) {
      const { parameters } = body.paths[`${base}/security/securityActions${suffix}`]?.get ?? {
        parameters: [],
      };
      expect(parameters.map(({ name }) => name).toSorted()).toEqual(names.split(' ').toSorted());
    }
  });
});

describe('an option that is not offered, or is written in another way', () => {
  it.each([
    ['$expand=states', /nothing to expand/],
    ['expand=*', /nothing to expand/],
    ['$apply=aggregate($count)', /"\$apply" is not supported/],
    ['$compute=1', /is not supported/],
    ['$format=xml', /^\$format can only be json/],
    ['$format=atom', /^\$format can only be json/],
    ['$nope=1', /"\$nope" is not supported here; supported: \$filter, \$search, /],
    ['$filter=true&$filter=true', /given twice/],
    ['$filter=true&filter=true', /given twice/],
    ['$filter=true&$FILTER=true', /given twice/],
    ['x=1&x=2', /given twice/],
    ['$filter=', /at position 1: expected a condition/],
    ['$orderby=', /at position 1/],
    ['$select=', /at position 1/],
    ['$search=', /at position 1/],
    // What other query parsers make objects and operators of
    ['$filter[$ne]=', /is not supported/],
    ['filter[$gt]=', /is not supported/],
    ['filter[]=true', /is not supported/],
    ['filter.$ne=x', /is not supported/],
    ['$filter[status]=Failed', /is not supported/],
    ['$where=sleep(1000)', /is not supported/],
    ['$top[$gt]=1', /is not supported/],
    ['$skiptoken[$ne]=1', /is not supported/],
    ['@p=1', /is not supported/],
    // Written wrong, rather than a caller's own.
    ['%2524filter=false', /is not supported/],
    ['$top=1&amp;$filter=false', /"amp;\$filter" is not supported/],
    ['$top=1&%20$filter=false', /is not supported/],
    ['$filter={"$ne":null}', /at position 1/],
    ["$filter=name eq {'$ne':null}", /at position 9/],
    ['$filter=status eq @p', /at position 11/],
    ['$filter=%00', /at position 1/],
    ["$filter=name eq 'x'; return true", /at position 12/],
    ["$filter=name eq 'x' || true", /at position 13/],
    ['$orderby=$natural', /at position 1/],
    ['$orderby=tenantId', /at position 1/],
    ['$select=__proto__', /at position 1/],
  ])('%s is a 400 that says so', async (query, message) => {
    expect(await refused(`${COLLECTION}?${encodeURI(decodeURI(query))}`)).toMatch(message);
  });

  it.each(['status=Failed', 'api-version=1', '__proto__[x]=1', 'constructor=1', 'status[$ne]=Failed'])(
    "%s, a caller's own, changes nothing",
    async (query) => {
      expect((await client.request<List>('GET', `${COLLECTION}?${query}`)).body.value).toHaveLength(5);
    },
  );

  it.each(['$format=json', 'format=application/json'])('%s is what is sent anyway', async (query) => {
    expect((await client.request<List>('GET', `${COLLECTION}?${query}`)).body.value).toHaveLength(5);
  });

  it('is refused on one action as well', async () => {
    for (const query of ['$expand=states', '$filter=true', '$top=1', '$select=id&select=id', '$nope=1'])
      await refused(`${COLLECTION}/${ids['ip']}?${query}`);
  });

  it('never reaches the database as an operator', async () => {
    const value = "$where'']{$gt:''}";
    expect((await list({ $filter: `name eq '${value}' or contains(name,'${value}')` })).body.value).toEqual(
      [],
    );
    expect((await list({ $filter: "contains(name,'.*') or startswith(name,'^')" })).body.value).toEqual([]);
  });
});
