import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client, GraphError } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';

let stack: Stack;
let client: Client;
let operator: Client;

beforeAll(async () => {
  stack = await Stack.start({
    config: `
providers:
  - { id: mock, plugin: mock }
  - { id: mock-branch, plugin: mock, subProvider: branch }
`,
  });
  client = await stack.client();
  operator = await stack.client({ roles: ['Riposte.Operator'] });
});
afterAll(() => stack.stop());

/** The path is sent as it is, which fetch would not do. */
function statusOf(path: string, authorization?: string, method = 'GET'): Promise<number> {
  const { hostname, port } = new URL(stack.baseUrl);
  return new Promise((resolve, reject) => {
    const sent = request(
      { hostname, port, path, method, headers: authorization === undefined ? {} : { authorization } },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    sent.on('error', reject);
    sent.end();
  });
}

interface Board {
  readonly queues: readonly {
    readonly name: string;
    readonly readOnlyMode: boolean;
    readonly description: string;
    readonly jobs: readonly { readonly name: string; readonly data: unknown }[];
  }[];
}

const PATHS = [
  '/ops/queues',
  '/ops/queues/',
  '/ops/queues/queue/mock',
  '/ops/queues/api/queues',
  '/ops/queues/static/js/x.js',
  '/ops/queues/no/such/page',
];

describe('the dashboard of the queues', () => {
  it('shows the starts of every provider instance, and what goes before them, with jobs named by their action', async () => {
    const id = await client.act('LongRunning', { durationMs: 600_000 });
    const board = await eventually(async () => {
      const { body } = await operator.request<Board>(
        'GET',
        '/ops/queues/api/queues?activeQueue=mock.urgent&status=delayed&page=1',
      );
      return body.queues.some(({ jobs }) => jobs.length > 0) ? body : false;
    });
    const { queues } = board as Board;
    expect(queues.map(({ name }) => name)).toEqual([
      'mock',
      'mock.urgent',
      'mock-branch',
      'mock-branch.urgent',
    ]);
    expect(queues[1]?.jobs[0]).toMatchObject({ name: 'LongRunning', data: { actionId: id } });
    expect(queues.every(({ readOnlyMode }) => readOnlyMode)).toBe(true);
    expect(queues.map(({ description }) => description.split(/[.:]/)[0])).toEqual([
      'What waits to be started at mock',
      'What goes before the starts at mock',
      'What waits to be started at mock-branch',
      'What goes before the starts at mock-branch',
    ]);
    await client.cancel(id);
  });

  it('opens in a browser: the token as the password of HTTP Basic', async () => {
    const basic = `Basic ${Buffer.from(`anyone:${operator.token}`).toString('base64')}`;
    expect(await statusOf('/ops/queues', basic)).toBe(200);
    const page = await operator.request('GET', '/ops/queues');
    expect(page.headers.get('content-type')).toContain('text/html');
    expect(page.body).not.toContain('googleapis');
    expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'self';/);
    const unasked = await fetch(`${stack.baseUrl}/ops/queues`);
    expect(unasked.headers.get('www-authenticate')).toMatch(/^Basic realm=/);
  });

  it.each(PATHS)('%s is for operators alone', async (path) => {
    expect(await statusOf(path)).toBe(401);
    expect(await statusOf(path, 'Bearer nonsense')).toBe(401);
    expect(await statusOf(path, `Bearer ${client.token}`)).toBe(403);
    const reader = await stack.client({ roles: ['SecurityActions.Read.All'] });
    expect(await statusOf(path, `Bearer ${reader.token}`)).toBe(403);
  });

  it.each([
    '/%6fps/queues',
    '/ops/%71ueues',
    '/ops/queues/api/%71ueues',
    '/ops%2fqueues',
    '//ops/queues',
    '/ops//queues',
    '/ops/./queues',
    '/ops/x/../queues',
    '/OPS/QUEUES',
    '/ops/queues;x',
    '/ops/queues%00',
    '/ops/queues?x=/health/live',
    '/health/../ops/queues',
  ])('spelled %s it shows nothing either', async (path) => {
    for (const authorization of [undefined, `Bearer ${client.token}`])
      expect([401, 403, 404, 400]).toContain(await statusOf(path, authorization));
  });

  it('says as the API does what it has not', async () => {
    const { status, body } = await operator.request<GraphError>('GET', '/ops/queues/no/such/page.js');
    expect(status).toBe(404);
    expect(body.error.code).toBe('itemNotFound');
  });

  it('changes nothing, not even for an operator', async () => {
    for (const [method, path] of [
      ['PUT', '/ops/queues/api/queues/mock/pause'],
      ['PUT', '/ops/queues/api/queues/mock/clean/completed'],
      ['POST', '/ops/queues/api/queues/mock/add'],
      ['DELETE', '/ops/queues/api/queues/mock'],
    ] as const) {
      expect([404, 405]).toContain(await statusOf(path, `Bearer ${operator.token}`, method));
    }
    const id = await client.act('BlockIp', { IP: '1.2.3.4' });
    expect((await client.ended(id)).status).toBe('Completed');
  });
});
