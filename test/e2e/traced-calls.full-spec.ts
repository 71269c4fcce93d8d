import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startMockVendor, type RunningVendor } from '../simulators/mock-vendor/start.js';
import { SimulatorServer, answerJson } from '../simulators/simulator-server.js';
import type { Client, NativeAction } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { startOtlpReceiver, type OtlpReceiver, type ReceivedSpan } from '../support/otlp-receiver.js';
import { Stack } from '../support/stack.js';
import { CLIENT, named, one, spansOfTrace, traceIdOf } from '../support/traces.js';

/** The spans of every kind of call of a plugin, and of requests of a plugin that runs in a process of its own. */

const ACME = path.resolve(import.meta.dirname, '../fixtures/plugins/acme');

let receiver: OtlpReceiver;
/** Of the plugin of others. Answers whatever it is asked. */
let vendor: SimulatorServer;
const heard: (string | undefined)[] = [];
/** Where requests can be looked up. */
let lookup: RunningVendor;
let stack: Stack;
let client: Client;

beforeAll(async () => {
  receiver = await startOtlpReceiver();
  vendor = await SimulatorServer.start(({ headers }, response) => {
    heard.push(headers['traceparent'] as string | undefined);
    answerJson(response, 200, {});
  });
  lookup = await startMockVendor('lookup');
  const network = { allow: ['127.0.0.0/8'] };
  stack = await Stack.start({
    config: JSON.stringify({
      tracing: { propagateToVendors: true },
      plugins: { acme: { package: ACME } },
      providers: [
        { id: 'mock', plugin: 'mock' },
        {
          id: 'lookup',
          plugin: 'mock',
          subProvider: 'lookup',
          network,
          settings: { mode: 'lookup', baseUrl: lookup.baseUrl },
        },
        { id: 'acme', plugin: 'acme', network, settings: { site: vendor.baseUrl } },
      ],
    }),
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint, OTEL_BSP_SCHEDULE_DELAY: '50' },
  });
  client = await stack.client();
});
afterAll(async () => {
  await stack.stop();
  await lookup.stop();
  await vendor.stop();
  await receiver.stop();
});

const traceOf = async (id: string, expected: Readonly<Record<string, number>> = {}) =>
  spansOfTrace(receiver, await traceIdOf(receiver, id), expected);
const isolate = (machineId: string) =>
  client.act('Isolate', { machineId }, { vendorInformation: { vendor: 'Acme', provider: 'EDR' } });
const dispatchesOf = (spans: readonly ReceivedSpan[]) => named(spans, 'dispatch').map(({ spanId }) => spanId);
const sentUnder = (spans: readonly ReceivedSpan[], { spanId }: ReceivedSpan): readonly ReceivedSpan[] =>
  spans.filter(({ kind, parentSpanId }) => kind === CLIENT && parentSpanId === spanId);
const headerOf = ({ traceId, spanId }: ReceivedSpan): string => `00-${traceId}-${spanId}-01`;

