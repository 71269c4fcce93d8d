import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import vm from 'node:vm';
import { Redis } from 'ioredis';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { redisSettingsOf } from '#config';
import { MongoReplicaSet, RedisServer, findMongod, findRedisServer } from '#embedded-servers';
import { DATABASE_ROLES, DATABASE_USERS, INDEXES, connectDatabase, type Privileges } from '#persistence';
import { RedisBell, type RedisAddress } from '#queue';
import { NotificationReceiver } from '../simulators/notification-receiver/receiver.js';
import { riposte, type CommandResult } from '../support/cli.js';
import { mockAction, type Client } from '../support/client.js';
import { ConsoleClient } from '../support/console-client.js';
import { TENANT_A } from '../support/database.js';
import { EventListener } from '../support/event-listener.js';
import { eventually } from '../support/eventually.js';
import { PROJECT_DIR } from '../support/project-dir.js';
import { Stack } from '../support/stack.js';
import { Authority, type KeyedCertificate } from '../support/tls.js';

/**
 * A MongoDB that asks who one is, a Redis with the rules of deploy/redis/users.acl, both by TLS with certificates of
 * an authority of their own; and the product on them, each process as the user that is made for it.
 */

type User = keyof typeof DATABASE_USERS;
type Db = mongoose.mongo.Db;

const silent = (): void => undefined;
const PASSWORD = 'of-a-test';
const ROOT = { username: 'root', password: PASSWORD };
const FINISHED = { keepDays: 0.000_01 };

let dir: string;
let authority: Authority;
let mongo: MongoReplicaSet;
let redis: RedisServer;
let redisByTls: ByTls;
let root: mongoose.mongo.MongoClient;
let uris: Readonly<Record<User, string>>;
let receiver: NotificationReceiver;
let stack: Stack;
let client: Client;

const inDir = (name: string): string => path.join(dir, name);

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-privilege-'));
  authority = await Authority.make();
  const [server, ours] = await Promise.all([authority.issue(), authority.issue()]);
  await Promise.all([
    writeFile(inDir('ca.pem'), authority.cert),
    writeFile(inDir('server.pem'), `${server.cert}\n${server.key}`),
    writeFile(inDir('ours.pem'), ours.cert),
    writeFile(inDir('ours.key'), ours.key),
    writeFile(inDir('members.key'), randomBytes(60).toString('base64'), { mode: 0o600 }),
    writeFile(inDir('users.acl'), `${await deployedAcl()}user root on >${PASSWORD} ~* &* +@all\n`),
  ]);
  [mongo, redis, receiver] = await Promise.all([startMongo(), startRedis(), NotificationReceiver.start()]);
  redisByTls = await ByTls.start(redis.port, server);
  root = await makeRoot();
  uris = await makeUsers();
  stack = await Stack.start({
    mongodbUri: uris['riposte-api'],
    env: {
      REDIS_URL: redisByTls.url('riposte-api'),
      REDIS_TLS_CA: inDir('ca.pem'),
      REDIS_TLS_CERT: inDir('ours.pem'),
      REDIS_TLS_KEY: inDir('ours.key'),
      FEED_PASSWORD: 'password-of-the-feed',
    },
    workerEnv: { MONGODB_URI: uris['riposte-worker'], REDIS_URL: redisByTls.url('riposte-worker') },
    config: JSON.stringify({
      providers: [
        { id: 'mock', plugin: 'mock', limits: { windows: [{ calls: 10_000, perSeconds: 60 }] } },
        { id: 'feed', plugin: 'feed', tenants: [TENANT_A], secrets: { feedPassword: 'env:FEED_PASSWORD' } },
      ],
      limits: { perApp: 1000 },
      notifications: { network: { allow: ['127.0.0.0/8'] } },
      retention: FINISHED,
    }),
  });
  client = await stack.client({
    roles: ['SecurityActions.ReadWrite.All', 'Riposte.Operator', 'Audit.Read.All'],
  });
});
afterAll(async () => {
  await stack?.stop();
  await root?.close();
  await redisByTls?.close();
  await Promise.all([mongo?.stop(), redis?.stop(), receiver?.stop()]);
  await rm(dir, { recursive: true, force: true });
});

