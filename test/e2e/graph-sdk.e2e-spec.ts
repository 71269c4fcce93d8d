import {
  Client as GraphClient,
  GraphError,
  PageIterator,
  type AuthenticationProvider,
  type PageCollection,
} from '@microsoft/microsoft-graph-client';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { mockAction, type GraphAction } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';
import { NotificationReceiver } from '../simulators/notification-receiver/receiver.js';
import { trustedCertificate, type TrustedCertificate } from '../support/tls.js';

/**
 * Microsoft's own Graph client for JavaScript, unchanged but for its base URL. It sends its token over TLS only,
 * so the API serves TLS here, with a certificate that this process trusts.
 */

let stack: Stack;
let graph: GraphClient;
let certificate: TrustedCertificate;

beforeAll(async () => {
  certificate = await trustedCertificate();
  stack = await Stack.start({
    tls: certificate,
    config: `
providers: [{ id: mock, plugin: mock }]
notifications: { network: { allow: ['127.0.0.0/8'] } }
`,
  });
  const { token } = await stack.client({ tenant: randomUUID() });
  const authProvider: AuthenticationProvider = { getAccessToken: () => Promise.resolve(token) };
  graph = GraphClient.initWithMiddleware({
    baseUrl: stack.baseUrl,
    defaultVersion: 'beta',
    authProvider,
    customHosts: new Set(['127.0.0.1']),
  });
});
afterAll(async () => {
  await stack.stop();
  await certificate.distrust();
});

const create = (name: string, parameters: Record<string, string | number>): Promise<GraphAction> =>
  graph.api('/security/securityActions').post(mockAction(name, parameters)) as Promise<GraphAction>;
const get = (id: string): Promise<GraphAction> =>
  graph.api(`/security/securityActions/${id}`).get() as Promise<GraphAction>;

describe('the Microsoft Graph client', () => {
  it('creates an action and watches it complete', async () => {
    const action = await create('BlockIp', { IP: '1.2.3.4' });
    expect(action.status).toBe('NotStarted');
    const done = await eventually(async () => {
      const now = await get(action.id);
      return now.status === 'Completed' ? now : false;
    });
    expect((done as GraphAction).states.map(({ status }) => status)).toEqual([
      'NotStarted',
      'Running',
      'Completed',
    ]);
  });

  it('cancels a long one', async () => {
    const { id } = await create('LongRunning', { durationMs: 600_000 });
    await eventually(async () => (await get(id)).status === 'Running');
    await graph.api(`/security/securityActions/${id}/cancelSecurityAction`).post({});
    const ended = await eventually(async () => {
      const now = await get(id);
      return now.status === 'Failed' ? now : false;
    });
    expect((ended as GraphAction).errorInfo?.code).toBe(499);
  });

  it('pages through a list with its own iterator', async () => {
    for (let index = 0; index < 3; index += 1) await create('BlockIp', { IP: '1.2.3.4' });
    const first = (await graph.api('/security/securityActions').top(2).get()) as PageCollection;
    expect(first.value).toHaveLength(2);
    const seen: string[] = [];
    const iterator = new PageIterator(graph, first, (item: GraphAction) => {
      seen.push(item.id);
      return true;
    });
    await iterator.iterate();
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.length).toBeGreaterThanOrEqual(5);
  });

  it('subscribes to changes, renews that and ends it', async () => {
    const receiver = await NotificationReceiver.start();
    onTestFinished(() => receiver.stop());
    const inMinutes = (minutes: number): string => new Date(Date.now() + minutes * 60_000).toISOString();
    const subscription = {
      changeType: 'updated',
      notificationUrl: receiver.url,
      resource: 'security/securityActions',
      expirationDateTime: inMinutes(60),
      clientState: 'secretClientValue',
      includeResourceData: false,
    };
    const { id } = (await graph.api('/subscriptions').post(subscription)) as { readonly id: string };
    const path = `/subscriptions/${id}`;
    const action = await create('BlockIp', { IP: '1.2.3.4' });
    await eventually(() => receiver.changesOf(action.id).length === 2);
    const expirationDateTime = inMinutes(120);
    expect(await graph.api(path).patch({ expirationDateTime })).toMatchObject({ id, expirationDateTime });
    await graph.api(`${path}/reauthorize`).post(null);
    await graph.api(path).delete();
    expect(await graph.api('/subscriptions').get()).toMatchObject({ value: [] });
  });

  it('understands a failure: code, message and request id', async () => {
    const failure = (await get(randomUUID()).catch((error: unknown) => error)) as GraphError;
    expect(failure).toBeInstanceOf(GraphError);
    expect(failure).toMatchObject({ statusCode: 404, code: 'itemNotFound' });
    expect(failure.requestId).toMatch(/^[0-9a-f-]{36}$/);
  });
});
