import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  mockAction,
  type Answer,
  type Client,
  type GraphError,
  type NativeAction,
} from '../support/client.js';
import { Stack } from '../support/stack.js';

const ACTIONS = '/api/v1/actions';

interface List {
  readonly value: readonly NativeAction[];
  readonly count?: number;
  readonly nextLink?: string;
}

let stack: Stack;

beforeAll(async () => {
  stack = await Stack.start();
});
afterAll(() => stack.stop());

/** Somebody with a tenant of their own. */
const owner = (roles = ['SecurityActions.ReadWrite.All']): Promise<Client> =>
  stack.client({ tenant: randomUUID(), roles });

const listed = (
  client: Client,
  query: Readonly<Record<string, string>>,
): Promise<Answer<List & GraphError>> =>
  client.request('GET', `${ACTIONS}?${new URLSearchParams(query).toString()}`);

const idsOf = ({ body }: Answer<List>): readonly string[] => body.value.map(({ id }) => id);

describe('the native list', () => {
  let client: Client;
  let ids: readonly string[];

  beforeAll(async () => {
    client = await owner();
    const made: string[] = [];
    for (const [name, parameters] of [
      ['BlockIp', { IP: '198.51.100.1' }],
      ['BlockUrl', { URL: 'https://evil.example/' }],
      ['FailAlways', { code: 404, message: 'no such machine' }],
      ['FailAlways', { code: 409, message: 'in the way' }],
      ['BlockIp', { IP: '198.51.100.2' }],
    ] as const)
      made.push(await client.act(name, parameters));
    await Promise.all(made.map((id) => client.ended(id)));
    ids = made;
  });

  it("takes Graph's filter, order and search without a $, and counts", async () => {
    const filter = "name eq 'BlockIp' and status eq 'Completed'";
    const answer = await listed(client, { filter, orderby: 'createdDateTime', count: 'true' });
    expect(idsOf(answer)).toEqual([ids[0], ids[4]]);
    expect(answer.body.count).toBe(2);
    expect(idsOf(await listed(client, { search: 'evil.example' }))).toEqual([ids[1]]);
    expect(answer.body.value[0]).toMatchObject({ phase: 'done', providerInstance: 'mock' });
  });

  it('narrows by a phase what the filter found, page by page, in the order asked for', async () => {
    const query = {
      phase: 'done',
      filter: "not (name eq 'BlockUrl')",
      orderby: 'name,createdDateTime desc',
      top: '1',
    };
    const first = await listed(client, { ...query, count: 'true' });
    expect([idsOf(first), first.body.count]).toEqual([[ids[4]], 2]);
    const path = first.body.nextLink?.slice(stack.baseUrl.length) ?? '';
    expect(path.startsWith(`${ACTIONS}?`)).toBe(true);
    const second = await client.request<List>('GET', path);
    expect(idsOf(second)).toEqual([ids[0]]);
    expect(second.body.count).toBe(2);
    expect(second.body.nextLink).toBeUndefined();
  });

  it.each([
    [{ filter: "name is 'x'" }, /^filter is not valid /],
    [{ orderby: 'parameters' }, /^orderby is not valid /],
    [{ search: '"' }, /^search is not valid /],
    [{ count: 'yes' }, /^count has to be true or false/],
    [
      { select: 'id' },
      /"select" is not known; known: filter, search, orderby, top, count, skiptoken, phase, unresolved/,
    ],
  ])('refuses %j with a 400 that says what is wrong', async (query, message) => {
    const { status, body } = await listed(client, query);
    expect([status, body.error.code]).toEqual([400, 'invalidRequest']);
    expect(body.error.message).toMatch(message);
  });

  it('takes a skiptoken for the same question alone', async () => {
    const { body } = await listed(client, { top: '1', filter: "status eq 'Completed'" });
    const skiptoken = new URL(body.nextLink ?? '').searchParams.get('skiptoken') ?? '';
    const answer = await listed(client, { skiptoken, filter: "status eq 'Failed'" });
    expect(answer.body.error.message).toMatch(/^skiptoken is not one of ours/);
  });
});

