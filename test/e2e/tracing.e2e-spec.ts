import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_COMMAND, WORKER_COMMAND } from '../deploy/start-commands.js';
import { mockAction, type Client, type GraphAction } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { startOtlpReceiver, type OtlpReceiver } from '../support/otlp-receiver.js';
import { ProductProcess } from '../support/product-process.js';
import { PROJECT_DIR } from '../support/project-dir.js';
import { Stack } from '../support/stack.js';
import {
  CLIENT,
  CONSUMER,
  PRODUCER,
  SERVER,
  named,
  one,
  ownTrace,
  spansOfTrace,
  traceIdOf as traceIdOfAction,
} from '../support/traces.js';

const SUBMITTED = 'POST /beta/security/securityActions';

const PRELOAD = `--require ${path.join(PROJECT_DIR, 'test/fixtures/loaded-packages.cjs')}`;

let receiver: OtlpReceiver;
let vendor: Server;
const vendorHeard: IncomingHttpHeaders[] = [];
let loadedDir: string;
let stack: Stack;
let client: Client;

beforeAll(async () => {
  receiver = await startOtlpReceiver();
  loadedDir = await mkdtemp(path.join(tmpdir(), 'riposte-loaded-'));
  // It is sent requests, and answers nothing that a vendor would: what is sent is what counts.
  vendor = createServer((request, response) => {
    // A worker's rounds ask for the vendor's health whenever they like, and belong to no action.
    if (request.url !== '/health') vendorHeard.push(request.headers);
    response.writeHead(400).end();
  });
  await new Promise<void>((resolve) => void vendor.listen(0, '127.0.0.1', resolve));
  stack = await Stack.start({
    config: configOf(false),
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
      OTEL_BSP_SCHEDULE_DELAY: '50',
      // Of all tries of a batch: longer than a stop waits.
      OTEL_EXPORTER_OTLP_TIMEOUT: '4000',
      NODE_OPTIONS: PRELOAD,
      RIPOSTE_TEST_LOADED: loadedDir,
    },
  });
  client = await stack.client();
});
afterAll(async () => {
  await stack.stop();
  await receiver.stop();
  vendor.close();
  await rm(loadedDir, { recursive: true, force: true });
});

/** Of riposte.config.yaml. */
function configOf(propagateToVendors: boolean): string {
  const baseUrl = `http://127.0.0.1:${(vendor.address() as AddressInfo).port}`;
  return JSON.stringify({
    limits: { perApp: 0 },
    tracing: { propagateToVendors },
    providers: [
      { id: 'mock', plugin: 'mock' },
      {
        id: 'remote',
        plugin: 'mock',
        subProvider: 'remote',
        network: { allow: ['127.0.0.0/8'] },
        settings: { baseUrl },
      },
    ],
  });
}

/** At the vendor that is called by HTTP. */
const REMOTE = { vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider: 'remote' } };

async function act(
  name: string,
  parameters: Readonly<Record<string, string | number>>,
  { traceparent, extra = {} }: { readonly traceparent?: string; readonly extra?: object } = {},
): Promise<string> {
  const answer = await client.request<GraphAction>('POST', '/beta/security/securityActions', {
    body: JSON.stringify(mockAction(name, parameters, extra)),
    headers: { 'content-type': 'application/json', ...(traceparent === undefined ? {} : { traceparent }) },
  });
  expect(answer.status).toBe(201);
  return answer.body.id;
}

const traceOf = (traceId: string, expected: Readonly<Record<string, number>> = {}) =>
  spansOfTrace(receiver, traceId, { [SUBMITTED]: 1, ...expected });
const traceIdOf = (id: string) => traceIdOfAction(receiver, id);

