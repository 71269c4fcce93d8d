import { randomUUID } from 'node:crypto';
import { access, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AUDIT_KINDS, INSTALLATION, type AuditEntry, type AuditKind } from '#audit';
import { newClientSecret } from '#auth';
import { CONSOLE_APP_ID } from '#domain';
import { connectDatabase, type Database } from '#persistence';
import { NotificationReceiver } from '../simulators/notification-receiver/receiver.js';
import { TeamsWorkflow } from '../simulators/teams/workflow.js';
import { riposte } from '../support/cli.js';
import type { Client, GraphError } from '../support/client.js';
import { ConsoleClient } from '../support/console-client.js';
import { APP, TENANT_A, TENANT_B } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { documentOf, operationsOf } from '../support/openapi.js';
import { PASSWORD, makeOperator } from '../support/operators.js';
import { Stack } from '../support/stack.js';

/** What people and applications do to the product as it runs, and what the audit record then has of it. */

/** Stands where the record must not have it: in a parameter, an address, a state, passwords. */
const SECRET = 'secret-that-is-in-no-record';
const CHOSEN = `${SECRET} of bob`;

/** What each route that changes something leaves in the record; null: nothing, for the reason beside it. */
const ROUTES: Readonly<Record<string, AuditKind | null>> = {
  'POST /beta/security/securityActions': 'action.created',
  'POST /beta/security/securityActions/{id}/cancelSecurityAction': 'action.cancelRequested',
  'POST /beta/security/securityActions/{id}/microsoft.graph.cancelSecurityAction': 'action.cancelRequested',
  'POST /api/v1/actions': 'action.created',
  'POST /api/v1/actions/cancel': 'actions.bulkCancelRequested',
  'POST /api/v1/actions/{id}/cancel': 'action.cancelRequested',
  'POST /api/v1/actions/{id}/resolve': 'action.resolved',
  'POST /api/v1/actions/{id}/revert': 'action.created',
  'POST /api/v1/providers/{instance}/pause': 'provider.paused',
  'POST /api/v1/providers/{instance}/resume': 'provider.resumed',
  'POST /beta/subscriptions': 'subscription.created',
  'PATCH /beta/subscriptions/{id}': 'subscription.renewed',
  'DELETE /beta/subscriptions/{id}': 'subscription.removed',
  'POST /api/v1/webhooks': 'webhook.created',
  'PATCH /api/v1/webhooks/{id}': 'webhook.moved',
  'DELETE /api/v1/webhooks/{id}': 'webhook.removed',
  'POST /api/v1/notifications/deadLetters/{id}/replay': 'notification.replayed',
  'POST /api/v1/session': 'session.begun',
  'PUT /api/v1/session/tenant': 'session.tenantChanged',
  'DELETE /api/v1/session': 'session.ended',
  'POST /api/v1/session/end-all': 'session.allEnded',
  'PUT /api/v1/session/password': 'operator.passwordChanged',
  'POST /api/v1/operators': 'operator.added',
  'PATCH /api/v1/operators/{name}': 'operator.changed',
  'POST /api/v1/operators/{name}/reset-password': 'operator.passwordReset',
  'DELETE /api/v1/operators/{name}': 'operator.removed',
  'POST /oauth2/v2.0/token': 'token.issued',
  'POST /{tenant}/oauth2/v2.0/token': 'token.issued',
  // Its parts are.
  'POST /beta/$batch': null,
  // They change nothing.
  'POST /api/v1/actions/plan': null,
  'POST /api/v1/actions/observe': null,
  'POST /api/v1/providers/{instance}/health': null,
  'POST /beta/subscriptions/{id}/reauthorize': null,
  // What a list shows to the person who keeps it.
  'PUT /api/v1/views': null,
};

/** Recorded by commands: see audit-commands.full-spec.ts. */
const OF_COMMANDS: readonly AuditKind[] = [
  'actions.imported',
  'application.added',
  'application.changed',
  'application.revoked',
  'application.restored',
  'issuer.keyRotated',
  'issuer.keyRevoked',
  'secrets.rotated',
];