describe('a create on the native API', () => {
  it('is that of the Graph surface, answered in the native form, keys and all', async () => {
    const client = await owner();
    const body = mockAction('BlockIp', { IP: '203.0.113.1' });
    const headers = { 'content-type': 'application/json', 'idempotency-key': randomUUID() };
    const created = await client.request<NativeAction>('POST', ACTIONS, {
      body: JSON.stringify(body),
      headers,
    });
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject({
      name: 'BlockIp',
      status: 'NotStarted',
      phase: 'queued',
      attempts: [],
    });
    expect(created.headers.get('location')).toBe(`${stack.baseUrl}${ACTIONS}/${created.body.id}`);
    const again = await client.request<NativeAction>('POST', '/beta/security/securityActions', {
      body: JSON.stringify(body),
      headers,
    });
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([201, 'true']);
    expect(again.body.id).toBe(created.body.id);
    expect((await client.ended(created.body.id)).status).toBe('Completed');
  });

  it('refuses what the Graph surface refuses', async () => {
    const client = await owner();
    const answer = await client.post<GraphError>({ ...mockAction('BlockIp'), colour: 'red' }, ACTIONS);
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'invalidRequest' } } });
    const reader = await owner(['SecurityActions.Read.All']);
    expect((await reader.post(mockAction('BlockIp'), ACTIONS)).status).toBe(403);
  });
});

describe('a cancel on the native API', () => {
  it('answers with the action as it is then, and refuses one that has ended', async () => {
    const client = await owner();
    const id = await client.act('LongRunning', { durationMs: 600_000 });
    await client.inPhase(id, 'waitingOnVendor');
    const answer = await client.request<NativeAction>('POST', `${ACTIONS}/${id}/cancel`);
    expect(answer).toMatchObject({
      status: 200,
      body: { id, phase: 'cancelling', cancel: { why: 'caller' } },
    });
    expect((await client.ended(id)).errorInfo?.code).toBe(499);
    expect((await client.request('POST', `${ACTIONS}/${id}/cancel`)).status).toBe(200);
    const done = await client.act('BlockIp', { IP: '203.0.113.2' });
    await client.ended(done);
    expect(await client.request('POST', `${ACTIONS}/${done}/cancel`)).toMatchObject({
      status: 409,
      body: { error: { code: 'notAllowed' } },
    });
  });

  it('of several answers each as if it were alone', async () => {
    const client = await owner();
    const [long, done] = [
      await client.act('LongRunning', { durationMs: 600_000 }),
      await client.act('BlockIp', { IP: '203.0.113.3' }),
    ];
    await client.ended(done);
    const stranger = await owner();
    const foreign = await stranger.act('LongRunning', { durationMs: 600_000 });
    const ids = [long, done, foreign, randomUUID(), '<b>x</b>'];
    const { status, body } = await client.post<{
      value: readonly { id: string; status: number; action?: NativeAction; error?: object }[];
    }>({ ids }, `${ACTIONS}/cancel`);
    expect(status).toBe(200);
    expect(body.value.map(({ id, status: its }) => [id, its])).toEqual([
      [long, 200],
      [done, 409],
      [foreign, 404],
      [ids[3], 404],
      ['<b>x</b>', 404],
    ]);
    expect(body.value[0]?.action?.id).toBe(long);
    expect(body.value[1]?.error).toMatchObject({ code: 'notAllowed' });
    expect((await client.ended(long)).errorInfo?.code).toBe(499);
    expect((await stranger.native(foreign)).cancel).toBeNull();
    await stranger.cancel(foreign);
  });

  it.each([
    ['none', []],
    ['more than 100', Array.from({ length: 101 }, () => randomUUID())],
    ['the same twice', ['a', 'a']],
    ['what is no text', [1]],
    ['nothing at all', undefined],
  ])('of several refuses %s with a 400', async (_what, ids) => {
    const client = await owner();
    const answer = await client.post<GraphError>({ ids }, `${ACTIONS}/cancel`);
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'invalidRequest' } } });
    expect(answer.body.error.message).toMatch(/^(each value in )?ids /);
  });
});

