import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mockAction, type Client, type GraphAction, type GraphError } from '../support/client.js';
import { APP, TENANT_A, TENANT_B } from '../support/database.js';
import { Stack } from '../support/stack.js';

let stack: Stack;
let client: Client;

beforeAll(async () => {
  stack = await Stack.start({
    config: `
providers:
  - id: mock
    plugin: mock
    attemptTimeoutMs: 1500
    deadlineMs: 60000
`,
  });
  client = await stack.client();
});
afterAll(() => stack.stop());

const COLLECTION = '/beta/security/securityActions';

describe('blocking an IP', () => {
  it('answers 201 with the documented object, and the action goes NotStarted → Running → Completed', async () => {
    const answer = await client.post(mockAction('BlockIp', { IP: '1.2.3.4' }, { clientContext: 'case 7' }));
    expect(answer.status).toBe(201);
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
    expect(answer.headers.get('location')).toBe(`${stack.baseUrl}${COLLECTION}/${answer.body.id}`);
    expect(answer.body).toEqual({
      '@odata.context': `${stack.baseUrl}/beta/$metadata#security/securityActions/$entity`,
      id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      actionReason: 'Test',
      appId: APP,
      azureTenantId: TENANT_A,
      clientContext: 'case 7',
      completedDateTime: null,
      createdDateTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
      errorInfo: null,
      lastActionDateTime: answer.body['createdDateTime'],
      name: 'BlockIp',
      parameters: [{ name: 'IP', value: '1.2.3.4' }],
      states: [
        { appId: APP, status: 'NotStarted', updatedDateTime: answer.body['createdDateTime'], user: null },
      ],
      status: 'NotStarted',
      user: null,
      vendorInformation: { provider: 'Mock', providerVersion: null, subProvider: null, vendor: 'Mock' },
    });
    const ended = await client.ended(answer.body.id);
    expect(ended.states.map(({ status }) => status)).toEqual(['NotStarted', 'Running', 'Completed']);
    expect(ended).toMatchObject({ status: 'Completed', phase: 'done', errorInfo: null });
    expect(ended.completedDateTime).toBe(ended.states.at(-1)?.updatedDateTime);
  });

  it('works the same under /v1.0', async () => {
    const answer = await client.post(
      mockAction('BlockIp', { IP: '1.2.3.4' }),
      '/v1.0/security/securityActions',
    );
    expect(answer.status).toBe(201);
    expect(answer.body['@odata.context']).toContain('/v1.0/$metadata#');
    expect(
      (await client.request<GraphAction>('GET', `/v1.0/security/securityActions/${answer.body.id}`)).body.id,
    ).toBe(answer.body.id);
  });

  it('takes names and parameters in any case and by alias, and shows what the caller sent', async () => {
    const id = await client.act('block_ip', { address: ' 1.2.3.4 ' });
    const action = await client.ended(id);
    expect(action).toMatchObject({
      status: 'Completed',
      name: 'block_ip',
      parameters: [{ name: 'address', value: ' 1.2.3.4 ' }],
    });
  });

  it('ignores read-only properties and OData annotations that SDK models send', async () => {
    const id = randomUUID();
    const extra = {
      id,
      status: 'Completed',
      azureTenantId: TENANT_B,
      states: [],
      '@odata.type': '#microsoft.graph.securityAction',
      'states@odata.type': 'x',
    };
    const answer = await client.post(mockAction('BlockIp', { IP: '1.2.3.4' }, extra));
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({ status: 'NotStarted', azureTenantId: TENANT_A });
    expect(answer.body.id).not.toBe(id);
  });
});