describe('the trace of an action', () => {
  it('has the call that cancels it, which links to the call that issued it', async () => {
    const id = await client.act('LongRunning', { durationMs: 60_000 });
    await client.inPhase(id, 'waitingOnVendor');
    expect((await client.cancel(id)).status).toBe(200);
    expect((await client.ended(id)).phase).toBe('cancelledAtProvider');
    const spans = await traceOf(id, { 'plugin cancel': 1, dispatch: 2 });
    const cancel = one(spans, 'plugin cancel');
    expect(dispatchesOf(spans)).toContain(cancel.parentSpanId);
    expect(cancel).toMatchObject({
      attributes: { 'riposte.action.id': id, 'riposte.outcome': 'cancelled' },
      links: [{ spanId: one(spans, 'plugin execute').spanId }],
    });
  });

  it('has the call that looks up what became of it, with its request', async () => {
    await lookup.behave({ executeAndReset: 1 });
    const id = await client.act(
      'BlockIp',
      { IP: '203.0.113.9' },
      { vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider: 'lookup' } },
    );
    expect((await client.ended(id)).status).toBe('Completed');
    const spans = await traceOf(id, { 'plugin reconcile': 1 });
    const [execute, reconcile] = [one(spans, 'plugin execute'), one(spans, 'plugin reconcile')];
    expect(execute).toMatchObject({ failed: true, attributes: { 'error.type': 'unknownOutcome' } });
    expect(dispatchesOf(spans)).toContain(reconcile.parentSpanId);
    expect(reconcile).toMatchObject({
      attributes: { 'riposte.action.id': id, 'riposte.outcome': 'completed' },
      links: [{ traceId: execute.traceId, spanId: execute.spanId }],
    });
    expect(sentUnder(spans, reconcile)).toMatchObject([{ name: 'GET', failed: false }]);
  });

  it('of one that undoes another is its own, and links to that of the other', async () => {
    const id = await client.act('BlockIp', { IP: '203.0.113.8' });
    await client.ended(id);
    const { body } = await client.request<NativeAction>('POST', `/api/v1/actions/${id}/revert`);
    expect((await client.ended(body.id)).status).toBe('Completed');
    const [undone, spans] = [await traceOf(id), await traceOf(body.id, { 'plugin revert': 1 })];
    const [original, submit] = [one(undone, 'submit'), one(spans, 'submit')];
    expect(submit.links).toMatchObject([{ traceId: original.traceId, spanId: original.spanId }]);
    expect(submit.traceId).not.toBe(original.traceId);
    expect(one(spans, 'dispatch').parentSpanId).toBe(submit.spanId);
    expect(one(spans, 'plugin revert')).toMatchObject({
      parentSpanId: one(spans, 'dispatch').spanId,
      attributes: { 'riposte.action.id': body.id, 'riposte.outcome': 'completed' },
    });
  });
});

describe('a plugin in a process of its own', () => {
  it('has its requests in the trace of the action, and the vendor is told of it', async () => {
    heard.length = 0;
    const id = await isolate('asks');
    expect((await client.ended(id)).status).toBe('Completed');
    const spans = await traceOf(id, { 'plugin execute': 1, GET: 1 });
    const [request] = sentUnder(spans, one(spans, 'plugin execute')) as [ReceivedSpan];
    expect(request).toMatchObject({
      service: 'riposte-worker',
      failed: false,
      attributes: {
        'http.request.method': 'GET',
        'http.response.status_code': 200,
        'server.address': '127.0.0.1',
        'server.port': vendor.port,
      },
    });
    expect(heard).toContain(headerOf(request));
  });

  it('is asked about many in a trace that links to theirs, in which its request is', async () => {
    const id = await isolate('takesLong');
    expect((await client.ended(id)).status).toBe('Completed');
    const spans = await traceOf(id, { 'plugin poll': 1, dispatch: 2 });
    const poll = one(spans, 'plugin poll');
    expect(poll.links).toMatchObject([{ spanId: one(spans, 'plugin execute').spanId }]);
    const together = await eventually(() =>
      receiver.spans.find(
        ({ name, links }) => name === 'plugin pollMany' && links.some(({ spanId }) => spanId === poll.spanId),
      ),
    );
    expect(together.traceId).not.toBe(poll.traceId);
    const [request] = (await eventually(() => {
      const sent = sentUnder(receiver.spans, together);
      return sent.length > 0 && sent;
    })) as [ReceivedSpan];
    expect(request.traceId).toBe(together.traceId);
    expect(heard).toContain(headerOf(request));
  });

  it('has what it logs in the trace of the action that it is called for, not of the one before', async () => {
    const ids = [await isolate('m1'), await isolate('m2')] as const;
    for (const id of ids) await client.ended(id);
    for (const id of ids) {
      const line = await eventually(() =>
        stack.workers[0]?.log.find(({ msg, actionId }) => msg === 'isolating' && actionId === id),
      );
      expect(line['trace_id']).toBe(await traceIdOf(receiver, id));
    }
  });
});
