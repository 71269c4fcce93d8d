import { Redis } from 'ioredis';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mockAction, type Client } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';

const CANARY = 'canary-4f1b-do-not-log';
let stack: Stack;
let client: Client;

beforeAll(async () => {
  stack = await Stack.start();
  client = await stack.client();
});
afterAll(() => stack.stop());

describe('the log', () => {
  it('tells the story of an action by id, tenant and request', async () => {
    const answer = await client.post(mockAction('BlockIp', { IP: '1.2.3.4' }));
    await client.ended(answer.body.id);
    const ofAction = [stack.api, ...stack.workers]
      .flatMap(({ log }) => log)
      .filter(({ actionId }) => actionId === answer.body.id);
    expect(ofAction.map(({ msg }) => msg)).toEqual(['action submitted', 'action ended']);
    for (const line of ofAction)
      expect(line).toMatchObject({ level: 'info', tenant: '11111111-1111-4111-8111-111111111111' });
    const request = await eventually(() =>
      stack.api.log.find(({ requestId }) => requestId === answer.headers.get('request-id')),
    );
    expect(request).toMatchObject({ msg: 'request answered', method: 'POST', status: 201 });
  });

  it('never shows a secret parameter or a token, and neither does a job in Redis', async () => {
    const id = await client.act('IsolateMachine', { MachineId: 'host-7', unlockPin: CANARY });
    await client.ended(id);
    await client.post(mockAction('IsolateMachine', { unlockPin: CANARY, nope: CANARY }));
    const redis = new Redis(stack.redis.url);
    const stored = await Promise.all((await redis.keys('*')).map((key) => redis.dump(key).catch(() => '')));
    redis.disconnect();
    const submitted = stack.api.log.find(({ actionId }) => actionId === id);
    expect(submitted?.['parameters']).toContainEqual({ name: 'unlockPin', value: '[redacted]' });
    for (const text of [
      stack.api.output,
      ...stack.workers.map(({ output }) => output),
      ...stored.map(String),
    ]) {
      expect(text).not.toContain(CANARY);
      expect(text).not.toContain(client.token.slice(-40));
    }
  });
});

describe('a secret parameter', () => {
  it('stands in the database as the parameter of its action, and nowhere else, whatever was asked', async () => {
    const pin = 'canary-pin-77c1';
    const secret = { MachineId: 'host-8', unlockPin: pin };
    const request = mockAction('IsolateMachine', secret);
    await client.post(request, '/api/v1/actions/plan');
    await client.post(request, '/api/v1/actions/observe');
    const id = await client.act('IsolateMachine', secret);
    await client.ended(id);
    const undoing = await client.request<{ id: string }>('POST', `/api/v1/actions/${id}/revert`);
    expect(undoing.status).toBe(201);
    await client.ended(undoing.body.id);
    const refused = await client.post(mockAction('IsolateMachine', { unlockPin: pin, [pin.slice(0, 6)]: 1 }));
    expect(refused.status).toBe(400);
    expect(JSON.stringify(refused.body)).not.toContain(pin);

    const connection = await mongoose.createConnection(stack.mongodbUri).asPromise();
    const places = new Set<string>();
    for (const { name } of (await connection.db?.listCollections().toArray()) ?? []) {
      for (const document of (await connection.db?.collection(name).find().toArray()) ?? []) {
        for (const [field, value] of Object.entries(document))
          if (JSON.stringify(value).includes(pin)) places.add(`${name}.${field}`);
      }
    }
    await connection.close();
    expect([...places]).toEqual(['actions.parameters']);
    for (const { output } of [stack.api, ...stack.workers]) expect(output).not.toContain(pin);
  });
});
