import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisServer, findRedisServer, freePort } from '#embedded-servers';
import { connectDatabase } from '#persistence';
import { newKey } from '#secrets';
import { FakeIssuer, makeKey } from '../simulators/oidc-issuer/issuer.js';
import { riposte, type CommandResult } from '../support/cli.js';
import { TENANT_A, freshDatabaseUri } from '../support/database.js';
import { PROJECT_DIR } from '../support/project-dir.js';

interface Finding {
  readonly level: 'ok' | 'unknown' | 'warning' | 'problem';
  readonly code: string;
  readonly about: string | null;
  readonly message: string;
  readonly fix: string | null;
  readonly docs: string;
}

const OF_THE_MACHINE = new Set(['mongodb.disk', 'mongodb.write', 'redis.latency']);

/** What a run found. */
class Seen {
  readonly findings: readonly Finding[];

  constructor(readonly result: CommandResult) {
    expect(result.stderr).toBe('');
    this.findings = (JSON.parse(result.stdout) as { findings: readonly Finding[] }).findings;
  }

  of(code: string, about: string | null = null): Finding | undefined {
    return this.findings.find((one) => one.code === code && one.about === about);
  }

  /** Those that are not well; how full and how fast this machine is, is not the tests' affair. */
  get wrong(): readonly string[] {
    return this.findings
      .filter(({ level, code }) => (level === 'warning' || level === 'problem') && !OF_THE_MACHINE.has(code))
      .map(({ level, code, about }) => [level, code, ...(about === null ? [] : [about])].join(' '));
  }
}

const CANARY = 'canary-77c1';
let dir: string;
let redis: RedisServer;
let frozen: RedisServer;
let issuer: FakeIssuer;
let hanging: FakeIssuer;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-doctor-'));
  const binary = await findRedisServer(() => undefined);
  const start = (name: string) =>
    RedisServer.start({ binary, dir: path.join(dir, name), report: () => undefined });
  [redis, frozen, issuer, hanging] = await Promise.all([
    start('redis'),
    start('frozen'),
    FakeIssuer.start([makeKey('ES256')]),
    FakeIssuer.start([makeKey('ES256')]),
  ]);
  issuer.announce('/realms/soc');
  hanging.behaviour = 'hanging';
  frozen.signal('SIGSTOP');
});
afterAll(async () => {
  await Promise.all([redis.stop(), frozen.stop(), issuer.down(), hanging.down()]);
  await rm(dir, { recursive: true, force: true });
});

/** An installation in a folder of its own. */
async function installation(
  name: string,
  config: object,
  env: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const dataDir = path.join(dir, name);
  await mkdir(dataDir, { mode: 0o700 });
  const file = path.join(dataDir, 'riposte.config.yaml');
  await writeFile(file, JSON.stringify(config));
  return {
    MONGODB_URI: freshDatabaseUri(),
    REDIS_URL: redis.url,
    RIPOSTE_SECRETS_KEY: newKey(),
    RIPOSTE_DATA_DIR: dataDir,
    RIPOSTE_CONFIG: file,
    ...env,
  };
}

async function doctor(env: Readonly<Record<string, string>>): Promise<Seen> {
  return new Seen(await riposte(env, 'doctor', '--json'));
}