describe('an action that fails', () => {
  it('ends as Failed with the code and message the provider gave', async () => {
    const ended = await client.ended(
      await client.act('FailAlways', { code: 404, message: 'no such machine' }),
    );
    expect(ended).toMatchObject({
      status: 'Failed',
      phase: 'failed',
      errorInfo: { code: 404, message: 'no such machine' },
    });
  });

  it('is tried again when the failure is transient, and every attempt is on record', async () => {
    const ended = await client.ended(await client.act('FailTimes', { times: 2 }));
    expect(ended.status).toBe('Completed');
    expect(ended.attempts.map(({ outcome }) => outcome)).toEqual(['failed', 'failed', 'completed']);
    expect(ended.states.map(({ status }) => status)).toEqual(['NotStarted', 'Running', 'Completed']);
  });

  it('does not hang when the provider never answers: the attempt ends and the action goes on', async () => {
    const id = await client.act('Hang');
    await client.inPhase(id, 'retrying');
    expect((await client.native(id)).attempts[0]).toMatchObject({ outcome: 'unknown' });
    expect((await client.cancel(id)).status).toBe(200);
    expect(await client.ended(id)).toMatchObject({ status: 'Failed', errorInfo: { code: 499 } });
  });
});

describe('a long action', () => {
  it('waits on its vendor without a worker holding it, and reports progress', async () => {
    const id = await client.act('LongRunning', { durationMs: 2500 });
    const waiting = await client.inPhase(id, 'waitingOnVendor');
    expect(waiting.status).toBe('Running');
    const ended = await client.ended(id);
    expect(ended.status).toBe('Completed');
    expect(ended.attempts).toHaveLength(1);
  });

  it('is cancelled within a second, and says that the provider confirmed it', async () => {
    const id = await client.act('LongRunning', { durationMs: 600_000 });
    await client.inPhase(id, 'waitingOnVendor');
    const asked = performance.now();
    expect(await client.cancel(id)).toMatchObject({ status: 200, body: '' });
    expect(await client.ended(id)).toMatchObject({
      status: 'Failed',
      phase: 'cancelledAtProvider',
      errorInfo: { code: 499 },
      cancel: { outcome: 'cancelled' },
    });
    expect(performance.now() - asked).toBeLessThan(5000);
    expect((await client.cancel(id)).status).toBe(200);
  });

  it('that cannot be cancelled ends as what really happened', async () => {
    const id = await client.act('IgnoreCancel', { durationMs: 1500 });
    await client.inPhase(id, 'waitingOnVendor');
    expect((await client.cancel(id)).status).toBe(200);
    expect((await client.cancel(id)).status).toBe(200);
    expect(await client.ended(id)).toMatchObject({
      status: 'Completed',
      cancel: { outcome: 'notSupported' },
    });
    expect(await client.cancel(id)).toMatchObject({ status: 409, body: { error: { code: 'notAllowed' } } });
  });
});

describe('cancelling', () => {
  it('is refused with 409 on an action that has ended otherwise', async () => {
    const id = await client.act('BlockIp', { IP: '1.2.3.4' });
    await client.ended(id);
    expect(await client.cancel(id)).toMatchObject({ status: 409, body: { error: { code: 'notAllowed' } } });
  });

  it('takes the qualified name, an empty JSON body, and a body it does not need', async () => {
    const id = await client.act('LongRunning', { durationMs: 600_000 });
    const qualified = `${COLLECTION}/${id}/microsoft.graph.cancelSecurityAction`;
    expect(
      (await client.request('POST', qualified, { headers: { 'content-type': 'application/json' } })).status,
    ).toBe(200);
    expect(
      (await client.request('POST', qualified, { body: 'x', headers: { 'content-type': 'text/plain' } }))
        .status,
    ).toBe(200);
    await client.ended(id);
  });

  it('of an unknown action is a 404', async () => {
    expect(await client.cancel(randomUUID())).toMatchObject({
      status: 404,
      body: { error: { code: 'itemNotFound' } },
    });
    expect((await client.cancel('no-guid')).status).toBe(404);
  });
});

describe('an action that was not started in time', () => {
  it('ends as Failed/410, and nothing was done', async () => {
    const [worker] = stack.workers;
    worker?.signal('SIGSTOP');
    try {
      const startBefore = new Date(Date.now() + 1000).toISOString();
      const answer = await client.post(
        mockAction('BlockIp', { IP: '1.2.3.4' }, { '@riposte.startBefore': startBefore }),
      );
      expect(answer.status).toBe(201);
      await new Promise((resolve) => setTimeout(resolve, 1200));
      worker?.signal('SIGCONT');
      expect(await client.ended(answer.body.id)).toMatchObject({
        status: 'Failed',
        phase: 'expired',
        errorInfo: { code: 410 },
      });
    } finally {
      worker?.signal('SIGCONT');
    }
  });
});