const ADA = { appId: CONSOLE_APP_ID, user: 'ada', address: '127.0.0.1' };
const BOB = { ...ADA, user: 'bob' };
const US = { appId: APP, user: null, address: '127.0.0.1' };
/** What an action's own history tells has no address. */
const OF_US = { ...US, address: null };
const OTHER_APP = randomUUID();
const OPERATOR = 'operator';

/** What an entry of each kind has, in the chain where it belongs. */
const ENTRIES: readonly (readonly [kind: AuditKind, chain: string, has: Readonly<Record<string, object>>])[] =
  [
    ['action.created', TENANT_A, { by: OF_US, details: { name: 'LongRunning', parameters: ['durationMs'] } }],
    ['action.cancelRequested', TENANT_A, { by: OF_US, about: { instance: 'mock' } }],
    ['action.ended', TENANT_A, { details: { status: 'Failed', code: 499 } }],
    ['action.resolved', TENANT_A, { by: OF_US, details: { verdict: 'applied' } }],
    ['actions.bulkCancelRequested', TENANT_A, { by: US }],
    [
      'provider.paused',
      INSTALLATION,
      { by: ADA, about: { instance: 'mock' }, details: { reason: 'Upgrade.', tenantId: TENANT_A } },
    ],
    ['provider.resumed', INSTALLATION, { by: ADA, about: { instance: 'mock' } }],
    ['queues.changed', INSTALLATION, { by: ADA, details: { method: 'PUT', path: '/api/queues/none/pause' } }],
    ['subscription.created', TENANT_A, { by: US, details: { resource: 'security/securityActions' } }],
    ['subscription.renewed', TENANT_A, { by: US }],
    ['subscription.removed', TENANT_A, { by: US }],
    ['webhook.created', TENANT_A, { by: US, details: { name: 'SOC', template: 'teams' } }],
    ['webhook.moved', TENANT_A, { by: US, details: { host: expect.any(String) as string } }],
    ['webhook.removed', TENANT_A, { by: US }],
    ['notification.replayed', TENANT_A, { by: US }],
    ['session.refused', TENANT_A, { by: { ...ADA, user: null }, about: { [OPERATOR]: 'ada' } }],
    ['session.begun', TENANT_A, { by: ADA, about: { [OPERATOR]: 'ada' } }],
    ['session.tenantChanged', TENANT_B, { by: ADA, about: { [OPERATOR]: 'ada' } }],
    ['session.ended', TENANT_B, { by: ADA, about: { [OPERATOR]: 'ada' } }],
    ['session.allEnded', TENANT_A, { by: BOB, about: { [OPERATOR]: 'bob' } }],
    ['operator.added', TENANT_A, { by: ADA, about: { [OPERATOR]: 'bob' }, details: { role: 'Viewer' } }],
    ['operator.changed', TENANT_A, { by: ADA, about: { [OPERATOR]: 'bob' }, details: { role: 'Operator' } }],
    ['operator.passwordChanged', TENANT_A, { by: BOB, about: { [OPERATOR]: 'bob' } }],
    ['operator.passwordReset', TENANT_A, { by: ADA, about: { [OPERATOR]: 'bob' } }],
    ['operator.removed', TENANT_A, { by: ADA, about: { [OPERATOR]: 'bob' } }],
    ['token.issued', TENANT_A, { details: { roles: ['SecurityActions.Read.All'], by: 'issuer' } }],
    [
      'configuration.changed',
      INSTALLATION,
      { by: { appId: null }, details: { providers: ['mock', 'silent'] } },
    ],
    ['audit.exported', TENANT_A, { by: US }],
  ];

