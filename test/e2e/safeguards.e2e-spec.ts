import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '#embedded-servers';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { API_COMMAND } from '../deploy/start-commands.js';
import { riposte } from '../support/cli.js';
import {
  Client,
  mockAction,
  type Answer,
  type Client as ApiClient,
  type GraphAction,
  type GraphError,
  type NativeAction,
} from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { ProductProcess } from '../support/product-process.js';
import { Stack } from '../support/stack.js';

/** What keeps a caller from doing more than was meant: ends of effects, blast radius, and rails; as real processes. */

const PER_HOUR = 6;
const CONFIG = `
providers:
  - id: mock
    plugin: mock
    settings: { rails: { neverBlock: [corp.example, 198.51.100.0/24] } }
limits:
  perApp: 0
  blastRadius: { isolation: { perHour: ${PER_HOUR} } }
`;
const ACTIONS = '/security/securityActions';

let stack: Stack;
let other: ProductProcess;
let otherUrl: string;
let client: ApiClient;

beforeAll(async () => {
  stack = await Stack.start({ config: CONFIG });
  const port = await freePort();
  otherUrl = `http://127.0.0.1:${port}`;
  other = new ProductProcess(API_COMMAND, { ...stack.env, PORT: String(port) });
  await other.ready();
  client = await stack.client();
});
afterAll(async () => {
  await other.end();
  await stack.stop();
});

const soon = (ms: number): string => new Date(Date.now() + ms).toISOString();

interface LiftedAction extends NativeAction {
  readonly effectUntil: string | null;
  readonly revertedBy: string | null;
}

/** Waits until there is a revert of the action, and it has ended. */
function lifted(by: ApiClient, id: string): Promise<NativeAction> {
  return eventually(async () => {
    const { revertedBy } = (await by.native(id)) as LiftedAction;
    if (revertedBy === null) return false;
    const revert = await by.native(revertedBy);
    return revert.status === 'Completed' || revert.status === 'Failed' ? revert : false;
  }, 30_000) as Promise<NativeAction>;
}

/** A batch of creates. */
async function batch(by: ApiClient, bodies: readonly object[]) {
  const requests = bodies.map((body, index) => ({
    id: String(index),
    method: 'POST',
    url: ACTIONS,
    headers: { 'content-type': 'application/json' },
    body,
  }));
  const { body } = await by.post<{
    responses: readonly { readonly status: number; readonly body: GraphAction & GraphError }[];
  }>({ requests }, '/beta/$batch');
  return body.responses;
}

