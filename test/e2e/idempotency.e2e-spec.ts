import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '#embedded-servers';
import { API_COMMAND } from '../deploy/start-commands.js';
import { startMockVendor, type RunningVendor } from '../simulators/mock-vendor/start.js';
import { Client, mockAction, type Answer, type GraphAction, type GraphError } from '../support/client.js';
import { TENANT_B } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { ProductProcess } from '../support/product-process.js';
import { Stack } from '../support/stack.js';

/** Two API processes, a worker, and a vendor whose ledger says what really happened. */

const COLLECTION = '/beta/security/securityActions';
const JSON_TYPE = { 'content-type': 'application/json' };

let vendor: RunningVendor;
let stack: Stack;
let second: ProductProcess;
let client: Client;
let apis: readonly Client[];
let addresses = 0;

beforeAll(async () => {
  vendor = await startMockVendor('none');
  stack = await Stack.start({
    config: `providers: [{ id: mock, plugin: mock, network: { allow: ['127.0.0.0/8'] }, settings: { mode: none, baseUrl: '${vendor.baseUrl}' } }]\n`,
  });
  const port = await freePort();
  second = new ProductProcess(API_COMMAND, {
    ...stack.env,
    PORT: String(port),
    PUBLIC_URL: stack.baseUrl,
  });
  await second.ready();
  client = await stack.client();
  apis = [client, new Client(`http://127.0.0.1:${port}`, client.token)];
});
afterAll(async () => {
  await second.end();
  await stack.stop();
  await vendor.stop();
});

/** A body whose target no other test has. */
function body(): object {
  addresses += 1;
  return mockAction('BlockIp', { IP: `10.77.0.${addresses}` });
}

type Created = Answer<GraphAction & GraphError>;

function create(key: string, sent: object, by: Client = client): Promise<Created> {
  const headers = { ...JSON_TYPE, 'idempotency-key': key };
  return by.request('POST', COLLECTION, { body: JSON.stringify(sent), headers });
}

const effects = (id: string): number =>
  vendor.ledger().filter((entry) => entry.event === 'executed' && entry.key === id).length;
const replayed = ({ headers }: Answer): boolean => headers.get('idempotency-replayed') === 'true';

describe('creating with an idempotency key', () => {
  it('is one action and one effect, although 20 requests come at once to both processes', async () => {
    const key = randomUUID();
    const sent = body();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_none, index) => create(key, sent, apis[index % 2])),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201));
    expect(new Set(answers.map((answer) => JSON.stringify(answer.body))).size).toBe(1);
    expect(answers.filter((answer) => !replayed(answer))).toHaveLength(1);
    const [{ body: action }] = answers as [Created];
    const ended = await client.ended(action.id);
    expect(ended).toMatchObject({ status: 'Completed', attempts: [{ number: 1 }] });
    const executed = vendor
      .ledger()
      .filter((entry) => entry.event === 'executed' && entry.target.includes(`10.77.0.${addresses}`));
    expect(executed.map((entry) => ('key' in entry ? entry.key : ''))).toEqual([action.id]);
  });

  it('answers a repeat as the first time, by either process, although the action has ended since', async () => {
    const key = randomUUID();
    const sent = body();
    const first = await create(key, sent);
    expect(first).toMatchObject({ status: 201, body: { status: 'NotStarted' } });
    expect(replayed(first)).toBe(false);
    expect((await client.ended(first.body.id)).status).toBe('Completed');
    for (const api of apis) {
      const again = await create(key, sent, api);
      expect(again.status).toBe(201);
      expect(again.body).toEqual(first.body);
      expect(again.headers.get('location')).toBe(first.headers.get('location'));
      expect(replayed(again)).toBe(true);
    }
    expect(effects(first.body.id)).toBe(1);
  });

  it('refuses the key with another body, and leaves the action alone', async () => {
    const key = randomUUID();
    const sent = body();
    const first = await create(key, sent);
    const other = await create(key, body());
    expect({ status: other.status, code: other.body.error.code }).toEqual({
      status: 422,
      code: 'idempotencyKeyReused',
    });
    expect(other.body.error.message).toContain(first.body.id);
    expect((await create(key, sent)).body).toEqual(first.body);
  });

  it('takes no notice of the order of properties, of annotations and of read-only properties', async () => {
    const key = randomUUID();
    const sent = body();
    const first = await create(key, sent);
    const reversed = Object.fromEntries(Object.entries(sent).toReversed());
    const more = {
      ...reversed,
      id: randomUUID(),
      status: 'Failed',
      '@odata.type': '#x',
      clientContext: null,
    };
    expect(await create(key, more)).toMatchObject({ status: 201, body: { id: first.body.id } });
  });

  it('gives each tenant and each application keys of its own', async () => {
    const key = randomUUID();
    const sent = body();
    const others = await Promise.all([
      stack.client({ tenant: TENANT_B }),
      stack.client({ app: '33333333-3333-4333-8333-333333333333' }),
    ]);
    const answers = [await create(key, sent)];
    for (const other of others) answers.push(await create(key, sent, other));
    expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(3);
    expect(answers.map(replayed)).toEqual([false, false, false]);
  });

  it('is completed by the repeat, under the same id, when the first request died after reserving', async () => {
    const key = randomUUID();
    const sent = body();
    const first = await create(key, sent);
    await client.ended(first.body.id);
    // The state such a death leaves: the key is on record, its action is not.
    const connection = await mongoose.createConnection(stack.mongodbUri).asPromise();
    const actions = connection.getClient().db(connection.name).collection('actions');
    const id = new mongoose.mongo.UUID(first.body.id) as never;
    expect((await actions.deleteOne({ _id: id })).deletedCount).toBe(1);
    await connection.close();
    const again = await create(key, sent, apis[1]);
    expect(again).toMatchObject({ status: 201, body: { id: first.body.id, status: 'NotStarted' } });
    expect((await client.ended(first.body.id)).status).not.toBe('NotStarted');
  });

  it('uses up no key with a request that is refused', async () => {
    const key = randomUUID();
    expect((await create(key, mockAction('BlockIp', { IP: 'nowhere' }))).status).toBe(400);
    expect((await create(key, mockAction('NoSuchAction'))).status).toBe(400);
    const answer = await create(key, body());
    expect(answer.status).toBe(201);
    expect(replayed(answer)).toBe(false);
  });

  it('logs a repeat, and the key nowhere', async () => {
    const key = `key-${randomUUID()}`;
    const sent = body();
    const { id } = (await create(key, sent)).body;
    await create(key, sent);
    const told = (): unknown[] =>
      stack.api.log.filter(({ actionId }) => actionId === id).map(({ msg }) => msg);
    // What a process prints arrives after its answer.
    await eventually(() => told().includes('create repeated'));
    expect(told()).toEqual(['action submitted', 'create repeated']);
    expect(stack.api.output).not.toContain(key);
  });
});