let stack: Stack;
let database: Database;
let client: Client;
/** Of another application. */
let other: Client;
let auditor: Client;
let receiver: NotificationReceiver;
let teams: TeamsWorkflow;
let dir: string;
/** Of both chains and tenants, once all is there. */
let entries: readonly AuditEntry[];

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-audit-'));
  receiver = await NotificationReceiver.start();
  teams = await TeamsWorkflow.start();
  stack = await Stack.start({
    config: `
providers:
  - { id: mock, plugin: mock }
  - { id: silent, plugin: mock, subProvider: silent, settings: { mode: none, faultRates: { unknown: 1 } } }
console: { queues: { writable: true } }
audit: { headsFile: '${path.join(dir, 'heads')}' }
notifications: { network: { allow: ['127.0.0.0/8'] }, tryMinutes: 0.01 }
`,
  });
  await mkdir(path.dirname(spoiled()), { recursive: true });
  await writeFile(spoiled(), '{"held":"in-the-file"');
  database = await connectDatabase(stack.mongodbUri, { appName: 'riposte-test' });
  client = await stack.client();
  other = await stack.client({ app: OTHER_APP });
  auditor = await stack.client({ roles: ['Audit.Read.All', 'Riposte.Operator'] });
  await Promise.all([peopleDo(), actionsDo(), subscriptionsDo(), webhooksDo(), tokenIsIssued()]);
  entries = await eventually(async () => {
    const found = await recorded();
    return ENTRIES.every(([kind, chain]) => found.some((one) => one.kind === kind && one.chain === chain))
      ? found
      : null;
  }, 30_000);
});
afterAll(async () => {
  await database.close();
  await stack.stop();
  await receiver.stop();
  await teams.stop();
  await rm(dir, { recursive: true, force: true });
});

/** What a command left that no API process can take. */
function spoiled(): string {
  return path.join(stack.dataDir, 'audit-spool', `${APP}.json`);
}

async function peopleDo(): Promise<void> {
  await makeOperator(database, 'ada', {
    grants: [
      { tenantId: TENANT_A, role: 'Administrator' },
      { tenantId: TENANT_B, role: 'Viewer' },
    ],
    operates: true,
  });
  const ada = new ConsoleClient(stack.baseUrl);
  expect((await ada.signIn('ada', SECRET)).status).toBe(401);
  expect((await ada.signIn('ada', PASSWORD)).status).toBe(200);
  const did = async (who: ConsoleClient, method: string, to: string, body?: object): Promise<unknown> => {
    const answer = await who.send(method, `/api/v1/${to}`, { body });
    expect([to, answer.status]).toEqual([to, [200, 201, 204].find((one) => one === answer.status)]);
    return answer.body;
  };
  await did(ada, 'POST', 'providers/mock/pause', { reason: 'Upgrade.' });
  await did(ada, 'POST', 'providers/mock/resume');
  await ada.send('PUT', '/ops/queues/api/queues/none/pause?key=x');
  const made = await did(ada, 'POST', 'operators', { name: 'bob', displayName: 'Bob', role: 'Viewer' });
  await did(ada, 'PATCH', 'operators/bob', { role: 'Operator' });
  const bob = new ConsoleClient(stack.baseUrl);
  const { password } = made as { readonly password: string };
  await bob.signIn('bob', password);
  await did(bob, 'PUT', 'session/password', { current: password, new: CHOSEN });
  await bob.session();
  await did(bob, 'POST', 'session/end-all');
  await did(ada, 'POST', 'operators/bob/reset-password');
  await did(ada, 'DELETE', 'operators/bob');
  await did(ada, 'PUT', 'session/tenant', { tenantId: TENANT_B });
  await ada.session();
  await did(ada, 'DELETE', 'session');
}

