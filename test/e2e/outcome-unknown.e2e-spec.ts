import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client, type Answer, type GraphError, type NativeAction } from '../support/client.js';
import { APP, TENANT_B } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';
import { startMockVendor, type RunningVendor } from '../simulators/mock-vendor/start.js';

/** A vendor that nobody can ask, and that carries out every request without ever answering. */

interface ResolvableAction extends NativeAction {
  readonly unresolved: boolean;
  readonly resolution: {
    readonly by: { readonly appId: string; readonly user: string | null };
    readonly at: string;
    readonly verdict: string;
    readonly note: string;
  } | null;
}
interface Page {
  readonly value: readonly ResolvableAction[];
  readonly nextLink?: string;
}

const ACTIONS = '/api/v1/actions';
const GRAPH = '/beta/security/securityActions';
const FOUND = { verdict: 'applied', note: 'The rule is on the firewall.' };

let vendor: RunningVendor;
let stack: Stack;
let client: Client;

beforeAll(async () => {
  vendor = await startMockVendor('none');
  await vendor.behave({ executeAndReset: 1 });
  stack = await Stack.start({
    config: `
providers:
  - { id: silent, plugin: mock, subProvider: silent, network: { allow: ['127.0.0.0/8'] }, settings: { mode: none, baseUrl: '${vendor.baseUrl}' } }
  - { id: fine, plugin: mock, subProvider: fine }
`,
  });
  client = await stack.client();
});
afterAll(async () => {
  await stack.stop();
  await vendor.stop();
});

const at = (subProvider: string): object => ({
  vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider },
});

/** An action whose outcome nobody knows. */
async function unknownOutcome(owner: Client = client): Promise<string> {
  const id = await owner.act('BlockIp', { IP: '203.0.113.7' }, at('silent'));
  expect(await owner.ended(id)).toMatchObject({ phase: 'outcomeUnknown', errorInfo: { code: 520 } });
  return id;
}

const resolve = <T = ResolvableAction>(id: string, body: unknown, by: Client = client): Promise<Answer<T>> =>
  by.post<T>(body, `${ACTIONS}/${id}/resolve`);

async function native(id: string): Promise<ResolvableAction> {
  return (await client.request<ResolvableAction>('GET', `${ACTIONS}/${id}`)).body;
}

/** The answer's very bytes. */
async function bytes(path: string): Promise<string> {
  const headers = { authorization: `Bearer ${client.token}` };
  return (await fetch(`${stack.baseUrl}${path}`, { headers })).text();
}

