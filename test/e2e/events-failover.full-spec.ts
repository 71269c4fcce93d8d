import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MongoReplicaSet, findMongod } from '#embedded-servers';
import type { Client } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';
import { signToken } from '../support/token.js';

/** Two thousand listen to one process while its replica set loses its primary. */

const TENANTS: readonly string[] = Array.from({ length: 4 }, () => randomUUID());
const APPS = 100;
const STREAMS_OF_APP = 20;
/** Of the listeners, those that read nothing until all has happened. */
const SLOW = 50;
/** Actions of each tenant before the primary is lost, and after it. */
const EACH = 25;
/** What 2,000 listeners may cost the process, in MiB. */
const MEMORY_MIB = 150;

/** A listener at the socket: two thousand clients that parse would be more to carry than what they test. */
class RawListener {
  readonly completed = new Set<string>();
  isClosed = false;
  isPresent = false;
  wasReset = false;
  #rest = '';

  private constructor(
    readonly tenant: string,
    readonly socket: Socket,
  ) {
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.#read(text));
    socket.on('error', () => undefined).on('close', () => (this.isClosed = true));
  }

  static async open(port: number, tenant: string, token: string): Promise<RawListener> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const listener = new RawListener(tenant, socket);
    socket.write(`GET /api/v1/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${token}\r\n\r\n`);
    return listener;
  }

  #read(text: string): void {
    const events = (this.#rest + text).split('\n\n');
    this.#rest = events.pop() ?? '';
    for (const event of events) {
      if (event.includes('event: ping')) this.isPresent = true;
      if (event.includes('event: reset')) this.wasReset = true;
      for (const [, id = ''] of event.matchAll(/"id":"([^"]+)","status":"Completed"/g))
        this.completed.add(id);
    }
  }
}

let dir: string;
let set: MongoReplicaSet;
let stack: Stack;
let clients: readonly Client[];
const listeners: RawListener[] = [];

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-events-'));
  set = await MongoReplicaSet.start({
    binary: await findMongod(() => undefined),
    dir,
    cacheSizeGB: 0.25,
    report: () => undefined,
  });
  stack = await Stack.start({ mongodbUri: set.uri.replace('/?', '/riposte?') });
  clients = await Promise.all(TENANTS.map((tenant) => stack.client({ tenant })));
});
afterAll(async () => {
  for (const { socket } of listeners) socket.destroy();
  await stack.stop();
  await set.stop();
  await rm(dir, { recursive: true, force: true });
});

async function residentMib(): Promise<number> {
  const status = await readFile(`/proc/${stack.api.child.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** Creates actions for each tenant, whatever the answers are, until so many are accepted; their ids by tenant. */
function create(count: number): Promise<string[][]> {
  return Promise.all(
    clients.map(async (client) => {
      const ids: string[] = [];
      while (ids.length < count)
        await client.act('BlockIp', { IP: `10.0.0.${ids.length}` }).then(
          (id) => ids.push(id),
          () => undefined,
        );
      return ids;
    }),
  );
}

async function allHear(ids: readonly (readonly string[])[], who: readonly RawListener[]): Promise<void> {
  const missing = (): number =>
    who
      .map(({ tenant, completed }) => (ids[TENANTS.indexOf(tenant)] ?? []).filter((id) => !completed.has(id)))
      .reduce((sum, own) => sum + own.length, 0);
  await eventually(() => missing() === 0, 60_000, 200);
}

describe('two thousand listeners of one process', { timeout: 240_000 }, () => {
  it('miss nothing and stay connected while the primary is lost, and cost little memory', async () => {
    const port = Number(new URL(stack.baseUrl).port);
    await allHear(await create(1), []);
    const before = await residentMib();
    for (let app = 0; app < APPS; app += 1) {
      const tenant = TENANTS[app % TENANTS.length] ?? '';
      const token = await signToken(stack.dataDir, { tenant, app: `listener-${app}` });
      const streams = Array.from({ length: STREAMS_OF_APP }, () => RawListener.open(port, tenant, token));
      listeners.push(...(await Promise.all(streams)));
    }
    await eventually(() => listeners.every(({ isPresent }) => isPresent), 60_000, 200);
    const slow = listeners.slice(0, SLOW);
    const quick = listeners.slice(SLOW);
    for (const { socket } of slow) socket.pause();
    await allHear(await create(EACH), quick);
    const primary = await set.primary();
    process.kill(primary.pid, 'SIGKILL');
    const ids = await create(EACH);
    await allHear(ids, quick);
    const after = await residentMib();
    for (const { socket } of slow) socket.resume();
    await allHear(ids, slow);
    expect(listeners.filter(({ isClosed, wasReset }) => isClosed || wasReset)).toEqual([]);
    console.log(
      `${listeners.length} listeners: ${Math.round(after - before)} MiB more than ${Math.round(before)}`,
    );
    expect(after - before).toBeLessThan(MEMORY_MIB);
    // Others have heard of no action that is not theirs.
    const heard = new Map(TENANTS.map((tenant) => [tenant, new Set<string>()]));
    for (const { tenant, completed } of listeners) for (const id of completed) heard.get(tenant)?.add(id);
    const all = [...heard.values()].flatMap((own) => [...own]);
    expect(new Set(all).size).toBe(all.length);
  });
});
