import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TENANT_A, TENANT_B } from '../support/database.js';
import type { Answer, Client, GraphError } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';
import { NotificationReceiver, isSignedWith } from '../simulators/notification-receiver/receiver.js';
import { SlackChannel } from '../simulators/slack/channel.js';

/** Change notifications after Microsoft Graph's, from the product as it runs to a receiver of their own. */

const READ = ['SecurityActions.Read.All'];
const OTHER_APP = '33333333-3333-4333-8333-333333333333';
const SECRET_STATE = 'state-that-nobody-else-may-see';

const config = `
providers: [{ id: mock, plugin: mock }]
notifications:
  network: { allow: ['127.0.0.0/8'] }
  # Three seconds: then it is a dead letter.
  tryMinutes: 0.05
`;

interface Subscription {
  readonly id: string;
  readonly '@riposte.signingSecret'?: string;
  readonly [key: string]: unknown;
}

let stack: Stack;
let receiver: NotificationReceiver;
let client: Client;

beforeAll(async () => {
  receiver = await NotificationReceiver.start();
  stack = await Stack.start({ config });
  client = await stack.client();
});
afterAll(async () => {
  await stack.stop();
  await receiver.stop();
});
beforeEach(async () => {
  receiver.refusals = [];
  receiver.validation = null;
  for (const { id } of (await list(client)).body.value)
    await client.request('DELETE', `/beta/subscriptions/${id}`);
});

const inMinutes = (minutes: number): string => new Date(Date.now() + minutes * 60_000).toISOString();
const list = (who: Client): Promise<Answer<{ value: Subscription[] }>> =>
  who.request('GET', '/beta/subscriptions');

function subscribe<T = Subscription>(given: object = {}, who = client): Promise<Answer<T>> {
  const wish = {
    changeType: 'created,updated',
    notificationUrl: receiver.url,
    resource: 'security/securityActions',
    expirationDateTime: inMinutes(60),
    clientState: SECRET_STATE,
    ...given,
  };
  return who.post<T>(wish, '/v1.0/subscriptions');
}

async function subscribed(given: object = {}, who = client): Promise<Subscription> {
  const { status, body } = await subscribe(given, who);
  expect({ status, body }).toMatchObject({ status: 201 });
  return body;
}