describe.concurrent('riposte doctor', () => {
  it('tells what is wrong with databases, workers and vendors, and what to do', async () => {
    const uri = freshDatabaseUri();
    const env = await installation(
      'ill',
      {
        providers: [
          { id: 'mock', plugin: 'mock' },
          {
            id: 'away',
            plugin: 'mock',
            subProvider: 'away',
            settings: { baseUrl: `http://127.0.0.1:${await freePort()}` },
            network: { allow: ['127.0.0.0/8'] },
          },
        ],
      },
      { MONGODB_URI: uri },
    );
    const database = await connectDatabase(uri, { appName: 'riposte-test' });
    await database.workers.beat('old', {
      version: '0.0.1',
      running: 0,
      instances: [
        { id: 'mock', startsPerMinute: 0 },
        { id: 'gone', startsPerMinute: 0 },
      ],
      lastSweep: null,
    });
    await database.close();
    const client = new mongoose.mongo.MongoClient(uri);
    await client.db().collection('actions').dropIndex('instance_1_status_1');
    await client.db().collection('sessions').dropIndex('idleUntil_1');
    await client.db().collection('sessions').createIndex({ idleUntil: 1 }, { expireAfterSeconds: 60 });
    const admin = new Redis(redis.url);
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await admin.config('SET', 'appendonly', 'no');
    admin.disconnect();

    const seen = await doctor(env);
    expect(seen.result.code).toBe(1);
    expect(seen.wrong).toEqual([
      'problem mongodb.indexes',
      'problem mongodb.indexes',
      'warning redis.persistence',
      'problem redis.eviction',
      'warning issuers.builtin',
      'problem providers.health away',
      'warning workers.version',
      'problem workers.instance away',
      'warning workers.instance gone',
    ]);
    const page = await readFile(path.join(PROJECT_DIR, 'docs/doctor.md'), 'utf8');
    for (const { code, docs } of seen.findings) {
      expect(page).toContain(`\`${code}\``);
      expect(page.toLowerCase()).toContain(`\n## ${docs.split('#')[1]?.replaceAll('-', ' ')}\n`);
    }
    const [missing, different] = seen.findings.filter(({ code }) => code === 'mongodb.indexes');
    expect(missing?.message).toBe('missing: actions.instance_1_status_1');
    expect(different?.message).toContain('sessions.idleUntil_1');
    expect(seen.of('redis.eviction')).toMatchObject({
      message: expect.stringContaining('allkeys-lru') as string,
      fix: expect.stringContaining('noeviction') as string,
      docs: 'docs/doctor.md#redis',
    });
    // It looks: what is missing it leaves missing.
    expect(await client.db().collection('actions').indexExists('instance_1_status_1')).toBe(false);
    await client.close();
  });

  it('tells each instance, issuer and file that cannot be used, whatever hangs, and shows no secret', async () => {
    const keyFile = path.join(dir, 'secrets.keys');
    await writeFile(keyFile, `${newKey()}\n`);
    await chmod(keyFile, 0o644);
    const keycloak = (baseUrl: string, realm: string) => ({
      type: 'keycloak',
      issuer: `${baseUrl}/realms/${realm}`,
      audience: 'riposte',
      tenant: TENANT_A,
    });
    const { RIPOSTE_SECRETS_KEY: _none, ...env } = await installation(
      'hanging',
      {
        providers: [
          { id: 'well', plugin: 'mock' },
          { id: 'keyless', plugin: 'mock', subProvider: 'k', secrets: { apiKey: 'env:NOT_SET_ANYWHERE' } },
          { id: 'unknown', plugin: 'nope' },
        ],
        auth: {
          issuers: [
            keycloak(issuer.baseUrl, 'soc'),
            keycloak(hanging.baseUrl, 'soc'),
            keycloak(issuer.baseUrl, 'other'),
          ],
        },
      },
      {
        MONGODB_URI: freshDatabaseUri().replace('://', `://riposte:${CANARY}@`),
        REDIS_URL: frozen.url.replace('://', `://riposte:${CANARY}@`),
        RIPOSTE_SECRETS_KEY_FILE: keyFile,
      },
    );
    await chmod(env['RIPOSTE_CONFIG'] ?? '', 0o666);
    const seen = await doctor(env);
    expect(seen.result.code).toBe(1);
    expect(seen.wrong).toEqual([
      `problem files.mode ${keyFile}`,
      `problem files.mode ${env['RIPOSTE_CONFIG']}`,
      'problem mongodb.reachable',
      'problem redis.reachable',
      `problem issuers.keys ${issuer.baseUrl}/realms/other`,
      `problem issuers.keys ${hanging.baseUrl}/realms/soc`,
      'problem providers.instance keyless',
      'problem providers.instance unknown',
    ]);
    expect(seen.of('redis.reachable')?.message).toMatch(/no answer|timed out/);
    expect(seen.of('issuers.keys', `${issuer.baseUrl}/realms/soc`)?.message).toBe('1 keys fit');
    expect(seen.of('providers.instance', 'keyless')?.message).toContain('NOT_SET_ANYWHERE is not set');
    expect(seen.of('providers.instance', 'well')?.level).toBe('ok');
    expect(seen.of('files.mode', keyFile)?.fix).toBe(`chmod 600 ${keyFile}`);
    expect(seen.result.stdout).not.toContain(CANARY);
  });

  it('tells wrong usage by another exit code', async () => {
    const { code, stderr } = await riposte({}, 'doctor', '--nonsense');
    expect(code).toBe(2);
    expect(stderr).toContain('--nonsense');
  });
});
