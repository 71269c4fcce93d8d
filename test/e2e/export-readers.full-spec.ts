import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectDatabase, type Database } from '#persistence';
import type { GraphError } from '../support/client.js';
import { TENANT_B, newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';

const EXPORT = '/api/v1/actions/export';
const AUDIT = '/api/v1/audit';

let stack: Stack;
let database: Database;

beforeAll(async () => {
  stack = await Stack.start({ workers: 0 });
  database = await connectDatabase(stack.mongodbUri, { appName: 'riposte-test' });
});
afterAll(async () => {
  await database.close();
  await stack.stop();
});

describe('an export that nobody takes', () => {
  it('is no more than two at a time of a tenant, and ends with who asked for it', async () => {
    const tenant = randomUUID();
    const caller = { tenantId: tenant, appId: randomUUID(), user: null };
    const large = Array.from({ length: 20 }, () => ({ name: 'x', value: 'x'.repeat(8000) }));
    await Promise.all(
      Array.from({ length: 200 }, () => database.actions.create(newAction({ caller, parameters: large }))),
    );
    const client = await stack.client({ tenant });
    // Readers that take nothing of what is sent.
    const { port, hostname } = new URL(stack.baseUrl);
    const readers = Array.from({ length: 2 }, () => {
      const socket = connect(Number(port), hostname);
      socket.write(
        `GET ${EXPORT}?format=ndjson HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${client.token}\r\n\r\n`,
      );
      return socket;
    });
    // Both have begun: something has come.
    await Promise.all(readers.map((reader) => once(reader, 'readable')));
    const third = () =>
      client.request<GraphError>('GET', `${EXPORT}?format=ndjson&filter=name%20eq%20'none'`);
    const refused = await third();
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).not.toBeNull();
    expect((await (await stack.client({ tenant: TENANT_B })).request('GET', EXPORT)).status).toBe(200);
    for (const reader of readers) reader.destroy();
    await eventually(async () => (await third()).status === 200);
    // Asked for on one connection, the second is sent after the first, which nobody takes.
    const ask = `GET ${EXPORT}?format=ndjson HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${client.token}\r\n\r\n`;
    let both = connect(Number(port), hostname);
    await eventually(async () => {
      both.destroy();
      both = connect(Number(port), hostname);
      both.write(ask.repeat(2));
      await once(both, 'readable');
      // One of the two is refused while an earlier one has yet to be noticed to have ended.
      return (await third()).status === 429;
    });
    both.destroy();
    await eventually(async () => (await third()).status === 200);
  });
});

describe('an export of the audit record that nobody takes', () => {
  it('is no more than two at a time of a tenant, and keeps no other tenant from its own', async () => {
    const tenant = randomUUID();
    const connection = await mongoose.createConnection(stack.mongodbUri).asPromise();
    await connection.collection<{ _id: string }>('audit').insertMany(
      Array.from({ length: 400 }, (_, index) => ({
        _id: randomUUID(),
        chain: tenant,
        seq: index + 1,
        kind: 'action.created',
        details: { name: 'x'.repeat(20_000) },
      })),
    );
    await connection.close();
    const roles = ['Audit.Read.All'];
    const auditor = await stack.client({ tenant, roles });
    const { port, hostname } = new URL(stack.baseUrl);
    const readers = Array.from({ length: 2 }, () => {
      const socket = connect(Number(port), hostname);
      socket.write(`GET ${AUDIT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${auditor.token}\r\n\r\n`);
      return socket;
    });
    await Promise.all(readers.map((reader) => once(reader, 'readable')));
    expect((await auditor.request('GET', AUDIT)).status).toBe(429);
    const others = await stack.client({ tenant: TENANT_B, roles });
    expect((await others.request('GET', AUDIT)).status).toBe(200);
    for (const reader of readers) reader.destroy();
    await eventually(async () => (await auditor.request('GET', AUDIT)).status === 200);
  });
});