describe('resolving an action whose outcome is unknown', () => {
  it('shows who found what and when, and leaves the Graph view as it was, byte by byte', async () => {
    const id = await unknownOutcome();
    const graph = await bytes(`${GRAPH}/${id}`);
    const before = await native(id);
    expect(before).toMatchObject({ unresolved: true, resolution: null });

    const answer = await resolve(id, FOUND);

    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      ...before,
      unresolved: false,
      advice: expect.stringContaining('found to be applied') as string,
      reversal: { possible: true, message: expect.any(String) as string },
      resolution: {
        by: { appId: APP, user: null },
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
        ...FOUND,
      },
    });
    expect(await native(id)).toEqual(answer.body);
    expect(await bytes(`${GRAPH}/${id}`)).toBe(graph);
    const line = await eventually(() =>
      stack.api.log.find(({ msg, actionId }) => msg === 'outcome resolved' && actionId === id),
    );
    expect(line).toMatchObject({ appId: APP, verdict: 'applied' });
    expect(JSON.stringify(line)).not.toContain(FOUND.note);
  });

  it('is answered the same again, by whomever; another verdict or note is refused with who was first', async () => {
    const id = await unknownOutcome();
    const first = await resolve(id, FOUND);
    const colleague = await stack.client({ app: randomUUID() });
    expect(await resolve(id, FOUND, colleague)).toMatchObject({ status: 200, body: first.body });
    for (const other of [
      { ...FOUND, verdict: 'notApplied' },
      { ...FOUND, note: 'Something else.' },
    ]) {
      const answer = await resolve<GraphError>(id, other, colleague);
      expect(answer).toMatchObject({ status: 409, body: { error: { code: 'notAllowed' } } });
      expect(answer.body.error.message).toContain(APP);
      expect(answer.body.error.message).toContain(first.body.resolution?.at ?? 'when');
    }
    expect(await native(id)).toEqual(first.body);
  });

  it('at the same time by many: one verdict wins, all others are told', async () => {
    const id = await unknownOutcome();
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        resolve(id, { verdict: index % 2 === 0 ? 'applied' : 'notApplied', note: `note ${index}` }),
      ),
    );
    const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b);
    expect(statuses).toEqual([200, ...Array<number>(9).fill(409)]);
    const won = answers.find(({ status }) => status === 200);
    expect(await native(id)).toEqual(won?.body);
  });

  it('is refused where there is nothing to resolve', async () => {
    const done = await client.act('BlockIp', { IP: '203.0.113.8' }, at('fine'));
    const failed = await client.act('FailAlways', { code: 404, message: 'no machine' }, at('fine'));
    const running = await client.act('LongRunning', { durationMs: 600_000 }, at('fine'));
    await Promise.all([client.ended(done), client.ended(failed), client.inPhase(running, 'waitingOnVendor')]);
    for (const id of [done, failed, running]) {
      expect(await resolve(id, FOUND)).toMatchObject({
        status: 409,
        body: { error: { code: 'notAllowed' } },
      });
      expect(await native(id)).toMatchObject({ unresolved: false, resolution: null });
    }
    await client.cancel(running);
  });

  it('needs the role to write, and the tenant', async () => {
    const id = await unknownOutcome();
    const reader = await stack.client({ roles: ['SecurityActions.Read.All'] });
    const operator = await stack.client({ roles: ['Riposte.Operator'] });
    const stranger = await stack.client({ tenant: TENANT_B });
    expect((await resolve(id, FOUND, new Client(stack.baseUrl, ''))).status).toBe(401);
    expect((await resolve(id, FOUND, reader)).status).toBe(403);
    expect((await resolve(id, FOUND, operator)).status).toBe(403);
    expect((await resolve(id, FOUND, stranger)).status).toBe(404);
    expect((await resolve('nonsense', FOUND)).status).toBe(404);
    expect(await native(id)).toMatchObject({ unresolved: true, resolution: null });
  });

  it.each<[string, unknown]>([
    ['nothing', {}],
    ['no object', [FOUND]],
    ['no verdict', { note: 'x' }],
    ['an unknown verdict', { ...FOUND, verdict: 'stillUnknown' }],
    ['no note', { verdict: 'applied' }],
    ['an empty note', { ...FOUND, note: '' }],
    ['a blank note', { ...FOUND, note: ' \n' }],
    ['a note over 1,000 characters', { ...FOUND, note: 'x'.repeat(1001) }],
    ['a note that is no text', { ...FOUND, note: { $ne: '' } }],
    ['an unknown property', { ...FOUND, at: '2020-01-01T00:00:00Z' }],
  ])('is refused for a body with %s', async (_what, body) => {
    expect(await resolve(randomUUID(), body)).toMatchObject({
      status: 400,
      body: { error: { code: 'invalidRequest' } },
    });
  });

  it('takes a note of 1,000 characters, and ignores OData annotations', async () => {
    const id = await unknownOutcome();
    const note = '$'.repeat(1000);
    const answer = await resolve(id, {
      '@odata.type': '#x',
      'note@odata.type': 'y',
      verdict: 'notApplied',
      note,
    });
    expect(answer).toMatchObject({ status: 200, body: { resolution: { verdict: 'notApplied', note } } });
  });
});

