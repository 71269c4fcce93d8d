import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Redis } from 'ioredis';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WORKER_COMMAND } from '../deploy/start-commands.js';
import { riposte } from '../support/cli.js';
import { mockAction, type Client } from '../support/client.js';
import { TENANT_A } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { ProductProcess } from '../support/product-process.js';
import { SECRETS_KEY } from '../support/secrets.js';
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
    const story = () =>
      [stack.api, ...stack.workers]
        .flatMap(({ log }) => log)
        .filter(({ actionId }) => actionId === answer.body.id);
    // The end is on record before its line has come through.
    await eventually(() => story().length > 1);
    const ofAction = story();
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
  it('stand nowhere in clear, whatever was asked and whatever a plugin tells', async () => {
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

    const created = await client.post(tell('all'));
    const done = created.body.id;
    expect(created.body['parameters']).toEqual([
      { name: 'how', value: 'all' },
      { name: 'pin', value: null },
    ]);
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

    const batched = await client.post(
      {
        requests: [
          {
            id: '1',
            method: 'POST',
            url: '/security/securityActions',
            headers: { 'content-type': 'application/json', 'idempotency-key': 'of-a-secret' },
            body: tell('again'),
          },
        ],
      },
      '/beta/$batch',
    );
    expect(batched.status).toBe(200);
    expect(JSON.stringify(batched.body)).toContain('"status":201');

    const all = [pin, API_KEY, clientSecret];
    const shown = [created.body, batched.body];
    for (const url of [
      `/beta/security/securityActions/${done}`,
      `/api/v1/actions/${undoing.body.id}`,
      '/api/v1/actions',
      '/beta/security/securityActions?$top=100',
      "/beta/security/securityActions?$filter=parameters/any(p:p/name eq 'pin' and p/value eq null)",
    ]) {
      const { status, body } = await client.request('GET', encodeURI(url));
      expect({ url, status }).toEqual({ url, status: 200 });
      expect(JSON.stringify(body)).toContain('"name":"pin"');
      shown.push(body as never);
    }
    expect(tellsOf(shown, all)).toBe(false);
    // Nor what is stored in their place, which no filter finds either.
    expect(JSON.stringify(shown)).not.toContain('s1.');
    const guess = await client.request<{ value: unknown[] }>(
      'GET',
      encodeURI("/beta/security/securityActions?$filter=parameters/any(p:startswith(p/value,'s1.'))"),
    );
    expect(guess.body.value).toEqual([]);
    const file = path.join(stack.dataDir, 'export.ndjson');
    const exported = await riposte(
      { MONGODB_URI: stack.mongodbUri },
      'export',
      '--tenant',
      TENANT_A,
      '--out',
      file,
    );
    expect(exported.code).toBe(0);
    const backup = await readFile(file, 'utf8');
    expect(backup).toContain('"sealed":"s1.');
    expect(tellsOf(backup, all)).toBe(false);
    for (const { output } of [stack.api, ...stack.workers]) expect(tellsOf(output, all)).toBe(false);
    expect(stack.workers[0]?.output).toContain('printed [redacted]');
    expect(stack.workers[0]?.output).toContain('logged [redacted]');
    expect(tellsOf(redisCommands, all)).toBe(false);
    expect(await placesInMongo(all)).toEqual([]);
  });

  it('of before there was a key to seal them are sealed by a command, beside what runs', async () => {
    const env = { ...stack.env, ECHO_KEY: API_KEY };
    const status = await riposte(env, 'secrets', 'status', '--json');
    expect(status.stderr).toBe('');
    const { current, actions, keys } = JSON.parse(status.stdout) as {
      readonly current: string;
      readonly actions: number;
      readonly keys: Readonly<Record<string, number>>;
    };
    expect(actions).toBeGreaterThan(5);
    expect(Object.keys(keys)).toEqual([current]);

    const id = await client.act('IsolateMachine', { MachineId: 'host-8', unlockPin: CANARY });
    await client.ended(id);
    await inMongo(async (db) => {
      const changed = await db
        .collection('actions')
        .updateOne(
          { 'parameters.value': 'host-8' },
          { $set: { 'parameters.1.value': CANARY }, $unset: { sealed: '' } },
        );
      expect(changed.modifiedCount).toBe(1);
    });
    expect(await placesInMongo([CANARY])).toEqual(['actions.parameters']);
    const { stdout: next } = await riposte({}, 'secrets', 'new-key');
    expect(next).toMatch(/^rpk_[\w-]{43}\n$/);
    const rotated = await riposte(
      { ...env, RIPOSTE_SECRETS_KEY: `${next.trim()} ${SECRETS_KEY}` },
      'secrets',
      'rotate',
    );
    expect(rotated.code).toBe(0);
    expect(rotated.stderr).toMatch(
      /^\d+ brought under the key [0-9a-f]{12}, 1 sealed that were in clear, 0 could not/,
    );
    expect(rotated.stderr).toContain(`key ${current}  is needed by nothing that is stored`);
    expect(await placesInMongo([CANARY])).toEqual([]);
    expect((await client.native(id))['parameters']).toContainEqual({ name: 'unlockPin', value: null });

    // Who starts now with the old key alone is refused; who runs goes on.
    const refused = new ProductProcess(WORKER_COMMAND, stack.env);
    expect(await eventually(() => (refused.running ? false : refused))).toMatchObject({
      child: { exitCode: 78 },
    });
    expect(refused.output).toMatch(/sealed with the key [0-9a-f]{12}, which this process does not have/);
    const unopened = (
      await client.post(mockAction('IsolateMachine', { MachineId: 'host-9', unlockPin: CANARY }))
    ).body.id;
    expect((await client.ended(unopened)).status).toBe('Completed');
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
function placesInMongo(secrets: readonly string[]): Promise<readonly string[]> {
  return inMongo(async (db) => {
    const places = new Set<string>();
    for (const { name } of await db.listCollections().toArray()) {
      for (const document of await db.collection(name).find().toArray()) {
        for (const [field, value] of Object.entries(document))
          if (tellsOf(value, secrets)) places.add(`${name}.${field}`);
      }
    }
    return [...places];
  });
}

async function inMongo<T>(work: (db: mongoose.mongo.Db) => Promise<T>): Promise<T> {
  const connection = await mongoose.createConnection(stack.mongodbUri).asPromise();
  try {
    return await work(connection.getClient().db(connection.name));
  } finally {
    await connection.close();
  }
}