async function actionsDo(): Promise<void> {
  const long = await client.act('LongRunning', { durationMs: 600_000 }, { clientContext: SECRET });
  for (const one of [client, other, other]) expect((await one.cancel(long)).status).toBe(200);
  expect((await client.post({ ids: [long] }, '/api/v1/actions/cancel')).status).toBe(200);
  const silent = { vendorInformation: { vendor: 'Mock', provider: 'Mock', subProvider: 'silent' } };
  const unknown = await client.act('BlockUrl', { URL: `https://a.example/${SECRET}` }, silent);
  await client.inPhase(unknown, 'outcomeUnknown');
  const found = { verdict: 'applied', note: SECRET };
  expect((await client.post(found, `/api/v1/actions/${unknown}/resolve`)).status).toBe(200);
}

async function subscriptionsDo(): Promise<void> {
  receiver.refusals = Array.from({ length: 100 }, () => 500);
  const expirationDateTime = new Date(Date.now() + 3_600_000).toISOString();
  const made = await client.post<{ readonly id: string }>(
    {
      changeType: 'created,updated',
      notificationUrl: `${receiver.url}?key=${SECRET}`,
      resource: 'security/securityActions',
      expirationDateTime,
      clientState: SECRET,
    },
    '/beta/subscriptions',
  );
  expect(made).toMatchObject({ status: 201 });
  const at = `/beta/subscriptions/${made.body.id}`;
  const body = JSON.stringify({ expirationDateTime });
  await client.request('PATCH', at, { body, headers: { 'content-type': 'application/json' } });
  await client.act('BlockIp', { IP: '203.0.113.7' });
  const letters = '/api/v1/notifications/deadLetters';
  const [letter] = await eventually(async () => {
    const { value } = (await client.request<{ value: { id: string }[] }>('GET', letters)).body;
    return value.length > 0 ? value : null;
  }, 30_000);
  expect((await client.request('POST', `${letters}/${letter?.id}/replay`)).status).toBe(204);
  expect((await client.request('DELETE', at)).status).toBe(204);
}

async function webhooksDo(): Promise<void> {
  const url = `${teams.url}&key=${SECRET}`;
  const wish = { name: 'SOC', template: 'teams', url, authorization: SECRET };
  const made = await auditor.post<{ readonly id: string }>(wish, '/api/v1/webhooks');
  expect(made).toMatchObject({ status: 201 });
  const at = `/api/v1/webhooks/${made.body.id}`;
  const moving = { body: JSON.stringify({ url }), headers: { 'content-type': 'application/json' } };
  expect((await auditor.request('PATCH', at, moving)).status).toBe(200);
  expect((await auditor.request('DELETE', at)).status).toBe(204);
}

async function tokenIsIssued(): Promise<void> {
  const { secret, kept } = await newClientSecret();
  const roles = ['SecurityActions.Read.All'] as const;
  const appId = randomUUID();
  await database.applications.add(
    { appId, tenantId: TENANT_A, name: 'SIEM', roles },
    { ...kept, expiresInMs: null },
  );
  const form = { grant_type: 'client_credentials', client_id: appId, client_secret: secret };
  const body = new URLSearchParams(form);
  const answer = await fetch(`${stack.baseUrl}/oauth2/v2.0/token`, { method: 'POST', body });
  expect(answer.status).toBe(200);
}

/** What the chains of the two tenants, and of the installation, have. */
async function recorded(): Promise<readonly AuditEntry[]> {
  const ofOther = await stack.client({ tenant: TENANT_B, roles: ['Audit.Read.All'] });
  const texts = await Promise.all([exported(auditor), exported(ofOther), exported(auditor, '/installation')]);
  return texts
    .flatMap((text) => text.trim().split('\n'))
    .map((line) => JSON.parse(line) as AuditEntry & { readonly type: string })
    .filter(({ type }) => type === 'entry');
}

async function exported(who: Client, which = ''): Promise<string> {
  const { status, body } = await who.request<string>('GET', `/api/v1/audit${which}`);
  expect({ which, status }).toEqual({ which, status: 200 });
  return body;
}