describe('the native list', () => {
  /** Follows nextLink from this query on. */
  async function pages(owner: Client, query: string): Promise<(readonly ResolvableAction[])[]> {
    const seen: (readonly ResolvableAction[])[] = [];
    let path: string | undefined = `${ACTIONS}?${query}`;
    while (path !== undefined) {
      const page: Answer<Page> = await owner.request<Page>('GET', path);
      expect(page.status).toBe(200);
      seen.push(page.body.value);
      expect(page.body.nextLink?.startsWith(`${stack.baseUrl}${ACTIONS}?`) ?? true).toBe(true);
      path = page.body.nextLink?.slice(stack.baseUrl.length);
    }
    return seen;
  }
  const idsOf = (seen: readonly (readonly ResolvableAction[])[]): string[] => seen.flat().map(({ id }) => id);

  it("is the operator's inbox: what nobody has resolved yet, page by page, until somebody has", async () => {
    const owner = await stack.client({ tenant: randomUUID(), roles: ['SecurityActions.ReadWrite.All'] });
    const ids: string[] = [];
    for (let index = 0; index < 3; index += 1) ids.unshift(await unknownOutcome(owner));
    await owner.ended(await owner.act('BlockIp', { IP: '203.0.113.9' }, at('fine')));

    const inbox = await pages(owner, 'unresolved=true&top=2');
    expect(inbox.map((page) => page.length)).toEqual([2, 1]);
    expect(idsOf(inbox)).toEqual(ids);
    expect(inbox.flat().every(({ unresolved, phase }) => unresolved && phase === 'outcomeUnknown')).toBe(
      true,
    );

    await resolve(ids[1] ?? '', FOUND, owner);
    expect(idsOf(await pages(owner, 'unresolved=true'))).toEqual([ids[0], ids[2]]);
    expect(idsOf(await pages(owner, 'phase=outcomeUnknown&top=1'))).toEqual(ids);
    const oldestFirst = 'unresolved=true&top=1&orderby=createdDateTime&filter=';
    expect(idsOf(await pages(owner, `${oldestFirst}status eq 'Failed'`))).toEqual([ids[2], ids[0]]);
    expect(idsOf(await pages(owner, `${oldestFirst}status eq 'Completed'`))).toEqual([]);
    expect(idsOf(await pages(client, 'unresolved=true'))).not.toContain(ids[0]);
  });

  it('shows all, newest first, or those in a phase', async () => {
    const owner = await stack.client({ tenant: randomUUID() });
    const blocked = await owner.act('BlockIp', { IP: '203.0.113.10' }, at('fine'));
    await owner.ended(blocked);
    const failed = await owner.act('FailAlways', { code: 404, message: 'no machine' }, at('fine'));
    await owner.ended(failed);
    const reader = await stack.client({ tenant: randomUUID(), roles: ['SecurityActions.Read.All'] });
    expect(idsOf(await pages(owner, ''))).toEqual([failed, blocked]);
    expect(idsOf(await pages(owner, 'top=1'))).toEqual([failed, blocked]);
    expect(idsOf(await pages(owner, 'phase=done'))).toEqual([blocked]);
    expect(idsOf(await pages(owner, 'phase=queued'))).toEqual([]);
    expect(await pages(reader, '')).toEqual([[]]);
  });

  it.each([
    'phase=nope',
    'phase=done&phase=failed',
    'unresolved=false',
    'unresolved=',
    'top=0',
    'top=x',
    'skiptoken=zzz',
    '$top=1',
    'status=Failed',
    'phase[$ne]=done',
  ])('refuses %s with a 400', async (query) => {
    expect(await client.request('GET', `${ACTIONS}?${query}`)).toMatchObject({
      status: 400,
      body: { error: { code: 'invalidRequest' } },
    });
  });

  it('needs a token with a role to read', async () => {
    const operator = await stack.client({ roles: ['Riposte.Operator'] });
    expect((await operator.request('GET', ACTIONS)).status).toBe(403);
  });
});