describe('API and worker, each as a user of its own, by TLS', () => {
  it('carry actions out, and tell of them', async () => {
    const events = new EventListener(client);
    await events.present();
    const subscription = await client.post<{ id: string }>(
      {
        changeType: 'created,updated',
        notificationUrl: receiver.url,
        resource: 'security/securityActions',
        expirationDateTime: inAnHour(),
        clientState: null,
      },
      '/v1.0/subscriptions',
    );
    expect(subscription).toMatchObject({ status: 201 });
    const lifted = await client.act('BlockIp', { IP: '192.0.2.1' }, { '@riposte.effectUntil': inAnHour() });
    const long = await client.act('LongRunning', { durationMs: 600_000 });
    const published = await client.post({
      ...mockAction('BlockIp', { IP: '203.0.113.2' }),
      vendorInformation: FEED,
    });
    expect(published).toMatchObject({ status: 201 });
    await client.inPhase(long, 'waitingOnVendor');
    expect((await client.cancel(long)).status).toBe(200);
    expect((await client.ended(lifted)).status).toBe('Completed');
    expect((await client.ended(published.body.id)).status).toBe('Completed');
    expect((await client.ended(long)).phase).toBe('cancelledAtProvider');
    const now = { effectUntil: new Date(), liftAt: new Date() };
    await root
      .db('riposte')
      .collection('actions')
      .updateOne({ liftAt: { $type: 'date' } }, { $set: now });
    await eventually(async () => (await client.native(lifted))['revertedBy']);
    await events.hears(lifted, 'Completed');
    events.close();
    await eventually(() => receiver.taken.some(({ resourceData }) => resourceData?.id === lifted));
    expect(await statusOf('DELETE', `/beta/subscriptions/${subscription.body.id}`)).toBe(204);
  });

  it('answer all that is asked of them', async () => {
    const block = mockAction('BlockIp', { IP: '192.0.2.3' });
    const created = await client.request<{ id: string }>('POST', '/beta/security/securityActions', {
      body: JSON.stringify(block),
      headers: { 'content-type': 'application/json', 'idempotency-key': 'a-key-of-this-test' },
    });
    expect(created.status).toBe(201);
    await client.ended(created.body.id);
    expect(
      await Promise.all([
        statusOf('GET', '/beta/security/securityActions?$top=5&$count=true'),
        statusOf('GET', "/api/v1/actions?filter=status eq 'Completed'&count=true"),
        statusOf('GET', '/api/v1/actions/export?format=csv'),
        statusOf('GET', '/api/v1/overview'),
        statusOf('GET', '/api/v1/providers'),
        statusOf('GET', '/api/v1/workers'),
        statusOf('GET', '/api/v1/applications'),
        statusOf('GET', '/api/v1/feeds'),
        statusOf('GET', '/api/v1/audit'),
        statusOf('GET', '/metrics'),
        statusOf('GET', '/api/v1/notifications/deadLetters'),
        statusOf('GET', '/ops/queues/api/queues'),
        statusOf('POST', '/api/v1/actions/observe', block),
        statusOf('POST', '/api/v1/actions/observe', { ...block, vendorInformation: FEED }),
        statusOf('POST', '/api/v1/actions/plan', block),
        statusOf('POST', '/api/v1/providers/mock/health'),
        statusOf('POST', '/api/v1/providers/feed/health'),
        statusOf('POST', `/api/v1/actions/${created.body.id}/revert`),
        statusOf('POST', '/api/v1/providers/feed/pause', { reason: 'Test' }),
      ]),
    ).toEqual([
      200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 201, 200,
    ]);
    expect(await statusOf('POST', '/api/v1/providers/feed/resume')).toBe(200);
  });

  it('have people in whose accounts the commands make', async () => {
    const made = await command('riposte-operator', 'operators', 'add', 'ada', ...ACCOUNT);
    const ada = new ConsoleClient(stack.baseUrl);
    const { password } = JSON.parse(made.stdout) as { password: string };
    expect((await ada.signIn('ada', password)).status).toBe(200);
    const next = { current: password, new: 'another long password' };
    const person = { name: 'bob', displayName: 'Bob', role: 'Viewer' };
    expect((await ada.send('PUT', '/api/v1/session/password', { body: next })).status).toBeLessThan(300);
    await ada.session();
    expect((await ada.send('PUT', '/api/v1/views', { body: { value: [] } })).status).toBeLessThan(300);
    expect((await ada.send('POST', '/api/v1/operators', { body: person })).status).toBe(201);
    expect((await ada.send('DELETE', '/api/v1/operators/bob')).status).toBe(204);
    expect((await ada.send('POST', '/api/v1/session/end-all')).status).toBe(204);
  });

  it('give tokens to applications that the commands register, and keep what these export and rotate', async () => {
    const results = await Promise.all([
      command(
        'riposte-operator',
        'apps',
        'add',
        '--tenant',
        TENANT_A,
        '--name',
        'SOAR',
        '--role',
        ROLE,
        '--json',
      ),
      command('riposte-operator', 'secrets', 'rotate'),
      command('riposte-operator', 'issuer', 'keys'),
      command('riposte-operator', 'export', '--tenant', TENANT_A, '--out', inDir('actions.ndjson')),
    ]);
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    const imported = await command('riposte-operator', 'import', '--in', inDir('actions.ndjson'));
    expect(imported).toMatchObject({ code: 0, stderr: expect.stringContaining('0 imported') as string });
    const { clientId, clientSecret } = JSON.parse(results[0]?.stdout ?? '') as Record<string, string>;
    const answer = await fetch(`${stack.baseUrl}/${TENANT_A}/oauth2/v2.0/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: clientId ?? '',
        client_secret: clientSecret ?? '',
        scope: 'api://riposte/.default',
      }),
    });
    expect(answer.status).toBe(200);
  });

  it('are found well by the doctor, as far as a worker may look', async () => {
    const env = {
      ...stack.env,
      MONGODB_URI: uris['riposte-worker'],
      REDIS_URL: redisByTls.url('riposte-worker'),
    };
    const { stdout } = await riposte(env, 'doctor', '--json');
    const { findings } = JSON.parse(stdout) as {
      findings: { level: string; code: string; message: string }[];
    };
    const ofDatabases = findings.filter(({ code }) =>
      /^(mongodb|redis|issuers|workers|doctor|secrets)\./.test(code),
    );
    expect(ofDatabases.length).toBeGreaterThan(10);
    expect(ofDatabases.filter(({ level }) => level === 'problem')).toEqual([]);
  });

  it('leave the removing to a command that is run as another, who may do nothing else', async () => {
    const id = await client.act('BlockIp', { IP: '192.0.2.4' });
    await client.ended(id);
    expect(stack.workers[0]?.output).toContain('may not remove actions');
    const worker = await command('riposte-worker', 'retention');
    expect(worker).toMatchObject({ code: 1, stderr: expect.stringContaining('may not remove') as string });
    expect(await statusOf('GET', `/api/v1/actions/${id}`)).toBe(200);
    await eventually(async () => {
      const { code, stderr } = await command('riposte-retention', 'retention');
      expect({ code, stderr }).toMatchObject({
        code: 0,
        stderr: expect.stringMatching(/^\d+ finished/) as string,
      });
      return (await statusOf('GET', `/api/v1/actions/${id}`)) === 404;
    });
  });

  it('were refused nothing by either database in all of this', async () => {
    const as = new Redis(redis.port, ROOT);
    const refusals = (await as.acl('LOG')) as readonly (readonly unknown[])[];
    as.disconnect();
    // Asked for in vain, and done without: by CONFIG whether it evicts; Redis 6.2 does not know the client's CLIENT SETINFO.
    const done = new Set(['config', 'client']);
    expect(
      refusals.map((one) => one[one.indexOf('object') + 1]).filter((what) => !done.has(String(what))),
    ).toEqual([]);
    const log = await readFile(inDir('mongo/member-0.log'), 'utf8');
    expect(
      log
        .split('\n')
        .filter((line) => line.includes('not authorized on riposte '))
        .filter((line) => !MAY_NOT.test(line)),
    ).toEqual([]);
    const output = [stack.api, ...stack.workers].map((process) => process.output).join('');
    expect(output).not.toMatch(/not authorized|NOPERM|NOAUTH/i);
    expect(output).not.toContain(PASSWORD);
    for (const uri of Object.values(uris)) expect(output).not.toContain(new URL(uri).password);
  });

  it('are told apart by the doctor from users who may not write', async () => {
    const as = new Redis(redis.port, ROOT);
    await as.acl('SETUSER', 'reader', 'on', `>${PASSWORD}`, '~*', '+@all', '-@write');
    as.disconnect();
    const env = {
      ...stack.env,
      MONGODB_URI: uris['riposte-retention'],
      REDIS_URL: redisByTls.url('reader'),
    };
    const { stdout } = await riposte(env, 'doctor', '--json');
    const { findings } = JSON.parse(stdout) as { findings: { level: string; code: string }[] };
    const found = findings.filter(({ code }) => code.endsWith('.write'));
    expect(found).toMatchObject([
      { code: 'mongodb.write', level: 'warning' },
      { code: 'redis.write', level: 'problem' },
    ]);
  });
});

describe('in MongoDB', () => {
  const OF_EVERYBODY: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
    'drop the actions': (db) => db.dropCollection('actions'),
    'drop the database': (db) => db.dropDatabase(),
    'rename the actions': (db) => db.renameCollection('actions', 'gone'),
    'make an index': (db) => db.createIndex('actions', { name: 1 }),
    'drop an index': (db) => db.command({ dropIndexes: 'actions', index: '*' }),
    'change a collection': (db) => db.command({ collMod: 'audit', validator: {} }),
    'make a collection': (db) => db.createCollection('elsewhere'),
    'write to a collection that is none of the product': (db) =>
      db.collection<Named>('elsewhere').insertOne(NAMED),
    'make a user': (db) => db.command({ createUser: 'eve', pwd: 'eve', roles: ['dbOwner'] }),
    'give oneself a role': (db) => db.command({ grantRolesToUser: 'riposte-api', roles: ['dbOwner'] }),
    'see the users': (db) => db.command({ usersInfo: 1 }),
    'read the log of all changes': (db) => db.client.db('local').collection('oplog.rs').findOne(),
    'read another database': (db) => db.client.db('other').collection('actions').findOne(),
    'end the server': (db) => db.admin().command({ shutdown: 1 }),
  };
  const REFUSED: Readonly<Record<User, Readonly<Record<string, (db: Db) => Promise<unknown>>>>> = {
    'riposte-api': {
      ...OF_EVERYBODY,
      ...removing(
        'actions',
        'audit',
        'auditInbox',
        'auditCheckpoints',
        'idempotencyKeys',
        'issuerKeys',
        'keys',
      ),
      ...changing('audit', 'auditCheckpoints', 'auditInbox', 'auditKeys', 'applications', 'keys', 'leases'),
      ...adding('audit', 'auditCheckpoints', 'auditKeys', 'applications'),
    },
    'riposte-worker': {
      ...OF_EVERYBODY,
      ...reading('operators', 'applications', 'sessions', 'idempotencyKeys', 'views'),
      ...removing('actions', 'audit', 'auditCheckpoints', 'auditKeys', 'keys', 'entries'),
      ...changing('audit', 'auditCheckpoints', 'operators', 'applications', 'issuerKeys', 'keys'),
      ...adding('operators', 'applications', 'sessions', 'issuerKeys'),
    },
    'riposte-retention': {
      ...OF_EVERYBODY,
      ...reading('operators', 'applications', 'sessions', 'issuerKeys', 'keys'),
      ...removing('audit', 'auditCheckpoints'),
      ...changing('actions', 'audit', 'operators'),
      ...adding('actions', 'audit', 'operators', 'issuerKeys'),
    },
    'riposte-operator': {
      ...OF_EVERYBODY,
      ...removing('actions', 'audit', 'auditInbox', 'auditCheckpoints', 'keys'),
      ...changing('audit', 'auditCheckpoints', 'auditInbox', 'auditKeys'),
      ...adding('audit', 'auditCheckpoints', 'auditKeys'),
    },
  };

  it.each(Object.entries(REFUSED))('%s is refused what is not its own', async (user, attempts) => {
    const one = new mongoose.mongo.MongoClient(uris[user as User]);
    onTestFinished(() => one.close());
    const came = await Promise.all(
      Object.entries(attempts).map(async ([what, attempt]) => [
        what,
        await attempt(one.db()).then(
          () => 'done',
          (error: { readonly codeName?: string }) => error.codeName,
        ),
      ]),
    );
    expect(Object.fromEntries(came)).toEqual(
      Object.fromEntries(Object.keys(attempts).map((what) => [what, 'Unauthorized'])),
    );
  });

  it('an index that is missing is told with what makes it, and made by who may', async () => {
    await root.db('riposte').collection('workers').dropIndexes();
    const asWorker = connectDatabase(uris['riposte-worker'], { appName: 'riposte-test' });
    await expect(asWorker).rejects.toThrow(/workers lacks indexes .*riposte setup indexes/);
    expect(await run(rootUri(), 'setup', 'indexes')).toMatchObject({ code: 0 });
    await (await connectDatabase(uris['riposte-worker'], { appName: 'riposte-test' })).close();
  });

  it('the roles are brought to what they are in this version, and passwords stay unless they are to be new', async () => {
    const database = await connectDatabase(rootUri('of-roles'), { appName: 'riposte-test' });
    onTestFinished(() => database.close());
    const setUp = async (renewed: boolean): Promise<number> => {
      const made: string[] = [];
      await database.users.setUp((name) => `${made.push(name)}-password`, renewed);
      return made.length;
    };
    expect([await setUp(false), await setUp(false), await setUp(true)]).toEqual([4, 0, 4]);
    const db = root.db('of-roles');
    await db.command({ updateRole: 'riposteWorker', privileges: [], roles: ['dbOwner'] });
    await setUp(false);
    const { roles } = await db.command({ rolesInfo: 'riposteWorker', showPrivileges: true });
    expect(roles).toMatchObject([
      { roles: [], privileges: { length: privilegesOf('riposteWorker').length } },
    ]);
  });

  it('each user is told of as soon as it is there, though the next one cannot be made', async () => {
    const database = await connectDatabase(rootUri('of-users'), { appName: 'riposte-test' });
    onTestFinished(() => database.close());
    const told: string[] = [];
    const passwordOf = (name: string): string => {
      if (told.length === 2) throw new Error('no more');
      return `${name}-password`;
    };
    await expect(database.users.setUp(passwordOf, false, ({ name }) => told.push(name))).rejects.toThrow();
    const { users } = await root.db('of-users').command({ usersInfo: 1 });
    expect((users as { user: string }[]).map(({ user }) => user).toSorted()).toEqual(told.toSorted());
    expect(told).toHaveLength(2);
  });

  it('a user of the database who is no administrator of it cannot set anything up', async () => {
    const { code, stderr } = await run(uris['riposte-operator'], 'setup', 'users');
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/not authorized/) as string,
    });
  });

  it('somebody may read and write each collection that has indexes', () => {
    const named = Object.values<Privileges>(DATABASE_ROLES).flatMap((role) => Object.keys(role));
    expect(INDEXES.map(({ collection }) => collection).filter((name) => !named.includes(name))).toEqual([]);
  });

  it('the script for mongosh makes the same roles and users', async () => {
    const script = await readFile(path.join(PROJECT_DIR, 'deploy/mongodb/users.js'), 'utf8');
    const roles: { readonly role: string }[] = [];
    const users: { readonly user: string; readonly roles: readonly { readonly role: string }[] }[] = [];
    const db = {
      getName: () => 'riposte',
      getRole: () => null,
      getUser: () => null,
      createRole: (role: { readonly role: string }) => roles.push(role),
      createUser: (user: (typeof users)[number]) => users.push(user),
    };
    vm.runInNewContext(script, { db, print: silent, passwordPrompt: () => PASSWORD });
    const made = Object.keys(DATABASE_ROLES) as (keyof typeof DATABASE_ROLES)[];
    expect(structuredClone(roles)).toEqual(
      made.map((role) => ({ role, privileges: privilegesOf(role), roles: [] })),
    );
    expect(Object.fromEntries(users.map(({ user, roles: own }) => [user, own[0]?.role]))).toEqual(
      DATABASE_USERS,
    );
  });
});

describe('in Redis', () => {
  const REFUSED: readonly (readonly [string, ...string[]])[] = [
    ['FLUSHALL'],
    ['FLUSHDB'],
    ['SWAPDB', '0', '1'],
    ['KEYS', '*'],
    ['SCAN', '0'],
    ['RANDOMKEY'],
    ['DBSIZE'],
    ['CONFIG', 'GET', '*'],
    ['CONFIG', 'SET', 'dir', '/tmp'],
    ['DEBUG', 'SLEEP', '0'],
    ['MONITOR'],
    ['SAVE'],
    ['SHUTDOWN', 'NOSAVE'],
    ['REPLICAOF', '192.0.2.1', '6379'],
    ['ACL', 'LIST'],
    ['ACL', 'SETUSER', 'eve', 'on'],
    ['CLIENT', 'LIST'],
    ['CLIENT', 'KILL', 'TYPE', 'normal'],
    ['SCRIPT', 'FLUSH'],
    ['SCRIPT', 'KILL'],
    ['MODULE', 'LIST'],
    ['PUBSUB', 'CHANNELS'],
    ['GET', 'of-others'],
    ['SET', 'of-others', '1'],
    ['DEL', 'of-others'],
    ['RENAME', '{riposte}:health', 'of-others'],
    ['COPY', 'of-others', '{riposte}:mine'],
    ['MOVE', '{riposte}:health', '1'],
    ['SORT', '{riposte}:x', 'BY', 'of-others*'],
    ['PUBLISH', 'of-others', '1'],
    ['SUBSCRIBE', 'of-others'],
    ['PSUBSCRIBE', '*'],
    ['EVAL', "return redis.call('GET', 'of-others')", '0'],
    ['EVAL', "return redis.call('FLUSHALL')", '0'],
    ['EVAL', "return redis.call('CONFIG', 'GET', '*')", '0'],
  ];

  it.each(['riposte-api', 'riposte-worker'])('%s is refused what is not its own', async (username) => {
    const one = new Redis(redis.port, { username, password: PASSWORD });
    onTestFinished(() => one.disconnect());
    const came = await Promise.all(
      REFUSED.map(async ([name, ...args]) => [
        [name, ...args].join(' '),
        await one.call(name, ...args).then(
          () => 'done',
          (error: Error) =>
            /NOPERM|permission|can't (access|run)|not allowed from script/i.test(error.message) ||
            error.message,
        ),
      ]),
    );
    expect(came).toEqual(REFUSED.map((words) => [words.join(' '), true]));
  });

  it('who says no name may do nothing', async () => {
    const one = new Redis(redis.port, { enableReadyCheck: false });
    one.on('error', silent);
    onTestFinished(() => one.disconnect());
    await expect(one.get('{riposte}:health')).rejects.toThrow(/NOAUTH/);
  });
});

describe('TLS', () => {
  it.each([
    ['the authority of Redis is not named', {}, /certificate/],
    [
      'Redis asks for a certificate, and there is none',
      { REDIS_TLS_CA: 'ca.pem' },
      /ECONNRESET|certificate required|closed/,
    ],
    ['another authority is named', { REDIS_TLS_CA: 'other.pem' }, /certificate/],
  ])('is not spoken where %s', async (_where, files, problem) => {
    await writeFile(inDir('other.pem'), (await Authority.make('Another')).cert);
    const errors: string[] = [];
    const bell = new RedisBell(await addressOf(files), ({ message }) => void errors.push(message));
    onTestFinished(() => bell.close());
    await eventually(() => errors.some((error) => problem.test(error)));
    expect(await bell.ring('asked', 'x')).toBe(false);
  });

  it.each([
    [
      'an address without TLS',
      { REDIS_URL: 'redis://:hunter2@h', REDIS_TLS_CA: 'ca.pem' },
      /REDIS_TLS_CA .*rediss:/,
    ],
    ['a file that is not there', { REDIS_TLS_CA: 'none.pem' }, /REDIS_TLS_CA: .*none\.pem cannot be read/],
    ['a file without a certificate', { REDIS_TLS_CA: 'ours.key' }, /REDIS_TLS_CA/],
    ['a certificate without its key', { REDIS_TLS_CERT: 'ours.pem' }, /REDIS_TLS_CERT and REDIS_TLS_KEY/],
    ['the key of another', { REDIS_TLS_CERT: 'ca.pem', REDIS_TLS_KEY: 'ours.key' }, /REDIS_TLS_KEY/],
    ['no address', { REDIS_URL: '' }, /REDIS_URL is not set/],
  ])('is not tried with %s', async (_what, env, problem) => {
    const failed = await addressOf(env).then(
      () => null,
      (error: Error) => error,
    );
    expect(failed).toMatchObject({
      name: 'ConfigurationError',
      message: expect.stringMatching(problem) as string,
    });
    expect(failed?.message).not.toContain('hunter2');
  });

  it('is not spoken to a MongoDB whose authority is not named', async () => {
    const uri = uris['riposte-worker'].replace(/&tlsCAFile=[^&]*/, '');
    const connecting = connectDatabase(uri, { appName: 'riposte-test', serverSelectionMs: 500 });
    await expect(connecting).rejects.toThrow(/certificate/);
  });
});

/** Of the worker, and of the command as its user: whether it may remove is tried. */
const MAY_NOT = /delete: \\?"actions/;
const FEED = { vendor: 'Riposte', provider: 'Feed' };
const ROLE = 'SecurityActions.ReadWrite.All';
const ACCOUNT = ['--tenant', TENANT_A, '--role', 'Administrator', '--json'];

interface Named {
  readonly _id: string;
}
const NAMED = { _id: 'of-a-test' };

type Attempts = Readonly<Record<string, (db: Db) => Promise<unknown>>>;

/** An attempt for each of these collections. */
function each(
  what: string,
  collections: readonly string[],
  attempt: (collection: mongoose.mongo.Collection<Named>) => Promise<unknown>,
): Attempts {
  return Object.fromEntries(
    collections.map((name) => [`${what} ${name}`, (db: Db) => attempt(db.collection<Named>(name))]),
  );
}
function reading(...of: readonly string[]): Attempts {
  return each('read', of, (collection) => collection.findOne());
}
function adding(...to: readonly string[]): Attempts {
  return each('add to', to, (collection) => collection.insertOne(NAMED));
}
function changing(...of: readonly string[]): Attempts {
  return each('change', of, (collection) => collection.updateOne(NAMED, { $set: { changed: true } }));
}
function removing(...from: readonly string[]): Attempts {
  return each('remove from', from, (collection) => collection.deleteMany({}));
}

function privilegesOf(role: keyof typeof DATABASE_ROLES) {
  const privileges: Privileges = DATABASE_ROLES[role];
  return Object.entries(privileges).map(([collection, actions]) => ({
    resource: { db: 'riposte', collection },
    actions: [...actions],
  }));
}

function inAnHour(): string {
  return new Date(Date.now() + 3_600_000).toISOString();
}

async function statusOf(method: string, address: string, body?: object): Promise<number> {
  const sent =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  return (await client.request(method, address, sent)).status;
}

function command(user: User, ...args: readonly string[]): Promise<CommandResult> {
  return run(uris[user], ...args);
}

function run(uri: string, ...args: readonly string[]): Promise<CommandResult> {
  return riposte({ ...stack?.env, MONGODB_URI: uri }, ...args);
}

/** Files are those in the test's folder. */
async function addressOf(env: Readonly<Record<string, string>>): Promise<RedisAddress> {
  const files = Object.entries(env).map(([name, value]): [string, string] => [
    name,
    name === 'REDIS_URL' ? value : inDir(value),
  ]);
  return redisSettingsOf({ REDIS_URL: redisByTls.url('riposte-api'), ...Object.fromEntries(files) });
}

async function startMongo(): Promise<MongoReplicaSet> {
  return MongoReplicaSet.start({
    binary: await findMongod(silent),
    dir: inDir('mongo'),
    members: 1,
    cacheSizeGB: 0.25,
    // prettier-ignore
    args: [
      '--keyFile', inDir('members.key'),
      // Whoever starts it asks it in clear how it is.
      '--tlsMode', 'preferTLS', '--tlsCertificateKeyFile', inDir('server.pem'), '--tlsCAFile', inDir('ca.pem'),
      '--tlsAllowConnectionsWithoutCertificates',
    ],
    report: silent,
  });
}

function mongoUri(who: string, database: string, options = ''): string {
  const port = mongo.members[0]?.port ?? 0;
  return `mongodb://${who}127.0.0.1:${port}/${database}?replicaSet=rs0&tls=true&tlsCAFile=${encodeURIComponent(inDir('ca.pem'))}${options}`;
}

function rootUri(database = 'riposte'): string {
  return mongoUri(`root:${PASSWORD}@`, database, '&authSource=admin');
}

/** The first user may be made by whoever is on its machine. */
async function makeRoot(): Promise<mongoose.mongo.MongoClient> {
  await (await mongo.primary()).command({ createUser: 'root', pwd: PASSWORD, roles: ['root'] });
  return new mongoose.mongo.MongoClient(rootUri());
}

async function makeUsers(): Promise<Readonly<Record<User, string>>> {
  const { code, stdout, stderr } = await run(rootUri(), 'setup', 'users', '--json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const { users } = JSON.parse(stdout) as { users: { user: string; password: string }[] };
  return Object.fromEntries(
    users.map(({ user, password }) => [user, mongoUri(`${user}:${password}@`, 'riposte')]),
  ) as Record<User, string>;
}

/** As it is deployed, with a password. */
async function deployedAcl(): Promise<string> {
  const text = await readFile(path.join(PROJECT_DIR, 'deploy/redis/users.acl'), 'utf8');
  return text.replaceAll('0'.repeat(64), createHash('sha256').update(PASSWORD).digest('hex'));
}

async function startRedis(): Promise<RedisServer> {
  return RedisServer.start({
    binary: await findRedisServer(silent),
    dir: inDir('redis'),
    args: ['--aclfile', inDir('users.acl')],
    user: ROOT,
    report: silent,
  });
}

/** TLS in front of a server that has none, for those who show a certificate of the authority. */
class ByTls {
  private constructor(
    private readonly server: tls.Server,
    private readonly sockets: Set<net.Socket>,
  ) {}

  static async start(port: number, { cert, key }: KeyedCertificate): Promise<ByTls> {
    const sockets = new Set<net.Socket>();
    const options = { cert, key, ca: authority.cert, requestCert: true, rejectUnauthorized: true };
    const server = tls.createServer(options, (outside) => {
      const inside = net.connect(port, '127.0.0.1');
      for (const [one, other] of [
        [outside, inside],
        [inside, outside],
      ] as const) {
        sockets.add(one);
        one.setNoDelay(true);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
    server.on('tlsClientError', silent);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new ByTls(server, sockets);
  }

  url(user: string): string {
    return `rediss://${user}:${PASSWORD}@127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}