describe('what is recorded', () => {
  it('is all that the manual lists: here, and by commands', () => {
    const kinds = [...ENTRIES.map(([kind]) => kind), ...OF_COMMANDS];
    expect(kinds.toSorted()).toEqual([...AUDIT_KINDS].toSorted());
  });

  it('is said for each route that changes something', async () => {
    const routes = operationsOf(await documentOf(stack.baseUrl))
      .filter(({ method }) => method !== 'GET')
      // The two versions are the same.
      .map(({ method, path: at }) => `${method} ${at.replace('/v1.0/', '/beta/')}`);
    expect([...new Set(routes)].toSorted()).toEqual(Object.keys(ROUTES).toSorted());
    const kinds = Object.values(ROUTES).filter((kind) => kind !== null);
    expect(ENTRIES.map(([kind]) => kind)).toEqual(expect.arrayContaining(kinds));
  });

  it.each(ENTRIES)('%s', (kind, chain, has) => {
    const found = entries.filter((one) => one.kind === kind && one.chain === chain);
    const parts = Object.entries(has).map(([name, part]) => [name, expect.objectContaining(part) as unknown]);
    expect(found).toContainEqual(expect.objectContaining(Object.fromEntries(parts) as object));
  });

  it('tells each tenant only of itself, and holds no secret, and no value of a parameter', () => {
    const ofOther = entries.filter(({ chain }) => chain === TENANT_B);
    expect(new Set(ofOther.map(({ kind }) => kind))).toEqual(
      new Set(['session.refused', 'session.tenantChanged', 'session.ended', 'audit.exported']),
    );
    const text = JSON.stringify(entries);
    expect(text).not.toMatch(/203\.0\.113\.7|rps_|scrypt|eyJ/);
    for (const secret of [SECRET, PASSWORD, 'a.example']) expect(text).not.toContain(secret);
  });

  it('is told of in the log, once, and left where a command left what cannot be taken', async () => {
    const told = await eventually(() => {
      const found = stack.api.log.filter(({ msg }) => String(msg).includes('look at these files'));
      return found.length > 0 ? found : null;
    });
    const files = [{ file: spoiled(), why: 'it is no JSON' }];
    expect(told).toEqual([expect.objectContaining({ count: 1, files }) as unknown]);
    await access(spoiled());
    expect(stack.api.output).not.toContain('in-the-file');
  });

  it('tells of each who asked for the end of an action, once', async () => {
    const asked = await eventually(async () => {
      const found = (await recorded()).filter(({ kind }) => kind === 'action.cancelRequested');
      return found.length > 1 ? found : null;
    });
    expect(asked).toHaveLength(2);
    expect(asked.map(({ by }) => by)).toEqual(
      expect.arrayContaining([OF_US, { ...US, appId: OTHER_APP }]) as unknown,
    );
    expect(asked[1]?.about).toEqual(asked[0]?.about);
  });

  it('also tells of what was refused, and why', async () => {
    expect((await client.request('DELETE', `/beta/subscriptions/${APP}`)).status).toBe(404);
    const told = await eventually(async () => {
      const found = (await recorded()).filter(({ about }) => about['subscription'] === APP);
      return found.length === 2 ? found : null;
    });
    expect(told.map(({ details }) => details)).toEqual([{}, { failed: 'itemNotFound' }]);
  });
});

describe('what cannot be recorded', () => {
  it('is not done, but for actions, which are their own record', async () => {
    const operator = await stack.client({ roles: ['Riposte.Operator'] });
    const connection = await mongoose.createConnection(stack.mongodbUri).asPromise();
    const takes = (validator: object) => connection.db?.command({ collMod: 'auditInbox', validator });
    await takes({ _id: 'nothing' });
    try {
      const pause = await operator.post<GraphError>({ reason: 'x' }, '/api/v1/providers/mock/pause');
      expect(pause).toMatchObject({
        status: 503,
        body: {
          error: { code: 'serviceNotAvailable', message: expect.stringMatching(/recorded/) as string },
        },
      });
      expect(pause.headers.get('retry-after')).not.toBeNull();
      const { body } = await operator.request('GET', '/api/v1/providers/mock');
      expect(body).toMatchObject({ paused: null });
      const id = await client.act('LongRunning', { durationMs: 600_000 });
      expect((await client.post({ ids: [id] }, '/api/v1/actions/cancel')).body).toMatchObject({
        value: [{ id }],
      });
      expect(await client.ended(id)).toMatchObject({ errorInfo: { code: 499 } });
      expect((await client.cancel(id)).status).toBe(200);
      expect(await other.cancel(id)).toMatchObject({
        status: 503,
        body: { error: { message: expect.stringMatching(/^The cancel stands\./) as string } },
      });
    } finally {
      await takes({});
      await connection.close();
    }
  });
});

