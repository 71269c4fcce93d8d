import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import { freePort } from '#embedded-servers';
import { riposte } from '../support/cli.js';
import { Client } from '../support/client.js';
import { ConsoleClient } from '../support/console-client.js';
import { TENANT_A } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { signToken } from '../support/token.js';

const ROOT = path.resolve(import.meta.dirname, '../..');
/** Milliseconds: to list all processes is work. */
const LOOK_EVERY_MS = 200;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-launcher-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** `npm start`, as a user runs it. */
class Started {
  output = '';
  readonly child: ChildProcess;

  constructor(
    readonly env: Record<string, string>,
    command: readonly string[] = ['npm', 'start'],
  ) {
    const { MONGODB_URI: _mongo, REDIS_URL: _redis, ...rest } = process.env;
    const [file = 'npm', ...args] = command;
    this.child = spawn(file, args, {
      cwd: ROOT,
      env: { ...rest, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (data: Buffer) => (this.output += data.toString()));
    onTestFinished(async () => {
      if (this.child.exitCode === null && this.child.signalCode === null) await this.stop('SIGTERM');
    });
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${this.env['PORT']}`;
  }

  async ready(): Promise<this> {
    await eventually(() => {
      if (this.child.exitCode !== null) throw new Error(`it ended: ${this.output}`);
      return this.output.includes('Riposte is ready.') && this.output.includes('Ctrl-C');
    }, 60_000);
    return this;
  }

  /** Waits for its end. */
  async ended(): Promise<number | null> {
    if (this.child.exitCode !== null) return this.child.exitCode;
    const [code] = (await once(this.child, 'exit')) as [number | null];
    return code;
  }

  async stop(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal);
    return this.ended();
  }

  /** Everything that works on its data dir, with what each is. */
  get processes(): readonly Running[] {
    const dataDir = this.env['RIPOSTE_DATA_DIR'] ?? 'none';
    const ours = running().filter(
      ({ command, env }) => command.includes(dataDir) || env.includes(`RIPOSTE_DATA_DIR=${dataDir}`),
    );
    // redis-server overwrites its command line; its guard is its parent.
    const pids = new Set(ours.map(({ pid }) => pid));
    return [...ours, ...running().filter(({ pid, parent }) => pids.has(parent) && !pids.has(pid))].map(
      ({ env: _env, ...rest }) => rest,
    );
  }

  /** The pid of the process of this kind. */
  pidOf(kind: RegExp): number | undefined {
    return this.processes.find(({ command }) => kind.test(command))?.pid;
  }
}

interface Running {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/** All processes with their environment, as far as we may see it. */
function running(): (Running & { readonly env: string })[] {
  return execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => {
      const [, pid = '0', parent = '0', command = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
      return { pid: Number(pid), parent: Number(parent), command, env: environmentOf(pid) };
    });
}

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    // It has ended, or is not ours.
    return '';
  }
}

let count = 0;
async function settings(): Promise<Record<string, string>> {
  count += 1;
  const dataDir = path.join(dir, `data-${count}`);
  return { PORT: String(await freePort()), RIPOSTE_DATA_DIR: dataDir };
}

async function clientOf(started: Started): Promise<Client> {
  return new Client(started.baseUrl, await signToken(started.env['RIPOSTE_DATA_DIR'] ?? ''));
}

/** Whoever has the data dir finds everything, and nothing wrong. */
async function expectWell(dataDir: string): Promise<void> {
  const { code, stdout } = await riposte({ RIPOSTE_DATA_DIR: dataDir }, 'doctor');
  for (const found of ['mongodb.topology', 'redis.eviction', 'workers.alive', 'providers.health mock'])
    expect(stdout).toMatch(new RegExp(`^ok +${found}: `, 'm'));
  // How full and how fast this machine is, is not the test's affair; a worker may have been killed before.
  const others = /mongodb\.(disk|write)|redis\.latency|workers\.silent/;
  const lines = stdout.split('\n').filter((line) => !others.test(line));
  expect(lines.filter((line) => /^(WARNING|PROBLEM|unknown)/.test(line))).toEqual([]);
  expect(code).toBe(0);
}

describe('npm start', () => {
  it("brings up everything, keeps it up, stops all of it, and finds yesterday's actions on the next start", async () => {
    const env = await settings();
    const first = await new Started(env).ready();

    // What it prints can be pasted.
    const curl = /^curl [\s\S]*?}'$/m.exec(first.output)?.[0] ?? '';
    const answer = JSON.parse(execFileSync('sh', ['-c', curl], { encoding: 'utf8' })) as {
      id: string;
      status: string;
    };
    expect(answer.status).toBe('NotStarted');
    const client = await clientOf(first);
    expect((await client.ended(answer.id)).status).toBe('Completed');
    // The first account signs in by a password that is on the terminal alone, and good for one sign-in.
    const [, name = '', password = ''] = /sign in as (\S+) with the password (\S+)/.exec(first.output) ?? [];
    const administrator = new ConsoleClient(first.baseUrl);
    const signedIn = await administrator.signIn(name, password);
    expect(signedIn.body).toMatchObject({
      tenant: { id: TENANT_A, role: 'Administrator' },
      operates: true,
      mustChangePassword: true,
    });
    expect((await administrator.send('GET', '/api/v1/actions')).status).toBe(403);
    const logs = path.join(env['RIPOSTE_DATA_DIR'] ?? '', 'logs');
    for (const file of await readdir(logs))
      expect(await readFile(path.join(logs, file), 'utf8')).not.toContain(password);

    // What dies is started again.
    for (const kinds of [
      [/dist\/apps\/worker\/main\.js$/, /dist\/apps\/api\/main\.js$/],
      [/^\S*redis-server 127/, /^\S*mongod --replSet/],
    ]) {
      const pids = kinds.map((kind) => first.pidOf(kind) ?? 0);
      expect(Math.min(...pids)).toBeGreaterThan(1);
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      await eventually(
        () => kinds.every((kind, index) => ![undefined, pids[index]].includes(first.pidOf(kind))),
        30_000,
        LOOK_EVERY_MS,
      );
      const id = await eventually(
        () => client.act('BlockIp', { IP: '1.2.3.4' }).catch(() => false as const),
        30_000,
      );
      expect((await client.ended(String(id), 40_000)).status).toBe('Completed');
    }

    const keys = path.join(env['RIPOSTE_DATA_DIR'] ?? '', 'secrets.keys');
    expect((await stat(keys)).mode & 0o777).toBe(0o600);
    const key = await readFile(keys, 'utf8');

    // A second one on the same data is refused.
    const second = new Started({ ...env, PORT: String(await freePort()) });
    expect(await second.ended()).toBe(1);
    expect(second.output).toMatch(/already runs on .* \(pid \d+\)/);

    expect(await first.stop('SIGINT')).toBe(0);
    expect(first.processes).toEqual([]);

    const startedAt = performance.now();
    const next = await new Started(env).ready();
    expect(await readFile(keys, 'utf8')).toBe(key);
    expect((await client.get(answer.id)).status).toBe('Completed');
    expect(next.output).not.toContain('sign in as');
    expect(next.output).toContain(
      `RIPOSTE_DATA_DIR='${env['RIPOSTE_DATA_DIR']}' npm run --silent riposte -- operators reset-password`,
    );
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    expect(await next.stop('SIGTERM')).toBe(0);
    expect(next.processes).toEqual([]);
  });

  it('leaves nothing behind when it is killed, and the next start goes on from there', async () => {
    const env = await settings();
    const first = await new Started(env, ['node', 'apps/launcher/start.mjs']).ready();
    await first.stop('SIGKILL');
    await eventually(() => first.processes.length === 0, 30_000, LOOK_EVERY_MS);
    const next = await new Started(env).ready();
    expect(next.output).toContain('An earlier run was killed');
    await expectWell(env['RIPOSTE_DATA_DIR'] ?? '');
    expect(await next.stop('SIGTERM')).toBe(0);
  });

  it('starts no server of its own where MONGODB_URI and REDIS_URL are given', async () => {
    const env = await settings();
    const started = await new Started({
      ...env,
      MONGODB_URI: inject('mongodbUri').replace('/?', `/launcher-${process.pid}?`),
      REDIS_URL: inject('redisUrl'),
    }).ready();
    expect(started.processes.some(({ command }) => /mongod|redis-server/.test(command))).toBe(false);
    const client = await clientOf(started);
    expect((await client.ended(await client.act('BlockIp', { IP: '1.2.3.4' }))).status).toBe('Completed');
    expect(await started.stop('SIGTERM')).toBe(0);
  });

  it('prints a call that works where the configuration has no mock', async () => {
    const file = path.join(dir, 'acme.yaml');
    await writeFile(
      file,
      `plugins: { acme: { definition: '${path.join(ROOT, 'test/fixtures/acme.provider.yaml')}' } }
providers:
  - { id: edr, plugin: acme, settings: { baseUrl: 'https://edr.example' }, secrets: { clientSecret: env:HOME } }
`,
    );
    const started = await new Started({
      ...(await settings()),
      RIPOSTE_CONFIG: file,
      MONGODB_URI: inject('mongodbUri').replace('/?', `/launcher-acme-${process.pid}?`),
      REDIS_URL: inject('redisUrl'),
    }).ready();
    expect(started.output).not.toContain('Mock');
    const curl = /^curl [\s\S]*?'$/m.exec(started.output)?.[0] ?? '';
    expect(JSON.parse(execFileSync('sh', ['-c', curl], { encoding: 'utf8' }))).toMatchObject({
      value: [{ id: 'edr' }],
    });
    expect(await started.stop('SIGTERM')).toBe(0);
  });
});

describe('npm start says what is wrong, and ends, when', () => {
  async function refused(env: Record<string, string>): Promise<string> {
    const started = new Started({ ...(await settings()), ...env });
    expect(await started.ended()).toBe(1);
    expect(started.processes).toEqual([]);
    expect(started.output).not.toMatch(/\n\s+at /);
    return started.output;
  }

  it('the port is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const output = await refused({ PORT: String(port) });
    server.close();
    expect(output).toMatch(new RegExp(`Port ${port} on 127\\.0\\.0\\.1 is taken.*Set PORT`));
  });

  it('the data directory cannot be written', async () => {
    const file = path.join(dir, 'a-file');
    await writeFile(file, '');
    expect(await refused({ RIPOSTE_DATA_DIR: path.join(file, 'data') })).toMatch(
      /data directory .*a-file.* cannot be written.*Set RIPOSTE_DATA_DIR/,
    );
  });

  it('mongod does not start: with its reason and its log', async () => {
    const env = await settings();
    const dataDir = env['RIPOSTE_DATA_DIR'] ?? '';
    execFileSync('mkdir', ['-p', path.join(dataDir, 'mongo')]);
    await writeFile(path.join(dataDir, 'mongo', 'WiredTiger'), 'no database');
    await writeFile(path.join(dataDir, 'mongo', 'WiredTiger.turtle'), 'no database');
    const output = await refused({ RIPOSTE_DATA_DIR: dataDir });
    expect(output).toMatch(/mongod ended with code \d+ before it served/);
    expect(output).toContain(path.join(dataDir, 'logs', 'mongod.log'));
    expect(await readFile(path.join(dataDir, 'logs', 'mongod.log'), 'utf8')).not.toBe('');
  });

  it('a given database is out of reach, without showing its password', async () => {
    const [mongo, redis] = await Promise.all([
      refused({
        MONGODB_URI: 'mongodb://user:hunter2@127.0.0.1:1/?replicaSet=rs0',
        REDIS_URL: inject('redisUrl'),
      }),
      refused({ MONGODB_URI: inject('mongodbUri'), REDIS_URL: 'redis://:hunter2@127.0.0.1:1' }),
    ]);
    expect(mongo).toMatch(/MONGODB_URI .* cannot be used/);
    expect(mongo).not.toContain('hunter2');
    expect(redis).toMatch(/REDIS_URL .* cannot be used: connect ECONNREFUSED/);
    expect(redis).not.toContain('hunter2');
  });

  it('the configuration is wrong, naming the key', async () => {
    const file = path.join(dir, 'wrong.yaml');
    await writeFile(file, 'providers:\n  - { id: mock, plugin: mocck }\n');
    const servers = { MONGODB_URI: inject('mongodbUri'), REDIS_URL: inject('redisUrl') };
    expect(await refused({ ...servers, RIPOSTE_CONFIG: file })).toMatch(
      /providers\[0\] \(mock\)\.plugin: "mocck" is not known; known: .*mock/,
    );
  });

  it('the level of the log is none', async () => {
    const output = await refused({
      RIPOSTE_LOG_LEVEL: 'loud',
      MONGODB_URI: inject('mongodbUri'),
      REDIS_URL: inject('redisUrl'),
    });
    expect(output).toMatch(/RIPOSTE_LOG_LEVEL has to be one of .*debug, .*; it is "loud"/);
  });

  it('no server program can be found: one message that names every way', async () => {
    const home = await mkdtemp(path.join(dir, 'home-'));
    const bin = path.dirname(process.execPath);
    const only = await mkdtemp(path.join(dir, 'bin-'));
    for (const name of ['node', 'npm', 'sh'])
      execFileSync('ln', ['-s', name === 'sh' ? '/bin/sh' : path.join(bin, name), path.join(only, name)]);
    const output = await refused({ HOME: home, XDG_CACHE_HOME: path.join(home, 'cache'), PATH: only });
    for (const way of ['mongod on PATH', 'cache', 'official download', 'wheel', 'MONGOD_BIN', 'MONGODB_URI'])
      expect(output).toContain(way);
  });
});

describe('npm run token', () => {
  const token = (...args: string[]): string =>
    execFileSync('npm', ['run', '--silent', 'token', '--', ...args], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, RIPOSTE_DATA_DIR: path.join(dir, 'tokens') },
    });
  const GUID = '11111111-1111-4111-8111-111111111111';

  it('prints one token and nothing else, with the claims asked for', () => {
    const printed = token(
      '--tenant',
      GUID,
      '--app',
      GUID,
      '--role',
      'SecurityActions.Read.All',
      '--role',
      'Riposte.Operator',
      '--expires',
      '30m',
    );
    expect(printed).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const claims = JSON.parse(Buffer.from(printed.split('.')[1] ?? '', 'base64url').toString()) as Record<
      string,
      unknown
    >;
    expect(claims).toMatchObject({
      tid: GUID,
      azp: GUID,
      aud: 'api://riposte',
      roles: ['SecurityActions.Read.All', 'Riposte.Operator'],
      idtyp: 'app',
    });
    expect(Number(claims['exp']) - Number(claims['iat'])).toBe(1800);
  });

  it.each([
    [['--tenant', 'contoso', '--app', GUID, '--role', 'SecurityActions.Read.All'], /GUID/],
    [['--tenant', GUID, '--app', GUID, '--role', 'Root'], /Known roles/],
    [['--tenant', GUID, '--app', GUID], /--role/],
    [
      ['--tenant', GUID, '--app', GUID, '--role', 'Riposte.Operator', '--expires', '2d'],
      /between 1s and 24h/,
    ],
  ])('refuses %j with a reason', (args, reason) => {
    expect(() => token(...args)).toThrow(reason);
  });
});