describe('a subscription', () => {
  it('is made once its address has sent back the token, shown without its secrets, renewed and removed', async () => {
    // With all that the model of an SDK may have.
    const made = await subscribed({
      '@odata.type': '#microsoft.graph.subscription',
      includeResourceData: false,
      encryptionCertificate: null,
      encryptionCertificateId: null,
      latestSupportedTlsVersion: 'v1_2',
      notificationContentType: 'application/json',
      notificationQueryOptions: null,
      notificationUrlAppId: null,
    });
    expect(made).toMatchObject({
      changeType: 'created,updated',
      clientState: SECRET_STATE,
      applicationId: expect.any(String) as string,
    });
    const path = `/beta/subscriptions/${made.id}`;
    const got = await client.request<Subscription>('GET', path);
    expect(got.body).not.toHaveProperty(['@riposte.signingSecret']);
    expect(got.body['clientState']).toBeNull();
    expect(JSON.stringify((await list(client)).body)).not.toContain(SECRET_STATE);
    const until = inMinutes(120);
    const renewal = {
      body: JSON.stringify({ expirationDateTime: until }),
      headers: { 'content-type': 'application/json' },
    };
    expect((await client.request('PATCH', path, renewal)).body).toMatchObject({ expirationDateTime: until });
    expect((await client.request('POST', `${path}/reauthorize`)).status).toBe(204);
    expect((await client.request('DELETE', path)).status).toBe(204);
    expect((await client.request('GET', path)).status).toBe(404);
  });

  it('can be made in a batch, and by whoever may only read', async () => {
    const reader = await stack.client({ roles: READ, app: OTHER_APP });
    const wish = {
      changeType: 'updated',
      notificationUrl: receiver.url,
      resource: '/security/securityActions',
      expirationDateTime: inMinutes(5),
    };
    const answer = await reader.post<{ responses: { status: number; body: Subscription }[] }>(
      {
        requests: [
          {
            id: '1',
            method: 'POST',
            url: '/subscriptions',
            headers: { 'Content-Type': 'application/json' },
            body: wish,
          },
        ],
      },
      '/beta/$batch',
    );
    expect(answer.body.responses[0]).toMatchObject({ status: 201, body: { changeType: 'updated' } });
    const id = String(answer.body.responses[0]?.body.id);
    expect((await reader.request('DELETE', `/beta/subscriptions/${id}`)).status).toBe(204);
  });

  it("is another tenant's and another application's 404", async () => {
    const { id } = await subscribed();
    for (const options of [{ tenant: TENANT_B }, { app: OTHER_APP }]) {
      const stranger = await stack.client(options);
      for (const method of ['GET', 'DELETE'])
        expect((await stranger.request(method, `/beta/subscriptions/${id}`)).status).toBe(404);
      expect((await list(stranger)).body.value).toEqual([]);
    }
  });

  it.each([
    ['a wrong answer', { status: 200, type: 'text/plain', text: 'hello' }],
    ['an answer that is no text', { status: 200, type: 'application/json', text: '' }],
    ['a status other than 200', { status: 202, type: 'text/plain', text: '' }],
  ])('is refused where its address proves itself by %s', async (_what, validation) => {
    receiver.validation = validation;
    const { status, body } = await subscribe<GraphError>();
    expect({ status, body }).toMatchObject({
      status: 400,
      body: {
        error: {
          code: 'invalidRequest',
          message: expect.stringContaining('validation request failed') as string,
        },
      },
    });
  });

  it.each([
    ['deleted', { changeType: 'deleted' }],
    ['another resource', { resource: 'me/messages' }],
    ['an end that has passed', { expirationDateTime: '2020-01-01T00:00:00Z' }],
    ['an end beyond 43,200 minutes', { expirationDateTime: inMinutes(43_300) }],
    ['what changed along with it', { includeResourceData: true }],
    ['a long clientState', { clientState: 'x'.repeat(129) }],
  ])('is refused for %s', async (_what, wish) => {
    expect(await subscribe(wish)).toMatchObject({ status: 400 });
  });

  it.each([
    'https://169.254.169.254/latest/meta-data',
    'http://10.0.0.1/',
    'https://[::1]/',
    'https://[fd00:ec2::254]/',
    'https://[::ffff:10.0.0.1]/',
    'https://[64:ff9b::a00:1]/',
    'http://2130706433/',
    'http://0x7f.1/',
    'https://user:password@receiver.example/',
    String.raw`https://receiver.example\@10.0.0.1/`,
    'http://receiver.example/',
    'https://receiver.example:8443/',
    'file:///etc/passwd',
    'ftp://127.0.0.1/',
    'nowhere',
  ])('is refused for the address %s', async (notificationUrl) => {
    const { status, body } = await subscribe<GraphError>({ notificationUrl });
    expect({ status, message: body.error.message }).toMatchObject({ status: 400 });
    expect(body.error.message).not.toContain('password');
  });

  it('is refused where its address leads elsewhere', async () => {
    const notificationUrl = receiver.url.replace('/hook', '/elsewhere');
    expect(await subscribe({ notificationUrl })).toMatchObject({ status: 400 });
  });
});