describe('the trace of an action', () => {
  it('is the caller’s, from its request through the queue to the call of the plugin', async () => {
    const caller = ownTrace();
    const id = await act('BlockIp', { IP: '203.0.113.99' }, { traceparent: caller.header });
    await client.ended(id);
    const spans = await traceOf(caller.traceId);
    const server = one(spans, SUBMITTED);
    expect(server).toMatchObject({
      service: 'riposte-api',
      kind: SERVER,
      parentSpanId: caller.spanId,
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/beta/security/securityActions',
        'http.response.status_code': 201,
      },
    });
    const submit = one(spans, 'submit');
    const facts = { 'riposte.action.id': id, 'riposte.instance': 'mock', 'riposte.action.name': 'BlockIp' };
    expect(submit).toMatchObject({ parentSpanId: server.spanId, attributes: facts });
    expect(submit.attributes['riposte.tenant']).toBe(server.attributes['riposte.tenant']);
    expect(one(spans, 'enqueue')).toMatchObject({
      kind: PRODUCER,
      parentSpanId: submit.spanId,
      attributes: { 'messaging.system': 'bullmq', 'messaging.destination.name': 'mock' },
    });
    const dispatch = one(spans, 'dispatch');
    expect(dispatch).toMatchObject({
      service: 'riposte-worker',
      kind: CONSUMER,
      parentSpanId: submit.spanId,
      links: [],
      attributes: { ...facts, 'riposte.epoch': 1 },
    });
    expect(one(spans, 'claim').parentSpanId).toBe(dispatch.spanId);
    expect(one(spans, 'plugin execute')).toMatchObject({
      parentSpanId: dispatch.spanId,
      attributes: { ...facts, 'riposte.attempt': 1, 'riposte.outcome': 'completed' },
      failed: false,
    });
  });

  it('holds no parameter', async () => {
    const id = await act('BlockIp', { IP: '203.0.113.177' });
    await client.ended(id);
    await traceOf(await traceIdOf(id));
    expect(receiver.raw).not.toContain('203.0.113.177');
  });

  it('has each attempt, which links to the one before', async () => {
    const id = await act('FailTimes', { times: 2 });
    expect((await client.ended(id)).attempts).toHaveLength(3);
    const spans = await traceOf(await traceIdOf(id), { dispatch: 3 });
    const [first, second, third] = named(spans, 'plugin execute');
    expect(first).toMatchObject({ failed: true, attributes: { 'error.type': 'transient' }, links: [] });
    expect(second).toMatchObject({ failed: true, links: [{ spanId: first?.spanId }] });
    expect(third).toMatchObject({ failed: false, links: [{ spanId: second?.spanId }] });
    const dispatches = named(spans, 'dispatch');
    expect(dispatches.map(({ links }) => links.map(({ spanId }) => spanId))).toEqual([
      [],
      [dispatches[0]?.spanId],
      [dispatches[1]?.spanId],
    ]);
    expect(new Set(dispatches.map(({ parentSpanId }) => parentSpanId))).toEqual(
      new Set([one(spans, 'submit').spanId]),
    );
  });

  it('has the polls of a long operation, which link to the call that began it', async () => {
    const id = await act('LongRunning', { durationMs: 1200 });
    await client.ended(id);
    const traceId = await traceIdOf(id);
    await eventually(() =>
      receiver.spans.some(
        (span) =>
          span.traceId === traceId &&
          span.name === 'plugin poll' &&
          span.attributes['riposte.outcome'] === 'completed',
      ),
    );
    const spans = await traceOf(traceId, { dispatch: 2 });
    const begun = one(spans, 'plugin execute');
    expect(begun.attributes['riposte.outcome']).toBe('pending');
    const polls = named(spans, 'plugin poll');
    expect(polls.length).toBeGreaterThan(0);
    for (const poll of polls) expect(poll.links).toMatchObject([{ spanId: begun.spanId }]);
  });

  it('has the requests to the vendor, which is not told of it', async () => {
    const id = await act('BlockIp', { IP: '203.0.113.5' }, { extra: REMOTE });
    await client.ended(id);
    const spans = await traceOf(await traceIdOf(id));
    const request = spans.find(({ kind }) => kind === CLIENT);
    expect(request).toMatchObject({
      parentSpanId: one(spans, 'plugin execute').spanId,
      failed: true,
      attributes: { 'server.address': '127.0.0.1', 'http.response.status_code': 400 },
    });
    expect(vendorHeard.length).toBeGreaterThan(0);
    expect(vendorHeard.flatMap(({ traceparent }) => traceparent ?? [])).toEqual([]);
  });

  it('is in the log of both processes', async () => {
    const caller = ownTrace();
    const id = await act('BlockIp', { IP: '203.0.113.6' }, { traceparent: caller.header });
    await client.ended(id);
    const line = (of: ProductProcess | undefined, msg: string) =>
      of?.log.find((entry) => entry['msg'] === msg && entry['trace_id'] === caller.traceId);
    const spans = await traceOf(caller.traceId);
    await eventually(() => line(stack.workers[0], 'action ended'));
    expect(line(stack.api, 'action submitted')?.['span_id']).toBe(one(spans, 'submit').spanId);
    // By which the `request-id` of an answer leads to the trace.
    const server = one(spans, SUBMITTED);
    expect(line(stack.api, 'request answered')).toMatchObject({
      span_id: server.spanId,
      requestId: server.attributes['riposte.request.id'],
    });
  });
});

describe('a traceparent', () => {
  it.each(['00-00000000000000000000000000000000-0000000000000001-01', 'nonsense', `ff-${'1'.repeat(32)}`])(
    'that is none (%s) begins a trace of our own',
    async (traceparent) => {
      const id = await act('BlockIp', { IP: '203.0.113.7' }, { traceparent });
      await client.ended(id);
      const spans = await traceOf(await traceIdOf(id));
      expect(spans.find(({ kind }) => kind === SERVER)?.parentSpanId).toBeUndefined();
    },
  );

  it('that asks for no trace is kept to', async () => {
    const caller = ownTrace();
    const id = await act('BlockIp', { IP: '203.0.113.8' }, { traceparent: caller.header.replace(/1$/, '0') });
    await client.ended(id);
    // What comes later has come, so what was before would have.
    const after = await act('BlockIp', { IP: '203.0.113.8' });
    await client.ended(after);
    await traceOf(await traceIdOf(after));
    expect(receiver.spans.filter(({ traceId }) => traceId === caller.traceId)).toEqual([]);
  });
});