describe('an idempotency key', () => {
  it.each([
    ['empty', ''],
    ['empty in quotes', '""'],
    ['of 256 characters', 'k'.repeat(256)],
    ['with a letter that is not ASCII', 'schl\u00fcssel'],
    ['with a tab', 'a\tb'],
    ['with an open quote', '"abc'],
    ['with something behind the quotes', '"abc";v=1'],
    ['with an escape that is none', '"a\\bc"'],
  ])('%s is a 400 that names the header', async (_what, key) => {
    const answer = await create(key, body());
    expect({ status: answer.status, code: answer.body.error?.code }).toEqual({
      status: 400,
      code: 'invalidRequest',
    });
    expect(answer.body.error.message).toMatch(/^Idempotency-Key /);
  });

  it('given twice is a 400', async () => {
    const twice = ['idempotency-key', 'a', 'Idempotency-Key', 'a'];
    const answer = await request(`${client.baseUrl}${COLLECTION}`, {
      method: 'POST',
      headers: Object.entries(JSON_TYPE)
        .flat()
        .concat('authorization', `Bearer ${client.token}`, ...twice),
      body: JSON.stringify(body()),
    });
    expect({ status: answer.statusCode, text: await answer.body.text() }).toEqual({
      status: 400,
      text: expect.stringContaining('given twice') as string,
    });
  });

  it.each([
    ['of 255 characters', 'k'.repeat(255), 'k'.repeat(255)],
    ['with a comma and spaces', 'a, b c', 'a, b c'],
    ['in quotes is the same as without', '"8e03978e-40d5"', '8e03978e-40d5'],
    ['in quotes with escapes is what they stand for', '"a \\"b\\" \\\\"', 'a "b" \\'],
  ])('%s', async (_what, one, other) => {
    const sent = body();
    const first = await create(one, sent);
    expect(first.status).toBe(201);
    expect((await create(other, sent)).body.id).toBe(first.body.id);
  });

  it('is ignored by other requests', async () => {
    const { id } = (await create(randomUUID(), body())).body;
    const headers = { 'idempotency-key': '' };
    expect((await client.request('GET', `${COLLECTION}/${id}`, { headers })).status).toBe(200);
    await client.ended(id);
    const cancelled = await client.request('POST', `${COLLECTION}/${id}/cancelSecurityAction`, { headers });
    expect(cancelled.status).toBe(409);
  });
});