describe('riposte audit', () => {
  const env = () => ({ MONGODB_URI: stack.mongodbUri });
  const [key, heads] = ['key.pem', 'heads'];

  async function verify(file: string, text: string, ...options: readonly string[]) {
    await writeFile(path.join(dir, file), text);
    return riposte({ INIT_CWD: dir }, 'audit', 'verify', file, ...options);
  }

  it('proves that an export is whole, and names what was changed or cut off in the database', async () => {
    // What is left is signed when the worker stops.
    await stack.workers[0]?.end();
    const [keys, all] = await Promise.all([
      riposte(env(), 'audit', 'key'),
      riposte(env(), 'audit', 'export'),
    ]);
    expect(keys.stdout).toMatch(/^-----BEGIN PUBLIC KEY-----/);
    await writeFile(path.join(dir, key), keys.stdout);
    const served = await auditor.request<{ value: { publicKey: string }[] }>('GET', '/api/v1/audit/key');
    expect(served.body.value.map(({ publicKey }) => publicKey)).toEqual([keys.stdout]);

    const audit = mongoose.createConnection(stack.mongodbUri);
    const record = audit.collection('audit');
    const edited = await record.findOne({ chain: TENANT_A, kind: 'action.created' });
    if (edited === null) throw new Error('it is not there');
    const { _id } = edited;
    await record.updateOne({ _id }, { $set: { 'by.appId': randomUUID() } });
    const afterEdit = await exported(auditor);
    await record.replaceOne({ _id }, edited);
    const signed = await database.audit.lastCheckpoint(TENANT_A);
    const cut = { chain: TENANT_A, seq: { $gte: signed?.seq } };
    await record.deleteMany(cut);
    await audit.collection('auditCheckpoints').deleteMany(cut);
    const afterCut = await exported(auditor);
    await audit.close();

    await writeFile(path.join(dir, 'long'), '');
    await truncate(path.join(dir, 'long'), 65 << 20);
    const results = await Promise.all([
      verify('all', all.stdout, '--key', key, '--heads', heads),
      verify('edited', afterEdit, '--key', key),
      verify('cut', afterCut, '--key', key, '--heads', heads),
      verify('none', 'This is none.'),
      riposte({ INIT_CWD: dir }, 'audit', 'verify', 'long'),
    ]);
    expect(results.map(({ code }) => code)).toEqual([0, 1, 1, 2, 2]);
    const [whole, edit, cutOff, none, long] = results;
    for (const chain of [TENANT_A, TENANT_B, INSTALLATION])
      expect(whole?.stdout).toMatch(new RegExp(`^${chain}  whole: \\d+ entries$`, 'm'));
    expect(edit?.stdout).toBe(
      `${TENANT_A}  BROKEN at ${edited['seq']}: the entry was changed: its hash is another\n`,
    );
    expect(cutOff?.stdout).toContain(
      `BROKEN at ${signed?.seq}: entry ${signed?.seq} is missing: the head kept`,
    );
    expect(none?.stderr).toContain('none cannot be verified: line 1 is no JSON.');
    expect(long?.stderr).toBe('long cannot be verified: It has a line of more than 64 MiB.\n');
    expect(await readFile(path.join(dir, heads), 'utf8')).toContain(INSTALLATION);
  });
});