describe('an effect with an end', () => {
  it('is shown with it, and lifted then by a revert of the same application', async () => {
    const effectUntil = soon(3000);
    const created = await client.post(
      mockAction('BlockIp', { IP: '203.0.113.1' }, { '@riposte.effectUntil': effectUntil }),
    );
    expect(created).toMatchObject({ status: 201, body: { '@riposte.effectUntil': effectUntil } });
    const { id } = created.body;
    expect(await client.get(id)).toMatchObject({ '@riposte.effectUntil': effectUntil });
    const done = (await client.ended(id)) as LiftedAction;
    expect(done).toMatchObject({ status: 'Completed', effectUntil });
    expect(done).not.toHaveProperty('@riposte.effectUntil');
    const revert = await lifted(client, id);
    expect(revert).toMatchObject({
      status: 'Completed',
      reverts: id,
      appId: done['appId'],
      user: null,
      actionReason: `Undoes action ${id}: the effect's time is over.`,
    });
    expect(Date.parse(revert['createdDateTime'] as string)).toBeGreaterThanOrEqual(Date.parse(effectUntil));
    // What has none is as Graph has it.
    const plain = await client.act('BlockIp', { IP: '203.0.113.2' });
    expect(await client.get(plain)).not.toHaveProperty('@riposte.effectUntil');
    expect(await client.ended(plain)).toMatchObject({ effectUntil: null, revertedBy: null });
  });

  it('may be asked for in a batch, and is refused there where the action cannot be undone', async () => {
    const until = { '@riposte.effectUntil': soon(600_000) };
    const [kept, refused, past] = await batch(client, [
      mockAction('BlockIp', { IP: '203.0.113.3' }, until),
      mockAction('AllowIp', { IP: '203.0.113.3' }, until),
      mockAction('BlockIp', { IP: '203.0.113.3' }, { '@riposte.effectUntil': soon(-1000) }),
    ]);
    expect(kept).toMatchObject({ status: 201, body: until });
    expect(refused).toMatchObject({
      status: 400,
      body: {
        error: {
          code: 'invalidRequest',
          message:
            '@riposte.effectUntil: AllowIp of Mock/Mock cannot be undone, so its effect stays. Leave @riposte.effectUntil out.',
        },
      },
    });
    expect(past?.body.error.message).toBe('@riposte.effectUntil has to be a time in the future.');
  });

  it('is lifted once, though its time comes while no worker lives and Redis has lost everything', async () => {
    const effectUntil = soon(4000);
    const ids = await Promise.all(
      Array.from({ length: 5 }, (_none, at) =>
        client.act('BlockIp', { IP: `203.0.113.${at + 10}` }, { '@riposte.effectUntil': effectUntil }),
      ),
    );
    await Promise.all(ids.map((id) => client.ended(id)));
    for (const worker of stack.workers.splice(0)) await worker.end('SIGKILL');
    const redis = new Redis(stack.env['REDIS_URL'] ?? '');
    await redis.flushall();
    redis.disconnect();
    await eventually(() => Date.now() > Date.parse(effectUntil) + 500);
    const workers = [stack.startWorker(), stack.startWorker()];
    await Promise.all(workers.map((worker) => worker.ready()));
    for (const id of ids)
      expect(await lifted(client, id)).toMatchObject({ status: 'Completed', reverts: id });
    const { body } = await client.request<{ value: readonly LiftedAction[] }>(
      'GET',
      '/api/v1/actions?top=100',
    );
    const reverts = body.value.map(({ reverts: of }) => of as string | null);
    for (const id of ids) expect(reverts.filter((of) => of === id)).toHaveLength(1);
  });

  it('is not begun any more once it is over', async () => {
    for (const worker of stack.workers) worker.signal('SIGSTOP');
    try {
      const id = await client.act('BlockIp', { IP: '203.0.113.20' }, { '@riposte.effectUntil': soon(1000) });
      await new Promise((resolve) => setTimeout(resolve, 1200));
      for (const worker of stack.workers) worker.signal('SIGCONT');
      expect(await client.ended(id)).toMatchObject({
        status: 'Failed',
        phase: 'expired',
        errorInfo: { code: 410 },
      });
    } finally {
      for (const worker of stack.workers) worker.signal('SIGCONT');
    }
  });

  it('can be lifted earlier, once', async () => {
    const id = await client.act('BlockIp', { IP: '203.0.113.21' }, { '@riposte.effectUntil': soon(600_000) });
    await client.ended(id);
    const first = await client.post({}, `/api/v1/actions/${id}/revert`);
    expect(first.status).toBe(201);
    expect(await lifted(client, id)).toMatchObject({ status: 'Completed' });
    const second = await client.post({}, `/api/v1/actions/${id}/revert`);
    expect(second).toMatchObject({ status: 200, body: { id: first.body.id } });
    // The revert itself has ended, and cannot be stopped any more.
    expect((await client.cancel(first.body.id)).status).toBe(409);
  });

  it('is asked for from the command line, in hours or as a time', async () => {
    const env = { RIPOSTE_URL: stack.baseUrl, RIPOSTE_TOKEN: client.token };
    const create = (...more: string[]) =>
      riposte(
        env,
        'action',
        'create',
        'BlockIp',
        '--provider',
        'Mock/Mock',
        '--param',
        'IP=203.0.113.30',
        ...more,
      );
    const { stdout, stderr } = await create('--effect-until', '2h', '--start-before', '30m', '--wait');
    const action = (stdout === '' ? { stderr } : JSON.parse(stdout)) as { effectUntil: string };
    const inMs = Date.parse(action.effectUntil) - Date.now();
    expect(inMs).toBeGreaterThan(7_000_000);
    expect(inMs).toBeLessThanOrEqual(7_200_000);
    const past = await create('--effect-until', '2020-01-01T00:00:00Z');
    expect(past.code).toBe(1);
    expect(past.stderr).toContain('@riposte.effectUntil has to be a time in the future');
    const wrong = await create('--effect-until', 'tomorrow');
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('--effect-until has to be a time from now, for example 2h');
  });
});

