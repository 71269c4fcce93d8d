import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '#embedded-servers';
import { API_COMMAND } from '../deploy/start-commands.js';
import { mockAction, type Client } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { ProductProcess } from '../support/product-process.js';
import { Stack } from '../support/stack.js';

/** Two API processes behind what a load balancer does: it looks at readiness and keeps connections open. */

const DRAIN_MS = 3000;
const LOOK_EVERY_MS = 200;
const AT_A_TIME = 4;

let stack: Stack;
let client: Client;
const upstreams: Upstream[] = [];

beforeAll(async () => {
  stack = await Stack.start({ env: { RIPOSTE_DRAIN_MS: String(DRAIN_MS) } });
  client = await stack.client();
  const { port } = new URL(stack.baseUrl);
  upstreams.push(new Upstream(Number(port), stack.api), await Upstream.start());
});
afterAll(async () => {
  await Promise.all(upstreams.map((upstream) => upstream.stop()));
  await stack.stop();
});

/** One API process, as a load balancer sees it. */
class Upstream {
  readonly #agent = new Agent({ connections: 8, keepAliveTimeout: 4000 });
  readonly #looks = setInterval(() => void this.#look(), LOOK_EVERY_MS);
  inService = false;

  constructor(
    readonly port: number,
    public process: ProductProcess,
  ) {}

  static async start(): Promise<Upstream> {
    const port = await freePort();
    const upstream = new Upstream(
      port,
      new ProductProcess(API_COMMAND, { ...stack.env, PORT: String(port) }),
    );
    await upstream.process.ready();
    return upstream;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Sends one create; its status. @throws when the connection broke */
  async create(turn: number): Promise<number> {
    const answer = await request(`${this.origin}/beta/security/securityActions`, {
      dispatcher: this.#agent,
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${client.token}` },
      body: JSON.stringify(mockAction('BlockIp', { IP: `10.9.${turn >> 8}.${turn & 255}` })),
    });
    await answer.body.dump();
    return answer.statusCode;
  }

  async restart(): Promise<number | null> {
    const code = await this.process.end('SIGTERM');
    this.process = new ProductProcess(API_COMMAND, { ...stack.env, PORT: String(this.port) });
    await this.process.ready();
    await eventually(() => this.inService);
    return code;
  }

  async stop(): Promise<void> {
    clearInterval(this.#looks);
    await this.process.end();
    await this.#agent.close();
  }

  async #look(): Promise<void> {
    const answer = await fetch(`${this.origin}/health/ready`, { signal: AbortSignal.timeout(2000) }).catch(
      () => null,
    );
    this.inService = answer?.ok === true;
  }
}

describe('restarting the API processes one after the other', () => {
  it('fails no request of a load balancer that looks at readiness', async () => {
    await eventually(() => upstreams.every(({ inService }) => inService));
    const failed: string[] = [];
    let turn = 0;
    const over = new AbortController();
    const callers = Array.from({ length: AT_A_TIME }, async () => {
      while (!over.signal.aborted) {
        turn += 1;
        const upstream =
          upstreams.filter(({ inService }) => inService)[turn % 2] ??
          upstreams.find(({ inService }) => inService);
        if (upstream === undefined) {
          failed.push('nobody in service');
          await sleep(LOOK_EVERY_MS);
          continue;
        }
        const status = await upstream.create(turn).catch((error: unknown) => String(error));
        if (status !== 201) failed.push(`${upstream.port}: ${status}`);
      }
    });
    for (const upstream of upstreams) expect(await upstream.restart()).toBe(0);
    over.abort();
    await Promise.all(callers);
    expect(failed).toEqual([]);
    expect(turn).toBeGreaterThan(20);
  });
});

describe('an API process that was told to stop', () => {
  it('says so in its readiness, serves meanwhile, and lets go of each connection with its answer', async () => {
    const [, upstream] = upstreams;
    if (upstream === undefined) throw new Error('no upstream');
    const ended = upstream.process.end('SIGTERM');
    const answer = await eventually(async () => {
      const ready = await fetch(`${upstream.origin}/health/ready`);
      return ready.status === 503 ? ready : null;
    });
    expect(await answer.json()).toEqual({ status: 'stopping', missing: [] });
    expect((await fetch(`${upstream.origin}/health/live`)).status).toBe(200);
    const created = await fetch(`${upstream.origin}/beta/security/securityActions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${client.token}` },
      body: JSON.stringify(mockAction('BlockIp', { IP: '1.2.3.4' })),
    });
    expect(created.status).toBe(201);
    expect(created.headers.get('connection')).toBe('close');
    expect(await ended).toBe(0);
  });

  it('with a drain time that is none does not start', async () => {
    const process = new ProductProcess(API_COMMAND, { ...stack.env, PORT: '0', RIPOSTE_DRAIN_MS: 'soon' });
    expect(await process.end('SIGCONT')).toBe(78);
    expect(process.output).toContain('RIPOSTE_DRAIN_MS');
  });
});