describe('what a caller got wrong', () => {
  const refused = async (body: object): Promise<string> => {
    const answer = await client.post<GraphError>(body);
    expect(answer.status).toBe(400);
    expect(answer.body.error.code).toBe('invalidRequest');
    return answer.body.error.message;
  };

  it('is named, with what is known, for a provider', async () => {
    const message = await refused({
      ...mockAction('BlockIp', { IP: '1.2.3.4' }),
      vendorInformation: { vendor: 'Acme', provider: 'EDR' },
    });
    expect(message).toMatch(/Acme\/EDR.*Mock\/Mock/);
  });

  it('is named, with what is known, for an action', async () => {
    expect(await refused(mockAction('BlockIpp', { IP: '1.2.3.4' }))).toMatch(/BlockIpp.*BlockIp, /);
  });

  it('is named, with the rule and an example, for a parameter', async () => {
    expect(await refused(mockAction('BlockIp', {}))).toMatch(/IP is missing/);
    expect(await refused(mockAction('BlockIp', { IP: '999.1.1.1' }))).toMatch(
      /IP is not a valid ip.*for example/,
    );
    expect(await refused(mockAction('BlockIp', { IP: '1.2.3.4', Port: 1 }))).toMatch(
      /"Port" is not known; known: IP/,
    );
    expect(await refused(mockAction('BlockIp', { IP: '1.2.3.4', ip: '1.2.3.5' }))).toMatch(
      /"ip" is given twice/,
    );
    expect(await refused(mockAction('LongRunning', { durationMs: 'soon' }))).toMatch(
      /durationMs.*whole number/,
    );
  });

  it('is named as needed, and no more, where it is not there', async () => {
    expect(await refused({ vendorInformation: { vendor: 'Mock' } })).toBe(
      'name is needed; parameters is needed; vendorInformation.provider is needed.',
    );
  });

  it('is named for everything at once', async () => {
    const message = await refused({
      name: 5,
      clientContext: 'x'.repeat(257),
      parameters: 'IP',
      vendorInformation: { vendor: '' },
      colour: 'red',
    });
    for (const part of ['name', 'clientContext', 'parameters', 'vendorInformation.provider', 'colour'])
      expect(message).toContain(part);
  });

  it('leaves nothing behind', async () => {
    const tenant = randomUUID();
    const other = await stack.client({ tenant });
    expect((await other.post(mockAction('Nope'))).status).toBe(400);
    expect((await other.request<{ value: unknown[] }>('GET', COLLECTION)).body.value).toEqual([]);
  });
});

describe('the list', () => {
  it('shows the newest first, in pages of $top, following nextLink as it is', async () => {
    const tenant = randomUUID();
    const owner = await stack.client({ tenant });
    const ids: string[] = [];
    for (let index = 0; index < 5; index += 1) ids.unshift(await owner.act('BlockIp', { IP: '1.2.3.4' }));
    const seen: string[] = [];
    let path: string | undefined = `${COLLECTION}?$top=2`;
    while (path !== undefined) {
      const page: { body: { value: GraphAction[]; '@odata.nextLink'?: string } } = await owner.request(
        'GET',
        path,
      );
      seen.push(...page.body.value.map(({ id }) => id));
      path = page.body['@odata.nextLink']?.slice(stack.baseUrl.length);
    }
    expect(seen).toEqual(ids);
  });

  it.each([
    '$top=0',
    '$top=-1',
    '$top=x',
    '$top=1&$top=2',
    '$filter=status',
    'filter=status',
    '$select=colour',
    '$skiptoken=zzz',
    '$nope=1',
  ])('refuses %s with a 400', async (query) => {
    expect(await client.request('GET', `${COLLECTION}?${query}`)).toMatchObject({
      status: 400,
      body: { error: { code: 'invalidRequest' } },
    });
  });
});

