import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { startMockVendor, type RunningVendor } from '../simulators/mock-vendor/start.js';
import type { Client } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Load } from '../support/load.js';
import { Stack } from '../support/stack.js';

/** API and workers are killed and stopped while callers go on asking, at vendors that cannot tell a repeat. */

const KILLS = 4;

let vendor: RunningVendor;
let slow: SlowVendor;
let stack: Stack;
let client: Client;

/** A vendor that answers when it is told to. */
class SlowVendor {
  readonly #server: Server;
  readonly #held: ServerResponse[] = [];
  /** How many requests to do something came. */
  asked = 0;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      // How it fares is asked beside its work.
      if (request.method === 'GET') return void response.writeHead(200).end('{}');
      this.asked += 1;
      this.#held.push(response);
    });
  }

  static async start(): Promise<SlowVendor> {
    const started = new SlowVendor(createServer());
    started.#server.listen(0, '127.0.0.1');
    await once(started.#server, 'listening');
    return started;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  answer(): void {
    for (const response of this.#held.splice(0))
      response
        .writeHead(201, { 'content-type': 'application/json' })
        .end(JSON.stringify({ operationId: 'operation-1', status: 'completed' }));
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

beforeAll(async () => {
  vendor = await startMockVendor('none');
  slow = await SlowVendor.start();
  stack = await Stack.start({
    workers: 2,
    config: `
providers:
  - { id: none, plugin: mock, subProvider: none, network: { allow: ['127.0.0.0/8'] }, settings: { mode: none, baseUrl: '${vendor.baseUrl}' } }
  - { id: slow, plugin: mock, subProvider: slow, limits: { concurrency: 1 }, network: { allow: ['127.0.0.0/8'] }, settings: { mode: none, baseUrl: '${slow.baseUrl}' } }
`,
  });
  client = await stack.client();
});
afterAll(async () => {
  await stack.stop();
  await vendor.stop();
  slow.stop();
});

describe('processes that are killed again and again', () => {
  it('lose no acknowledged action, and do none twice', async () => {
    const load = new Load(client, ['none']);
    onTestFinished(() => load.stop());
    for (let kill = 0; kill < KILLS; kill += 1) {
      await load.accepted(8, 60_000);
      if (kill % 3 === 2) {
        await stack.api.end('SIGKILL');
        stack.api = await stack.startApi();
      } else {
        await stack.workers.shift()?.end('SIGKILL');
        stack.startWorker();
      }
    }
    await load.accepted(8, 60_000);
    await load.stop();
    // Who was cut off got no answer at all.
    expect(load.untrue().filter(({ status }) => status !== 0)).toEqual([]);
    expect(await load.misdone([vendor])).toEqual([]);
  });
});

describe('a worker that is asked to stop', () => {
  it('lets the call end that is under way at a vendor, and makes no other', async () => {
    const at = { vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider: 'slow' } };
    const [worker, ...others] = stack.workers;
    if (worker === undefined) throw new Error('no worker');
    await worker.ready();
    await Promise.all(others.map((other) => other.end()));
    const first = await client.act('BlockIp', { IP: '10.0.0.1' }, at);
    await eventually(() => slow.asked === 1);
    // It waits for its turn: the only call that may be under way is.
    const second = await client.act('BlockIp', { IP: '10.0.0.2' }, at);
    await client.inPhase(second, 'queued');
    const ended = worker.end('SIGTERM');
    await eventually(() => worker.log.some(({ msg }) => msg === 'stopping'));
    const third = await client.act('BlockIp', { IP: '10.0.0.3' }, at);
    slow.answer();
    expect(await ended).toBe(0);
    expect(await client.native(first)).toMatchObject({ status: 'Completed', attempts: [{ number: 1 }] });
    for (const id of [second, third]) expect((await client.native(id)).status).toBe('NotStarted');
    expect(slow.asked).toBe(1);
  });
});