describe('the overview', () => {
  interface Overview {
    readonly window: string;
    readonly bucketSeconds: number;
    readonly complete: boolean;
    readonly totals: Readonly<Record<string, number>>;
    readonly throughput: readonly Readonly<
      Record<'created' | 'completed' | 'failed' | 'cancelled', number>
    >[];
    readonly latency: readonly { readonly totalMs: { readonly p99: number } | null }[];
    readonly providers: readonly { readonly instance: string; readonly totalMs: { readonly p50: number } }[];
    readonly now: { readonly running: number; readonly oldestWaiting: object | null };
  }
  const overview = async (client: Client, window?: string) =>
    client.request<Overview & GraphError>(
      'GET',
      `/api/v1/overview${window === undefined ? '' : `?window=${window}`}`,
    );

  it('shows what was made, how it ended, how long it took, and what is open, in each window', async () => {
    const client = await owner();
    const made = [
      await client.act('BlockIp', { IP: '203.0.113.20' }),
      await client.act('FailAlways', { code: 404, message: 'no such machine' }),
      await client.act('FailAlways', { code: 503, message: 'away' }),
    ];
    for (const id of made) await client.ended(id);
    const long = await client.act('LongRunning', { durationMs: 600_000 });
    await client.inPhase(long, 'waitingOnVendor');
    for (const [window, bucketSeconds, spans] of [
      ['1h', 60, 60],
      ['24h', 900, 96],
      ['7d', 7200, 84],
    ] as const) {
      const { status, body } = await overview(client, window);
      expect(status).toBe(200);
      expect(body).toMatchObject({ window, bucketSeconds, complete: true });
      expect(body.totals).toEqual({ created: 4, completed: 1, failed: 2, outcomeUnknown: 0, cancelled: 0 });
      expect([body.throughput.length, body.latency.length]).toEqual([spans, spans]);
      expect(body.throughput.reduce((sum, { failed }) => sum + failed, 0)).toBe(2);
      expect(body.providers).toEqual([
        {
          instance: 'mock',
          vendor: 'Mock',
          provider: 'Mock',
          completed: 1,
          failed: 2,
          outcomeUnknown: 0,
          cancelled: 0,
          byCode: { 404: 1, 503: 1 },
          totalMs: expect.objectContaining({ p50: expect.any(Number) as number }) as object,
        },
      ]);
      expect(body.now).toEqual({ queued: 0, throttled: 0, running: 1, unresolved: 0, oldestWaiting: null });
    }
    await client.cancel(long);
    await client.ended(long);
    const { body } = await overview(client);
    expect(body.window).toBe('24h');
    expect(body.throughput.reduce((sum, { cancelled }) => sum + cancelled, 0)).toBe(1);
  });

  it('refuses a window that it does not have with a 400', async () => {
    const { status, body } = await overview(await owner(), '2h');
    expect([status, body.error.message]).toEqual([400, 'window has to be one of 1h, 24h, 7d; it is "2h".']);
  });
});