describe('the blast radius', () => {
  const isolate = (): object => mockAction('IsolateMachine', { MachineId: `host-${randomUUID()}` });

  it('lets exactly as many through as configured, over two API processes, alone and in batches', async () => {
    const app = { app: randomUUID() };
    const [one, two] = [await stack.client(app), new Client(otherUrl, (await stack.client(app)).token)];
    const alone = Array.from({ length: 2 * PER_HOUR }, (_none, at) =>
      (at % 2 === 0 ? one : two).post<GraphAction & GraphError>(isolate()),
    );
    const together = [one, two].map((by) => batch(by, [isolate(), isolate(), isolate()]));
    const answers = [...(await Promise.all(alone)), ...(await Promise.all(together)).flat()];
    expect(answers.map(({ status }) => status).filter((status) => status === 201)).toHaveLength(PER_HOUR);
    const refused = answers.filter(({ status }) => status !== 201);
    for (const { status, body } of refused) {
      expect({ status, code: body.error.code }).toEqual({ status: 403, code: 'accessDenied' });
      expect(body.error.message).toMatch(
        /in an hour: 6 \(limits\.blastRadius\.isolation\.perHour\)\. The next is possible at 20\d\d-/,
      );
    }
    // Nobody else is kept from it, and nothing else of the same application.
    expect((await (await stack.client({ app: randomUUID() })).post(isolate())).status).toBe(201);
    const machine = { MachineId: 'host-1' };
    expect((await one.post(mockAction('UnisolateMachine', machine))).status).toBe(201);
    expect((await one.post(mockAction('RunAntivirusScan', machine))).status).toBe(201);
  });

  it('lets go again what was isolated, however much that is', async () => {
    const by = await stack.client({ app: randomUUID() });
    const ids = await Promise.all(
      Array.from({ length: PER_HOUR }, (_none, at) =>
        by.act('IsolateMachine', { MachineId: `gone-${at}` }, { '@riposte.effectUntil': soon(4000) }),
      ),
    );
    expect((await by.post(isolate())).status).toBe(403);
    for (const id of ids) expect(await lifted(by, id)).toMatchObject({ status: 'Completed' });
  });

  it('is told of each action', async () => {
    const { body } = await client.request<{
      value: readonly {
        actions: readonly { name: string; blastRadius: string | null; supportsExpiry: boolean }[];
      }[];
    }>('GET', '/api/v1/providers');
    const told = new Map(body.value[0]?.actions.map((action) => [action.name, action]));
    expect(told.get('IsolateMachine')).toMatchObject({ blastRadius: 'isolation', supportsExpiry: false });
    expect(told.get('UnisolateMachine')).toMatchObject({ blastRadius: null });
  });
});

describe('what may never be blocked', () => {
  const post = (name: string, parameters: Readonly<Record<string, string>>): Promise<Answer<GraphError>> =>
    client.post<GraphError>(mockAction(name, parameters));

  it.each([
    ['BlockIp', { IP: '127.0.0.1' }, /127\.0\.0\.0\/8 \(the loopback\)\. This is never blocked\./],
    ['BlockIp', { IP: '10.0.0.7' }, /settings\.allowPrivate/],
    ['BlockIp', { IP: '198.51.100.7' }, /settings\.neverBlock/],
    ['BlockUrl', { URL: 'http://169.254.169.254/latest/meta-data' }, /metadata/],
    ['BlockDomain', { Domain: 'Mail.Corp.Example.' }, /settings\.neverBlock/],
    ['BlockDomain', { Domain: 'co.uk' }, /public suffix/],
  ] as const)('is refused before anything is recorded: %s %o', async (name, parameters, why) => {
    const { status, body } = await post(name, parameters);
    expect({ status, code: body.error.code }).toEqual({ status: 403, code: 'accessDenied' });
    expect(body.error.message).toMatch(why);
  });

  it('may be allowed and unblocked, and others may be blocked', async () => {
    expect((await post('UnblockIp', { IP: '10.0.0.7' })).status).toBe(201);
    expect((await post('BlockIp', { IP: '203.0.113.7' })).status).toBe(201);
  });

  it('has to be listed rightly, or nothing starts', async () => {
    const file = path.join(stack.dataDir, 'wrong.config.yaml');
    await writeFile(file, CONFIG.replace('198.51.100.0/24', '198.51.100.0/33'));
    const env = { ...stack.env, PORT: String(await freePort()), RIPOSTE_CONFIG: file };
    const api = new ProductProcess(API_COMMAND, env);
    onTestFinished(async () => void (await api.end()));
    await eventually(() => !api.running, 50_000);
    expect(api.output).toContain(
      'providers[0] (mock).settings.rails.neverBlock.1 must be a valid ip or a valid cidr or a valid domain',
    );
  });
});
