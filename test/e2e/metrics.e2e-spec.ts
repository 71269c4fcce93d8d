import http from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '#embedded-servers';
import { WORKER_COMMAND } from '../deploy/start-commands.js';
import type { Client } from '../support/client.js';
import { TENANT_A } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { samplesIn } from '../support/metrics.js';
import { ProductProcess } from '../support/product-process.js';
import { Stack } from '../support/stack.js';

let stack: Stack;
let client: Client;
let operator: Client;
let workerPort: number;

const AT_HELD = { vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider: 'held' } };

beforeAll(async () => {
  workerPort = await freePort();
  stack = await Stack.start({
    config: JSON.stringify({
      metrics: { tenantLabel: true },
      providers: [
        { id: 'mock', plugin: 'mock', limits: { windows: [{ calls: 1000, perSeconds: 3600 }] } },
        { id: 'held', plugin: 'mock', subProvider: 'held', limits: { backlog: 7 } },
      ],
    }),
    env: { RIPOSTE_WORKER_METRICS_PORT: String(workerPort) },
  });
  client = await stack.client();
  operator = await stack.client({ roles: ['Riposte.Operator'] });
});
afterAll(() => stack.stop());

interface Told {
  readonly status: number;
  readonly text: string;
}

/** As a program sends it that may say what it likes of itself. */
function ask(path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET'): Promise<Told> {
  return new Promise((resolve, reject) => {
    http
      .request(`${stack.baseUrl}${path}`, { headers, method }, (response) => {
        let text = '';
        response.on('data', (data: Buffer) => (text += data.toString()));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      })
      .on('error', reject)
      .end();
  });
}

const ofApi = async () => samplesIn((await ask('/metrics')).text);
const ofWorker = async () => samplesIn(await (await fetch(`http://127.0.0.1:${workerPort}/metrics`)).text());
const tenant = `tenant="${TENANT_A}"`;