describe('one action', () => {
  interface Details extends NativeAction {
    readonly job: { readonly queue: string; readonly id: string; readonly url: string | null } | null;
    readonly cancellation: { readonly possible: boolean; readonly means: string; readonly message: string };
    readonly reversal: { readonly possible: boolean; readonly message: string };
    readonly advice: string | null;
    readonly waiting: { readonly reason: string; readonly message: string } | null;
  }
  const details = async (client: Client, id: string): Promise<Details> =>
    (await client.native(id)) as Details;

  it('says what a cancel would mean now', async () => {
    const client = await owner();
    const cancellation = async (id: string) => (await details(client, id)).cancellation;
    const long = await client.act('LongRunning', { durationMs: 600_000 });
    await client.inPhase(long, 'waitingOnVendor');
    expect(await cancellation(long)).toMatchObject({ possible: true, means: 'asksVendor' });
    const stubborn = await client.act('IgnoreCancel', { durationMs: 3000 });
    await client.inPhase(stubborn, 'waitingOnVendor');
    expect((await cancellation(stubborn)).possible).toBe(true);
    await client.cancel(stubborn);
    const wished = await cancellation(stubborn);
    expect(wished).toMatchObject({ possible: false, means: 'nothing' });
    expect(wished.message).toMatch(/^Cancel requested at .* UTC\. /);
    await client.cancel(long);
    await client.ended(long);
    expect(await cancellation(long)).toEqual({
      possible: false,
      means: 'nothing',
      message: 'It was cancelled.',
    });
    const done = await client.act('BlockIp', { IP: '203.0.113.4' });
    await client.ended(done);
    expect((await cancellation(done)).message).toBe('It has ended as Completed.');
    await client.ended(stubborn);
  });

  it('says whether it can be undone, and by what it was', async () => {
    const client = await owner();
    const id = await client.act('BlockIp', { IP: '203.0.113.5' });
    await client.ended(id);
    expect((await details(client, id)).reversal).toEqual({
      possible: true,
      message: 'Another action takes back what it changed.',
    });
    const { body: undoing } = await client.request<NativeAction>('POST', `${ACTIONS}/${id}/revert`);
    await client.ended(undoing.id);
    expect((await details(client, id)).reversal).toEqual({
      possible: false,
      message: `It was undone by action ${undoing.id}.`,
    });
    expect((await details(client, undoing.id)).reversal).toMatchObject({
      possible: false,
      message: expect.stringMatching(/^It is itself the revert of /) as string,
    });
  });

  it.each([
    [400, /^Correct the parameters/],
    [401, /^Renew the credentials of provider instance "mock"/],
    [403, /^Grant the permission/],
    [404, /^Check how the target is written/],
    [409, /^Check the provider for what conflicts with it/],
    [507, /^Make room at the provider/],
  ])('that failed with %i says what to do', async (code, advice) => {
    const client = await owner();
    const { id } = await client.ended(await client.act('FailAlways', { code, message: 'as it says' }));
    expect((await details(client, id)).advice).toMatch(advice);
    const reader = await owner();
    const fine = await reader.act('BlockIp', { IP: '203.0.113.6' });
    await reader.ended(fine);
    expect(await details(reader, fine)).toMatchObject({ advice: null, waiting: null, job: null });
  });

  it('says that no worker is there, and leads operators to its job', async () => {
    const tenant = randomUUID();
    const client = await stack.client({ tenant });
    const long = await client.act('LongRunning', { durationMs: 600_000 });
    await client.inPhase(long, 'waitingOnVendor');
    await stack.workers[0]?.end();
    const id = await client.act('BlockIp', { IP: '203.0.113.7' });
    for (const one of [id, long]) {
      const { waiting } = await details(client, one);
      expect(waiting).toMatchObject({ reason: 'workerMissing', expectedStartDateTime: null });
      expect(waiting?.message).toContain('provider instance "mock"');
    }
    expect((await details(client, id)).cancellation).toMatchObject({
      possible: true,
      means: 'stopsBeforeIssue',
    });
    const job = { queue: 'mock', id: `${id}-e0` };
    expect((await details(client, id)).job).toEqual({ ...job, url: null });
    const operator = await stack.client({
      tenant,
      roles: ['SecurityActions.Read.All', 'Riposte.Operator'],
    });
    const url = `/ops/queues/queue/mock/${id}-e0`;
    expect((await details(operator, id)).job).toEqual({ ...job, url });
    expect((await operator.request('GET', url)).status).toBe(200);
    await stack.startWorker().ready();
    expect((await client.ended(id)).status).toBe('Completed');
    await client.cancel(long);
  });
});