describe('the requests of a batch', () => {
  it('are parts of its trace', async () => {
    const caller = ownTrace();
    const answer = await client.request<{ readonly responses: readonly { readonly body: GraphAction }[] }>(
      'POST',
      '/v1.0/$batch',
      {
        headers: { 'content-type': 'application/json', traceparent: caller.header },
        body: JSON.stringify({
          requests: ['1', '2'].map((id) => ({
            id,
            method: 'POST',
            url: '/security/securityActions',
            headers: { 'Content-Type': 'application/json' },
            body: mockAction('BlockIp', { IP: '203.0.113.9' }),
          })),
        }),
      },
    );
    for (const { body } of answer.body.responses) await client.ended(body.id);
    const spans = await traceOf(caller.traceId, {
      [SUBMITTED]: 0,
      'POST /v1.0/security/securityActions': 2,
      'POST /v1.0/$batch': 1,
      dispatch: 2,
    });
    const batch = one(spans, 'POST /v1.0/$batch');
    expect(
      named(spans, 'POST /v1.0/security/securityActions').map(({ parentSpanId }) => parentSpanId),
    ).toEqual([batch.spanId, batch.spanId]);
    expect(new Set(named(spans, 'plugin execute').map(({ spanId }) => spanId)).size).toBe(2);
  });
});

describe('a vendor that is to be told of the trace', () => {
  it('is sent the traceparent of its request', async () => {
    await writeFile(stack.env['RIPOSTE_CONFIG'] ?? '', configOf(true));
    const [before] = stack.workers.splice(0);
    await stack.startWorker().ready();
    await before?.end();
    vendorHeard.length = 0;
    const caller = ownTrace();
    const id = await act('BlockIp', { IP: '203.0.113.5' }, { traceparent: caller.header, extra: REMOTE });
    await client.ended(id);
    const spans = await traceOf(caller.traceId);
    const request = spans.find(({ kind }) => kind === CLIENT);
    expect(vendorHeard.map(({ traceparent }) => traceparent)).toEqual([
      `00-${caller.traceId}-${request?.spanId}-01`,
    ]);
  });
});

describe('a collector that is away', () => {
  it('changes nothing for an action, and is told of once', async () => {
    await receiver.stop();
    for (let index = 0; index < 5; index += 1)
      expect((await client.ended(await act('BlockIp', { IP: '203.0.113.10' }))).status).toBe('Completed');
    const told = () =>
      stack.api.log.filter(({ msg }) => String(msg).startsWith('traces are not delivered')).length;
    await eventually(() => told() > 0, 30_000);
    expect(told()).toBe(1);
  });

  it('does not keep a process from stopping', async () => {
    await act('BlockIp', { IP: '203.0.113.11' });
    const [worker] = stack.workers;
    expect(await Promise.all([stack.api.end(), worker?.end()])).toEqual([0, 0]);
    expect([...stack.api.log, ...(worker?.log ?? [])].filter(({ level }) => level === 'fatal')).toEqual([]);
    expect(await packagesLoadedBy(worker)).toContain('@opentelemetry/sdk-trace-node');
  });
});

describe('where nothing is configured', () => {
  it('nothing of the SDK is loaded, and nothing is kept of a trace', async () => {
    const env = { ...stack.env, OTEL_EXPORTER_OTLP_ENDPOINT: '' };
    stack.api = new ProductProcess(API_COMMAND, env);
    const worker = new ProductProcess(WORKER_COMMAND, env);
    stack.workers.push(worker);
    await Promise.all([stack.api.ready(), worker.ready()]);
    const id = await act('BlockIp', { IP: '203.0.113.12' }, { traceparent: ownTrace().header });
    expect((await client.ended(id)).status).toBe('Completed');
    const connection = await mongoose.createConnection(stack.mongodbUri).asPromise();
    const [record] = await connection.collection('actions').find().sort({ createdAt: -1 }).limit(1).toArray();
    await connection.close();
    expect(String(record?.['_id'])).toBe(id);
    expect(record).not.toHaveProperty('traceparent');
    expect(worker.log.some((line) => 'trace_id' in line)).toBe(false);
    await Promise.all([stack.api.end(), worker.end()]);
    for (const process of [stack.api, worker])
      expect(await packagesLoadedBy(process)).toEqual(['@opentelemetry/api']);
  });
});

async function packagesLoadedBy(process: ProductProcess | undefined): Promise<readonly string[]> {
  const file = path.join(loadedDir, `${process?.child.pid}.txt`);
  return (await readFile(file, 'utf8')).split('\n');
}