describe('the metrics of an installation', () => {
  it('tell what became of its actions, and what waits', async () => {
    await operator.request('POST', '/api/v1/providers/held/pause', {
      body: JSON.stringify({ reason: 'Held' }),
      headers: { 'content-type': 'application/json' },
    });
    for (let index = 0; index < 2; index += 1) await client.act('BlockIp', { IP: '203.0.113.7' }, AT_HELD);
    const unwanted = await client.act('BlockIp', { IP: '203.0.113.8' }, AT_HELD);
    expect((await client.cancel(unwanted)).status).toBe(200);
    expect((await client.cancel(unwanted)).status).toBe(200);
    const ended = [
      await client.act('BlockIp', { IP: '203.0.113.7' }),
      await client.act('BlockIp', { IP: '203.0.113.8' }),
      await client.act('FailAlways', { code: 409, message: 'no' }),
      await client.act('FailTimes', { times: 1 }),
    ];
    await Promise.all(ended.map((id) => client.ended(id)));

    const api = await ofApi();
    const created = (instance: string, action: string) =>
      api.get(`riposte_actions_created_total{provider_instance="${instance}",action="${action}",${tenant}}`);
    expect(created('mock', 'BlockIp')).toBe(2);
    expect(created('mock', 'FailAlways')).toBe(1);
    expect(created('held', 'BlockIp')).toBe(3);
    expect(api.get(`riposte_actions_ended_total{provider_instance="held",phase="cancelled",${tenant}}`)).toBe(
      1,
    );
    expect(
      api.get(
        'riposte_http_request_duration_seconds_count{method="POST",route="/beta/security/securityActions",status="2xx"}',
      ),
    ).toBe(7);
    const state = Object.fromEntries(
      [
        'riposte_state_complete',
        'riposte_workers_alive',
        'riposte_dependency_up{dependency="mongodb"}',
        'riposte_dependency_up{dependency="redis"}',
        'riposte_backlog_actions{provider_instance="mock"}',
        'riposte_backlog_actions{provider_instance="held"}',
        'riposte_backlog_limit_actions{provider_instance="held"}',
        'riposte_backlog_oldest_age_seconds{provider_instance="mock"}',
        'riposte_unresolved_actions{provider_instance="mock"}',
        'riposte_quota_limit_calls{provider_instance="mock",window="3600s",actions=""}',
        'riposte_breaker_state{provider_instance="mock",state="closed"}',
        'riposte_breaker_state{provider_instance="mock",state="open"}',
        'riposte_provider_instance_paused{provider_instance="mock"}',
        'riposte_provider_instance_paused{provider_instance="held"}',
        'riposte_event_listeners',
      ].map((name) => [name, api.get(name)]),
    );
    expect(Object.values(state)).toEqual([1, 1, 1, 1, 0, 2, 7, 0, 0, 1000, 1, 0, 0, 1, 0]);
    expect(api.get('riposte_backlog_oldest_age_seconds{provider_instance="held"}')).toBeGreaterThan(0);
    expect(
      api.get('riposte_quota_left_calls{provider_instance="mock",window="3600s",actions=""}'),
    ).toBeLessThan(1000);

    const worker = await ofWorker();
    const phase = (is: string) =>
      worker.get(`riposte_actions_ended_total{provider_instance="mock",phase="${is}",${tenant}}`);
    expect([phase('done'), phase('failed')]).toEqual([3, 1]);
    const calls = (result: string) =>
      worker.get(`riposte_vendor_calls_total{provider_instance="mock",call="execute",result="${result}"}`);
    expect([calls('answered'), calls('transient')]).toEqual([3, 1]);
    expect(worker.get('riposte_action_dispatch_seconds_count{provider_instance="mock"}')).toBe(4);
    expect(worker.get('riposte_attempts_repeated_total{provider_instance="mock",reason="failed"}')).toBe(1);
    expect(worker.get('riposte_worker_actions_in_hand{provider_instance="mock"}')).toBe(0);
    expect(worker.get('riposte_sweep_passes_total{result="ok"}')).toBeGreaterThan(0);
    // What is shared is told by the API alone: else a sum over all processes would count it once more for each.
    expect([...worker.keys()].filter((name) => /backlog|alive|unresolved/.test(name))).toEqual([]);
  });

  it('have no more series for whatever paths, methods and headers strangers think of', async () => {
    const routes = async () =>
      [...(await ofApi()).keys()].filter((name) =>
        name.startsWith('riposte_http_request_duration_seconds_c'),
      );
    const odd = (salt: number) =>
      [
        `/beta/security/securityActions/${crypto.randomUUID()}`,
        `/nothing/here/${salt}`,
        `/beta/security/securityActions?$filter=id eq '${salt}'`.replaceAll(' ', '%20'),
        `/%2e%2e/${salt}`,
        `//${salt}`,
        `/assets/${salt}.js`,
        `/actions/${salt}`,
        `/api/v1/providers/p${salt}`,
        `/feeds/${salt}/${salt}.txt`,
        `/beta/%00${salt}`,
        `/beta/%zz${salt}`,
      ].map((path) => [path, salt % 2 === 0 ? 'GET' : 'PROPFIND'] as const);
    for (const salt of [1, 2])
      for (const [path, method] of odd(salt)) await ask(path, { 'x-salt': String(salt) }, method);
    await routes();
    const before = await routes();
    expect(before.some((name) => name.includes('route="unmatched"'))).toBe(true);
    for (let salt = 3; salt < 13; salt += 1)
      await Promise.all(odd(salt).map(([path, method]) => ask(path, {}, method)));
    expect((await routes()).toSorted()).toEqual(before.toSorted());
    expect(before.filter((name) => /\d{3}|PROPFIND|\?/.test(name))).toEqual([]);
  });
});

describe('/metrics on the main port', () => {
  it.each([
    ['forwarded', { 'x-forwarded-for': '127.0.0.1' }],
    ['forwarded by the standard’s header', { forwarded: 'for=127.0.0.1' }],
    ['asked for by a name that a stranger gave this machine', { host: 'rebound.example' }],
  ])('is told to nobody without a token where it is %s', async (_how, headers) => {
    const answer = await ask('/metrics', headers);
    expect(answer.status).toBe(401);
    expect(answer.text).not.toContain('riposte_');
  });

  it('is told to operators from anywhere, and to no other role', async () => {
    const from = { 'x-forwarded-for': '198.51.100.7' };
    expect((await client.request('GET', '/metrics', { headers: from })).status).toBe(403);
    const answer = await operator.request<string>('GET', '/metrics', { headers: from });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.body).toContain('riposte_workers_alive 1');
  });

  it('is told to programs of this machine, by any of its names', async () => {
    for (const host of ['localhost:3000', '127.0.0.1', '[::1]:9'])
      expect((await ask('/metrics', { host })).status).toBe(200);
  });
});

describe('a port for metrics', () => {
  it('that is taken stops the start, and says what set it', async () => {
    const second = new ProductProcess(WORKER_COMMAND, stack.env);
    await eventually(() => !second.running, 30_000);
    expect(second.child.exitCode).toBe(78);
    expect(second.output).toContain('RIPOSTE_WORKER_METRICS_PORT: metrics cannot be served at port');
  });
});