describe('what a subscriber is told', () => {
  it('is each change of an action, in order, signed, with what it gave along', async () => {
    const made = await subscribed();
    const id = await client.act('BlockIp', { IP: '1.2.3.4' });
    await eventually(() => receiver.changesOf(id).length === 3, 20_000);
    expect(receiver.changesOf(id)).toEqual(['created', 'updated', 'updated']);
    expect(receiver.taken.find((one) => one.resourceData?.id === id)).toEqual({
      id: expect.any(String) as string,
      subscriptionId: made.id,
      subscriptionExpirationDateTime: made['expirationDateTime'],
      clientState: SECRET_STATE,
      changeType: 'created',
      tenantId: TENANT_A,
      resource: `security/securityActions/${id}`,
      resourceData: {
        '@odata.type': '#microsoft.graph.securityAction',
        '@odata.id': `security/securityActions/${id}`,
        id,
      },
    });
    const secret = String(made['@riposte.signingSecret']);
    const own = receiver.came.filter(({ body }) => body.includes(id));
    expect(own.every((one) => isSignedWith(secret, one))).toBe(true);
    expect(own.some((one) => isSignedWith('another', one))).toBe(false);
  });

  it('is only what it asked for: of one action, of one kind, of its own tenant', async () => {
    const long = await client.act('LongRunning', { durationMs: 600_000 });
    const made = await subscribed({
      resource: `/security/securityActions('${long}')`,
      changeType: 'updated',
    });
    const stranger = await stack.client({ tenant: TENANT_B });
    const others = [
      await client.act('BlockIp', { IP: '1.2.3.5' }),
      await stranger.act('BlockIp', { IP: '1.2.3.6' }),
    ];
    await client.inPhase(long, 'waitingOnVendor');
    await client.cancel(long);
    const isTold = (): boolean =>
      receiver.taken.some((one) => one.subscriptionId === made.id && one.resourceData?.id === long);
    await client.ended(long);
    await eventually(isTold);
    expect(new Set(receiver.changesOf(long))).toEqual(new Set(['updated']));
    expect(others.flatMap((id) => receiver.changesOf(id))).toEqual([]);
  });

  it('comes again, in the same order, after the receiver failed', async () => {
    await subscribed();
    receiver.refusals = [500];
    const id = await client.act('BlockIp', { IP: '1.2.3.7' });
    await eventually(() => receiver.changesOf(id).length === 3, 20_000);
    expect(receiver.changesOf(id)).toEqual(['created', 'updated', 'updated']);
  });

  it('comes although Redis forgot everything meanwhile', async () => {
    await subscribed();
    receiver.refusals = [503];
    const id = await client.act('BlockIp', { IP: '1.2.3.9' });
    await eventually(() => receiver.refusals.length === 0, 20_000);
    const redis = new Redis(stack.redis.url);
    await redis.flushall();
    redis.disconnect();
    await eventually(() => receiver.changesOf(id).length === 3, 20_000);
    expect(receiver.changesOf(id)).toEqual(['created', 'updated', 'updated']);
  });

  it('is a dead letter after its time, of which the subscriber hears, and which can be delivered again', async () => {
    const made = await subscribed({ changeType: 'created', lifecycleNotificationUrl: receiver.url });
    const { port } = receiver;
    await receiver.stop();
    const id = await client.act('BlockIp', { IP: '1.2.3.8' });
    const letters = async (who: Client) =>
      (
        await who.request<{ value: { id: string; actionId: string }[] }>(
          'GET',
          '/api/v1/notifications/deadLetters',
        )
      ).body.value;
    const letter = await eventually(
      async () => (await letters(client)).find(({ actionId }) => actionId === id) ?? false,
      30_000,
    );
    await receiver.open(port);
    const stranger = await stack.client({ tenant: TENANT_B });
    expect(await letters(stranger)).toEqual([]);
    const path = `/api/v1/notifications/deadLetters/${(letter as { id: string }).id}/replay`;
    expect((await stranger.request('POST', path)).status).toBe(404);
    expect((await client.request('POST', path)).status).toBe(204);
    await eventually(() => receiver.changesOf(id).length === 1, 20_000);
    await eventually(
      () => receiver.taken.some((one) => one.lifecycleEvent === 'missed' && one.subscriptionId === made.id),
      20_000,
    );
  });

  it('is that its subscription has ended, after which it is a 404', async () => {
    const made = await subscribed({
      lifecycleNotificationUrl: receiver.url,
      expirationDateTime: new Date(Date.now() + 4000).toISOString(),
    });
    const told = (): readonly (string | undefined)[] =>
      receiver.taken.filter((one) => one.subscriptionId === made.id).map((one) => one.lifecycleEvent);
    await eventually(() => told().includes('subscriptionRemoved'), 20_000);
    expect((await client.request('GET', `/beta/subscriptions/${made.id}`)).status).toBe(404);
  });
});