describe('another tenant', () => {
  it('sees, gets and cancels nothing of this one', async () => {
    const id = await client.act('LongRunning', { durationMs: 600_000 });
    const stranger = await stack.client({ tenant: TENANT_B });
    expect((await stranger.request('GET', `${COLLECTION}/${id}`)).status).toBe(404);
    expect((await stranger.request('GET', `/api/v1/actions/${id}`)).status).toBe(404);
    expect((await stranger.cancel(id)).status).toBe(404);
    expect(JSON.stringify((await stranger.request('GET', COLLECTION)).body)).not.toContain(id);
    expect((await client.native(id)).cancel).toBeNull();
    await client.cancel(id);
  });
});

describe('the documents', () => {
  it('say what every answer means, and show an error of its own code and bodies that can be sent', async () => {
    interface Content {
      readonly example?: { readonly error: { readonly code: string } };
      readonly examples?: Readonly<Record<string, { readonly value: object }>>;
    }
    interface Described {
      readonly requestBody?: { readonly content: Readonly<Record<string, Content>> };
      readonly responses: Readonly<
        Record<string, { readonly description: string; readonly content?: Readonly<Record<string, Content>> }>
      >;
    }
    const { body } = await client.request<{ paths: Record<string, Record<string, Described>> }>(
      'GET',
      '/openapi.json',
    );
    const operations = Object.entries(body.paths).flatMap(([path, methods]) =>
      Object.values(methods).map((operation) => [path, operation] as const),
    );
    const silent = operations.flatMap(([path, { responses }]) =>
      Object.entries(responses).flatMap(([status, { description }]) =>
        description === '' ? `${path} ${status}` : [],
      ),
    );
    expect(silent).toEqual([]);
    const created = body.paths[COLLECTION]?.['post'];
    const codeOf = (status: string) =>
      created?.responses[status]?.content?.['application/json']?.example?.error.code;
    expect(['401', '422', '500'].map(codeOf)).toEqual([
      'unauthenticated',
      'idempotencyKeyReused',
      'generalException',
    ]);
    const bodies = operations.flatMap(([path, { requestBody }]) =>
      Object.values(requestBody?.content['application/json']?.examples ?? {}).map(
        ({ value }) => [path, JSON.stringify(value)] as const,
      ),
    );
    expect(bodies.length).toBeGreaterThan(5);
    for (const [path, text] of bodies) {
      const answer = await client.request<Partial<GraphAction> & { responses?: { status: number }[] }>(
        'POST',
        path,
        { body: text, headers: { 'content-type': 'application/json' } },
      );
      const statuses = answer.body.responses?.map(({ status }) => status) ?? [];
      expect({ path, statuses: [answer.status, ...statuses] }).toEqual({
        path,
        statuses: path.endsWith('$batch') ? [200, 201, 200] : [201],
      });
      if (answer.body.name === 'LongRunning') await client.cancel(answer.body.id ?? '');
    }
  });

  it('describe every route in OpenAPI 3.1, and show it on a page', async () => {
    const { body } = await client.request<{ openapi: string; paths: Record<string, object> }>(
      'GET',
      '/openapi.json',
    );
    expect(body.openapi).toBe('3.1.0');
    expect(Object.keys(body.paths)).toEqual(
      expect.arrayContaining([
        COLLECTION,
        `${COLLECTION}/$count`,
        `${COLLECTION}/{id}`,
        `${COLLECTION}/{id}/cancelSecurityAction`,
        '/api/v1/actions',
        '/api/v1/actions/{id}',
        '/api/v1/actions/{id}/resolve',
        '/api/v1/workers',
        '/health/ready',
      ]),
    );
    expect(await client.request('GET', '/docs')).toMatchObject({
      status: 200,
      body: expect.stringContaining('swagger-ui') as string,
    });
  });

  it('are told apart from probes: live and ready', async () => {
    expect(await client.request('GET', '/health/live')).toMatchObject({
      status: 200,
      body: { status: 'live' },
    });
    expect(await client.request('GET', '/health/ready')).toMatchObject({
      status: 200,
      body: { status: 'ready', missing: [] },
    });
  });
});
