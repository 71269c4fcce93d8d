import { spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { declaredProvider } from '../../plugins/http/index.js';
import { DocumentedReceiver, documented } from '../simulators/webhook-receiver/documented.js';
import { callContext } from '../support/call-context.js';

/** The signed webhook over HTTP, and the receivers of its documentation as processes of their own. */

const { calls } = declaredProvider(documented('yaml'), 'hook.provider.yaml');
const lock = { action: 'LockBadge', parameters: { Badge: 'B-1007' } };

interface Sent {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}
let server: Server;
let url: string;
let sent: Sent[] = [];
let answer: { readonly status: number; readonly body?: unknown };

beforeAll(async () => {
  server = createServer((request, response) => {
    void text(request).then((body) => {
      sent.push({ url: request.url ?? '', headers: request.headers, body });
      response.writeHead(answer.status).end(JSON.stringify(answer.body ?? {}));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  sent = [];
});

const context = (
  secrets: Readonly<Record<string, string>> = { signingSecret: 'secret-of-now' },
  to = url,
): ReturnType<typeof callContext> => callContext({ settings: { url: to }, secrets });
const hmac = (secret: string, { headers, body }: Sent): string =>
  createHmac('sha256', secret)
    .update(`${String(headers['x-riposte-timestamp'])}.${body}`)
    .digest('hex');

describe('a delivery', () => {
  it('says what is wanted, and is signed over its timestamp and raw body', async () => {
    answer = { status: 200, body: { status: 'completed', result: { door: 3 } } };
    expect(await calls.execute(context(), lock)).toEqual({
      kind: 'completed',
      result: { door: 3 },
      effect: { changed: true },
    });
    const [delivery] = sent as [Sent];
    expect(JSON.parse(delivery.body)).toMatchObject({
      specVersion: '1',
      id: 'key-1',
      event: 'execute',
      action: 'LockBadge',
      parameters: { Badge: 'B-1007' },
      target: 'B-1007',
      tenant: 'tenant-1',
    });
    expect(delivery.headers).toMatchObject({ 'x-riposte-delivery': 'key-1', 'idempotency-key': 'key-1' });
    expect(delivery.headers['x-riposte-signature']).toBe(
      `t=${String(delivery.headers['x-riposte-timestamp'])},v1=${hmac('secret-of-now', delivery)}`,
    );
  });

  it('says when the effect is to be over, where it is', async () => {
    answer = { status: 200, body: { status: 'completed' } };
    await calls.execute(context(), { ...lock, effectUntil: new Date(0) });
    await calls.execute(context(), lock);
    const [limited, lasting] = sent.map(({ body }) => JSON.parse(body) as object);
    expect(limited).toMatchObject({ effectUntil: '1970-01-01T00:00:00.000Z' });
    expect(lasting).not.toHaveProperty('effectUntil');
  });

  it('carries a signature by the old secret too while it is exchanged', async () => {
    answer = { status: 200, body: { status: 'completed' } };
    await calls.execute(context({ signingSecret: 'new-secret', previousSigningSecret: 'old-secret' }), lock);
    const [delivery] = sent as [Sent];
    for (const secret of ['new-secret', 'old-secret'])
      expect(delivery.headers['x-riposte-signature']).toContain(`v1=${hmac(secret, delivery)}`);
  });

  it('of a cancel is another than that of the action, so that it is not taken for a repetition', async () => {
    answer = { status: 200, body: { status: 'cancelled' } };
    expect(await calls.cancel(context(), { id: 'op-1' }, lock)).toBe('cancelled');
    expect(sent[0]?.headers['x-riposte-delivery']).toBe('key-1:cancel');
    expect(JSON.parse(sent[0]?.body ?? '')).toMatchObject({ event: 'cancel', operationId: 'op-1' });
  });
});

describe('a receiver that answers a known delivery as before', () => {
  it('is asked anew each time, and hears of a cancel again once there is work to name', async () => {
    answer = { status: 202, body: { status: 'running', operationId: 'op-1' } };
    for (const _ of [1, 2])
      expect(await calls.poll?.(context(), { id: 'op-1' }, lock)).toMatchObject({ kind: 'pending' });
    for (const operation of [null, { id: 'op-1' }, { id: 'op-1' }])
      await calls.cancel(context(), operation, lock);
    const ids = sent.map(({ headers }) => headers['x-riposte-delivery']);
    expect(new Set(ids.slice(0, 3)).size).toBe(3);
    expect(ids[3]).not.toBe(ids[2]);
    // That one was only sent again.
    expect(ids[4]).toBe(ids[3]);
  });
});

describe('what the receiver answers', () => {
  it.each([
    ['202 is waited for', 202, { status: 'running', operationId: 'op', retryAfter: 9 }, 9000],
    ['409 is adopted', 409, { operationId: 'op' }, 5000],
  ])('%s', async (_what, status, body, nextPollMs) => {
    answer = { status, body };
    expect(await calls.execute(context(), lock)).toEqual({
      kind: 'pending',
      operation: { id: 'op' },
      nextPollMs,
    });
  });

  it.each([
    [400, 'invalidInput'],
    [404, 'targetNotFound'],
    [408, 'transient'],
    [409, 'conflict'],
    [425, 'transient'],
    [429, 'rateLimited'],
    [500, 'unknownOutcome'],
    [200, 'unknownOutcome'],
  ])('HTTP %i without more is %s', async (status, errorClass) => {
    answer = { status };
    await expect(calls.execute(context(), lock)).rejects.toMatchObject({ errorClass });
  });

  it('is asked for at the pollUrl it gave, of its own origin only', async () => {
    const pollUrl = new URL('/jobs/7', url).href;
    answer = { status: 202, body: { status: 'running', operationId: 'op', pollUrl } };
    const outcome = await calls.execute(context(), lock);
    if (outcome.kind !== 'pending') throw new TypeError(outcome.kind);
    answer = { status: 200, body: { status: 'completed' } };
    expect(await calls.poll?.(context(), outcome.operation, lock)).toMatchObject({ kind: 'completed' });
    expect(sent[1]?.url).toBe('/jobs/7');
    answer = {
      status: 202,
      body: { status: 'running', operationId: 'op', pollUrl: 'http://169.254.169.254/' },
    };
    await expect(calls.execute(context(), lock)).rejects.toMatchObject({ errorClass: 'unknownOutcome' });
  });
});

describe.each([
  ['Node', 'js', process.execPath, ['--input-type=module', '-e']],
  ['Python', 'python', 'python3', ['-c']],
] as const)('the receiver in %s of the documentation', (_name, language, command, args) => {
  it.skipIf(spawnSync(command, ['--version']).status !== 0)(
    'does a delivery once, and refuses what is not signed or old',
    async () => {
      const receiver = await DocumentedReceiver.start(language, command, args, 'secret-of-now');
      onTestFinished(() => receiver.stop());
      const to = receiver.url;
      for (const _ of [1, 2])
        expect(await calls.execute(context(undefined, to), lock)).toMatchObject({
          result: { did: 'execute' },
        });
      const rotating = { signingSecret: 'next-secret', previousSigningSecret: 'secret-of-now' };
      expect(await calls.execute(context(rotating, to), lock)).toMatchObject({ kind: 'completed' });
      await expect(calls.execute(context({ signingSecret: 'wrong' }, to), lock)).rejects.toMatchObject({
        errorClass: 'auth',
      });
      const t = String(Math.floor(Date.now() / 1000) - 301);
      const v1 = createHmac('sha256', 'secret-of-now').update(`${t}.{}`).digest('hex');
      const headers = { 'x-riposte-signature': `t=${t},v1=${v1}`, 'x-riposte-delivery': 'old' };
      expect((await fetch(to, { method: 'POST', headers, body: '{}' })).status).toBe(401);
      await receiver.stop();
      expect(receiver.said).toHaveLength(1);
    },
  );
});
