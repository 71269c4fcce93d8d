import path from 'node:path';
import { Redis } from 'ioredis';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { riposte } from '../support/cli.js';
import { mockAction, type Client } from '../support/client.js';
import { TENANT_A } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Stack } from '../support/stack.js';

const CANARY = 'canary-4f1b-do-not-log';
const API_KEY = 'canary/key+5d2e=';
let stack: Stack;
let client: Client;

/** All that was sent to Redis since the processes were ready: what is deleted again as well. */
const redisCommands: string[] = [];
let monitor: Redis;

beforeAll(async () => {
  stack = await Stack.start({
    config: `
plugins: { echo: { package: '${path.resolve(import.meta.dirname, '../fixtures/plugins/echo')}' } }
providers:
  - { id: mock, plugin: mock }
  - { id: echo, plugin: echo, secrets: { apiKey: 'env:ECHO_KEY' } }
`,
    env: { ECHO_KEY: API_KEY },
  });
  client = await stack.client();
  const redis = new Redis(stack.redis.url);
  monitor = await redis.monitor();
  redis.disconnect();
  monitor.on('monitor', (_time: string, command: readonly string[]) => redisCommands.push(command.join(' ')));
});
afterAll(async () => {
  monitor.disconnect();
  await stack.stop();
});

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
    const submitted = stack.api.log.find(({ actionId }) => actionId === id);
    expect(submitted?.['parameters']).toContainEqual({ name: 'unlockPin', value: '[redacted]' });
    expect(redisCommands.length).toBeGreaterThan(0);
    for (const text of [stack.api.output, ...stack.workers.map(({ output }) => output), ...redisCommands]) {
      expect(text).not.toContain(CANARY);
      expect(text).not.toContain(client.token.slice(-40));
    }
  });
});

describe('secrets', () => {
  it('stand in the parameters of their action and nowhere else, whatever was asked and whatever a plugin tells', async () => {
    const pin = 'canary "pin" & 77c1';
    const tell = (how: string) => ({
      ...mockAction('Tell', { how, pin }),
      vendorInformation: { vendor: 'Echo', provider: 'Echo' },
    });
    for (const question of ['plan', 'observe']) {
      const answer = await client.post(tell('all'), `/api/v1/actions/${question}`);
      expect(answer.status).toBe(200);
      expect(tellsOf(answer.body, [pin, API_KEY])).toBe(false);
    }
    const operator = await stack.client({ roles: ['Riposte.Operator'] });
    const health = await operator.request('POST', '/api/v1/providers/echo/health');
    expect(health.body).toEqual({ ok: true, message: 'well [redacted]' });

    const done = (await client.post(tell('all'))).body.id;
    // It found its operation again, and the effect that it is to undo: with the secrets in them.
    expect(await client.ended(done)).toMatchObject({ status: 'Completed', attempts: [{ number: 1 }] });
    const undoing = await client.request<{ id: string }>('POST', `/api/v1/actions/${done}/revert`);
    expect(await client.ended(undoing.body.id)).toMatchObject({ status: 'Completed' });
    expect((await client.native(done))['result']).toMatchObject({
      told: expect.stringContaining('[redacted apiKey]') as string,
      many: { length: 150 },
    });
    for (const how of ['refused', 'defect', 'again'])
      expect(await client.ended((await client.post(tell(how))).body.id)).toMatchObject({
        status: how === 'again' ? 'Completed' : 'Failed',
      });
    const refused = await client.post(mockAction('IsolateMachine', { unlockPin: pin, [pin.slice(0, 6)]: 1 }));
    expect(refused.status).toBe(400);
    expect(tellsOf(refused.body, [pin])).toBe(false);

    const added = await riposte(
      { MONGODB_URI: stack.mongodbUri, RIPOSTE_DATA_DIR: stack.dataDir },
      'apps',
      'add',
      '--json',
      '--tenant',
      TENANT_A,
      '--name',
      'SOAR',
      '--role',
      'Riposte.Operator',
    );
    const { clientId, clientSecret } = JSON.parse(added.stdout) as Record<
      'clientId' | 'clientSecret',
      string
    >;
    const token = await fetch(`${stack.baseUrl}/${TENANT_A}/oauth2/v2.0/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: clientId,
        client_secret: clientSecret,
        scope: 'api://riposte/.default',
      }),
    });
    expect(token.status).toBe(200);

    const all = [pin, API_KEY, clientSecret];
    for (const { output } of [stack.api, ...stack.workers]) expect(tellsOf(output, all)).toBe(false);
    expect(stack.workers[0]?.output).toContain('printed [redacted]');
    expect(stack.workers[0]?.output).toContain('logged [redacted]');
    expect(tellsOf(redisCommands, all)).toBe(false);
    expect(await placesInMongo(all)).toEqual(['actions.parameters']);
  });
});

/** True when one of the secrets stands there: as it is, or as a URL, JSON or base64 has it. */
function tellsOf(value: unknown, secrets: readonly string[]): boolean {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return secrets.some((secret) =>
    [
      secret,
      encodeURIComponent(secret),
      JSON.stringify(secret).slice(1, -1),
      JSON.stringify(JSON.stringify(secret)).slice(3, -3),
      Buffer.from(secret).toString('base64'),
    ].some((form) => text.includes(form)),
  );
}

/** The fields, as `collection.field`. */
async function placesInMongo(secrets: readonly string[]): Promise<readonly string[]> {
  const connection = await mongoose.createConnection(stack.mongodbUri).asPromise();
  const places = new Set<string>();
  for (const { name } of (await connection.db?.listCollections().toArray()) ?? []) {
    for (const document of (await connection.db?.collection(name).find().toArray()) ?? []) {
      for (const [field, value] of Object.entries(document))
        if (tellsOf(value, secrets)) places.add(`${name}.${field}`);
    }
  }
  await connection.close();
  return [...places];
}