describe('a webhook of an operator', () => {
  interface Webhook {
    readonly id: string;
    readonly [key: string]: unknown;
  }
  const WEBHOOKS = '/api/v1/webhooks';
  let operator: Client;
  let slack: SlackChannel;
  beforeAll(async () => {
    operator = await stack.client({ roles: ['Riposte.Operator'] });
    slack = await SlackChannel.start();
  });
  afterAll(() => slack.stop());

  it('tells a Slack channel of what became of actions, and is shown without its address', async () => {
    const wish = { name: 'SOC', template: 'slack', url: slack.url, providers: ['mock'] };
    const made = await operator.post<Webhook>(wish, WEBHOOKS);
    expect(made).toMatchObject({
      status: 201,
      body: {
        template: 'slack',
        host: new URL(slack.url).host,
        states: ['Completed', 'Failed'],
        phases: null,
        providers: ['mock'],
        problem: null,
      },
    });
    const path = `${WEBHOOKS}/${made.body.id}`;
    expect((await operator.request('GET', path)).body).toEqual(made.body);
    expect((await operator.request('GET', WEBHOOKS)).body).toEqual({ value: [made.body] });
    expect(JSON.stringify(made.body)).not.toContain('services');
    const id = await client.act('BlockIp', { IP: '1.2.3.10' });
    const seen = await eventually(() => slack.seen.find(({ code }) => code.includes(id)), 20_000);
    expect(seen.code).toEqual(expect.arrayContaining(['BlockIp', 'IP', '1.2.3.10']));

    const stranger = await stack.client({ tenant: TENANT_B, roles: ['Riposte.Operator'] });
    for (const method of ['GET', 'DELETE']) expect((await stranger.request(method, path)).status).toBe(404);
    expect((await stranger.request('GET', WEBHOOKS)).body).toEqual({ value: [] });
    for (const role of ['SecurityActions.Read.All', 'SecurityActions.ReadWrite.All'])
      expect((await (await stack.client({ roles: [role] })).request('GET', path)).status).toBe(403);
    expect((await operator.request('DELETE', path)).status).toBe(204);
    expect((await operator.request('GET', path)).status).toBe(404);
  });

  it.each([
    ['mail to nobody', { template: 'email' }, 'to is needed'],
    [
      'mail to several lines',
      { template: 'email', to: ['a@b.example\r\nBcc: c@d.example'] },
      'mail addresses',
    ],
    ['addresses where there is no mail', { to: ['a@b.example'] }, 'are for the template email'],
    ['a template that is not there', { template: 'pager' }, 'template'],
    ['a state that is not there', { states: ['Done'] }, 'states'],
    ['a provider that the tenant does not have', { providers: ['nowhere'] }, 'the tenant has no nowhere'],
    ['an address that may not be called', { url: 'https://10.0.0.1/' }, 'notifications.network.allow'],
    ['an address that does not take it', { url: 'elsewhere' }, 'answered with HTTP 404'],
  ])('is refused for %s', async (_what, given: Record<string, unknown>, why) => {
    const url = given['url'] === 'elsewhere' ? `${slack.url}/elsewhere` : (given['url'] ?? slack.url);
    const wish = { name: 'SOC', template: 'slack', ...given, url };
    expect(await operator.post<GraphError>(wish, WEBHOOKS)).toMatchObject({
      status: 400,
      body: { error: { code: 'invalidRequest', message: expect.stringContaining(why) as string } },
    });
  });
});
