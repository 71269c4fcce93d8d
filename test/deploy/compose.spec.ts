import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import vm from 'node:vm';
import { Ajv, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import { generate } from 'selfsigned';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseConfig } from '#config';
import { API_COMMAND, WORKER_COMMAND } from './start-commands.js';

const require = createRequire(import.meta.url);
const ROOT = path.resolve(import.meta.dirname, '../..');

interface Service {
  readonly image: string;
  readonly build?: string;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly networks: readonly string[];
  readonly volumes?: readonly (string | { readonly source: string; readonly read_only?: boolean })[];
  readonly healthcheck: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly [option: string]: unknown;
}

interface Compose {
  readonly services: Readonly<Record<'api' | 'worker' | 'mongodb' | 'redis' | 'keys', Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
}

interface Instruction {
  readonly name: string;
  readonly value: string;
}

const composeText = await readFile(path.join(ROOT, 'docker-compose.yml'), 'utf8');
const compose = parse(composeText, { merge: true }) as Compose;
const dockerfile = instructions(await readFile(path.join(ROOT, 'Dockerfile'), 'utf8'));
const { keys, ...running } = compose.services;
const { api, worker, mongodb, redis } = running;
const services = Object.entries(running);

describe('docker-compose.yml', () => {
  it('is valid by the schema of the Compose Specification', async () => {
    const validate = await composeSchema();
    expect(validate(compose), JSON.stringify(validate.errors)).toBe(true);
  });

  it.each([
    ['an option that does not exist', { ...api, helthcheck: {} }],
    ['a health check that is no command', { ...api, healthcheck: { test: 7 } }],
    [
      'a dependency on a condition that does not exist',
      { ...api, depends_on: { redis: { condition: 'healthy' } } },
    ],
  ])('would not be valid with %s', async (_what, broken) => {
    const validate = await composeSchema();
    expect(validate({ ...compose, services: { ...compose.services, api: broken } })).toBe(false);
  });

  it('starts API and worker by the commands that the end-to-end tests run', () => {
    expect(api.command).toEqual(API_COMMAND);
    expect(worker.command).toEqual(WORKER_COMMAND);
  });

  it('runs API and worker from one image, which is built once', () => {
    expect(worker.image).toBe(api.image);
    expect([api.build, worker.build]).toEqual(['.', undefined]);
  });

  it('lets the workers be scaled: nothing in them is there only once', () => {
    expect(worker).not.toHaveProperty('container_name');
    expect(worker).not.toHaveProperty('hostname');
    expect(worker).not.toHaveProperty('ports');
  });

  it('publishes one port, the API on the loopback address', () => {
    expect(services.filter(([, { ports }]) => ports !== undefined).map(([name]) => name)).toEqual(['api']);
    expect(api.ports).toEqual(['127.0.0.1:${RIPOSTE_PORT:-3000}:3000']);
    expect(api.environment).toMatchObject({ HOST: '0.0.0.0', PORT: '3000' });
    expect(services.filter(([, service]) => service['network_mode'] !== undefined)).toEqual([]);
  });

  it('keeps the databases on a network that leads nowhere', () => {
    expect(mongodb.networks).toEqual(['data']);
    expect(redis.networks).toEqual(['data']);
    expect(compose.networks['data']).toEqual({ internal: true });
  });

  it.each(services)(
    'confines %s: no root, no capability, nothing to write but what is mounted',
    (name, service) => {
      expect(service).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        init: true,
        restart: 'unless-stopped',
      });
      expect(service).not.toHaveProperty('privileged');
      // API and worker run as the user of their image, see below.
      expect(service['user']).toBe(
        { api: undefined, worker: undefined, mongodb: 'mongodb', redis: 'redis' }[name],
      );
    },
  );

  it.each(services)('checks the health of %s', (_name, { healthcheck }) => {
    expect(['CMD', 'CMD-SHELL']).toContain(healthcheck.test[0]);
    // Compose would replace what follows a dollar sign.
    expect(healthcheck.test.join(' ')).not.toContain('$');
  });

  it('starts API and worker once both databases are healthy and there is a key', () => {
    const healthy = { mongodb: { condition: 'service_healthy' }, redis: { condition: 'service_healthy' } };
    const made = { keys: { condition: 'service_completed_successfully' } };
    expect(api.depends_on).toEqual({ ...healthy, ...made });
    expect(worker.depends_on).toEqual({ ...healthy, ...made });
  });

  it('gives API and worker longer to stop than they take', () => {
    // The API: RIPOSTE_DRAIN_MS, as long as the file says it may be, and the longest wait for the database. A
    // worker: what it runs, then handing over.
    const most = Number(/RIPOSTE_DRAIN_MS .* at most (\d+)\. Default 3000/.exec(composeText)?.[1]);
    expect(seconds(api)).toBeGreaterThan(most / 1000 + 20);
    expect(seconds(worker)).toBeGreaterThan(25);
  });

  it('passes on each setting that it names, with the default that it names', () => {
    const named = [...composeText.matchAll(/^# {3}([A-Z_]+) {2,}.* Default (\S+)$/gm)].map(
      ([, name, value]) => [
        name,
        value?.replace('RIPOSTE_PORT', '${RIPOSTE_PORT:-3000}').replace('none', ''),
      ],
    );
    expect(named).toHaveLength(6);
    for (const [name, value] of named) expect(composeText).toContain(`\${${name}:-${value}}`);
    const passedOn = ['PUBLIC_URL', 'RIPOSTE_TRUSTED_PROXIES', 'RIPOSTE_DRAIN_MS', 'RIPOSTE_LOG_LEVEL'];
    expect(Object.keys(api.environment ?? {})).toEqual(expect.arrayContaining(passedOn));
    for (const name of ['PUBLIC_URL', 'RIPOSTE_LOG_LEVEL'])
      expect(Object.keys(worker.environment ?? {})).toContain(name);
  });

  it('runs MongoDB 7 or later as a replica set of one', () => {
    expect(Number(/^mongo:(\d+)/.exec(mongodb.image)?.[1])).toBeGreaterThanOrEqual(7);
    expect(option(mongodb, '--replSet')).toBe('rs0');
    // Nothing asks it to run JavaScript, so nothing that gets in can.
    expect(mongodb.command).toContain('--noscripting');
    expect(mongodb.volumes).toContain('mongodb-data:/data/db');
    for (const { environment } of [api, worker]) {
      const uri = new URL(environment?.['MONGODB_URI'] ?? '');
      expect([uri.hostname, uri.searchParams.get('replicaSet')]).toEqual(['mongodb', 'rs0']);
    }
  });

  it('runs Redis 7 or later with an append-only file, and never lets it evict', () => {
    expect(Number(/^redis:(\d+)/.exec(redis.image)?.[1])).toBeGreaterThanOrEqual(7);
    expect(option(redis, '--appendonly')).toBe('yes');
    expect(option(redis, '--appendfsync')).toBe('everysec');
    expect(option(redis, '--maxmemory-policy')).toBe('noeviction');
    expect(redis.volumes).toContain('redis-data:/data');
    for (const { environment } of [api, worker])
      expect(environment?.['REDIS_URL']).toBe('redis://redis:6379');
  });

  it('mounts a configuration that is there and valid, and leaves the mock provider off', async () => {
    const mounted = api.volumes?.find(
      (volume) => typeof volume === 'object' && volume.source.endsWith('.yaml'),
    );
    expect(mounted).toMatchObject({ source: './deploy/compose/riposte.config.yaml', read_only: true });
    expect(worker.volumes).toContainEqual(mounted);
    const file = path.join(ROOT, 'deploy/compose/riposte.config.yaml');
    expect(parseConfig(await readFile(file, 'utf8'), file)).toMatchObject({
      providers: [],
      console: { issuers: [], queues: { writable: false } },
      limits: { perApp: 100, blastRadius: { isolation: { perHour: 50 } } },
      plugins: {},
    });
  });

  it('shows in its configuration an example of each part that is valid', async () => {
    const file = await readFile(path.join(ROOT, 'deploy/compose/riposte.config.yaml'), 'utf8');
    const parts = file.match(/^# (?:providers|limits|auth|retention):\n(?:# {2,}.*\n)+/gm) ?? [];
    const example = parseConfig(parts.join('').replaceAll(/^# /gm, ''), 'the example');
    expect(example).toMatchObject({
      providers: [{ id: 'mock', plugin: 'mock', tenants: ['*'] }],
      limits: { perApp: 100 },
      auth: { builtin: false, issuers: [{ type: 'entra' }] },
    });
    // Where the workers may write, and nothing that is there is lost with a container.
    const { archiveDir } = example.retention ?? {};
    expect(worker.volumes).toContain(`riposte-archive:${archiveDir}`);
    expect(values(dockerfile, 'RUN').join()).toMatch(
      new RegExp(String.raw`install -d -o 1000 -g 1000 -m 0700 .*${archiveDir}\b`),
    );
  });

  it('keeps the key of the token issuer on a volume', () => {
    expect(api.environment?.['RIPOSTE_DATA_DIR']).toBe('/var/lib/riposte');
    expect(api.volumes).toContain('riposte-data:/var/lib/riposte');
  });

  it('makes the key that secrets are sealed with by a command that ends, on a volume that nobody else writes to', async () => {
    const volume = 'riposte-keys:/var/lib/riposte-keys';
    expect(keys).toMatchObject({
      image: api.image,
      restart: 'no',
      network_mode: 'none',
      read_only: true,
      cap_drop: ['ALL'],
      volumes: [volume],
    });
    const [source, target] = volume.split(':');
    for (const { volumes, environment } of [api, worker]) {
      expect(volumes).toContainEqual({ type: 'volume', source, target, read_only: true });
      expect(environment?.['RIPOSTE_SECRETS_KEY_FILE']).toBe(keys.command.at(-1));
    }
    expect(path.dirname(keys.command.at(-1) ?? '')).toBe(target);
    expect(values(dockerfile, 'RUN').join()).toMatch(
      new RegExp(String.raw`install -d -o 1000 -g 1000 -m 0700 .*${target}\b`),
    );
    const { name, args } = { name: keys.command[0], args: keys.command.slice(1, -1) };
    expect([name, ...args]).toEqual(['node', 'dist/apps/cli/riposte.js', 'secrets', 'new-key', '--out']);
  });

  it.each(services)('holds no secret of %s', (_name, service) => {
    const variables = Object.entries(service.environment ?? {});
    expect(variables.filter(([name, value]) => looksLikeSecret(name, value))).toEqual([]);
    expect(service.command.filter((word) => /pass|secret|token|auth/i.test(word))).toEqual([]);
  });

  it.each([
    ['DB_PASSWORD', 'x'],
    ['MONGODB_URI', 'mongodb://riposte:hunter2@mongodb'],
    ['HEADER', 'dGhpcyBpcyBhIHNlY3JldCB2YWx1ZSE1'],
  ])('would be caught holding %s=%s', (name, value) => {
    expect(looksLikeSecret(name, value)).toBe(true);
  });
});

describe('the Dockerfile', () => {
  const last = dockerfile.slice(dockerfile.findLastIndex(({ name }) => name === 'FROM'));

  it('builds in one stage and runs in another, both from one Node LTS image, named by its whole version', () => {
    expect(values(dockerfile, 'FROM').map((from) => from.split(' ')[0])).toEqual([
      '${NODE_IMAGE}',
      '${NODE_IMAGE}',
    ]);
    const major = Number(/^NODE_IMAGE=node:(\d+)\.\d+\.\d+-/.exec(values(dockerfile, 'ARG')[0] ?? '')?.[1]);
    expect(major).toBeGreaterThanOrEqual(24);
    expect(major % 2).toBe(0);
  });

  it('installs by the lock file and runs no install script', () => {
    const installs = values(dockerfile, 'RUN').flatMap(
      (run) => run.match(/npm (?:ci|install|prune)[^&]*/g) ?? [],
    );
    expect(installs).toHaveLength(2);
    for (const install of installs) expect(install).toContain('--ignore-scripts');
    expect(installs[0]).toMatch(/^npm ci /);
    expect(installs[1]).toMatch(/^npm prune --omit=dev /);
  });

  it('runs without what installs and what compiles', () => {
    expect(values(last, 'RUN').join()).toMatch(/rm -rf [^&]*\/usr\/local\/lib\/node_modules /);
    expect(values(dockerfile, 'RUN').join()).toMatch(/rm -rf node_modules\/typescript /);
    for (const command of [API_COMMAND, WORKER_COMMAND]) expect(command[0]).toBe('node');
  });

  it('runs as a user other than root', () => {
    const [user] = values(last, 'USER');
    expect(user).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(values(last, 'RUN').join()).toContain(`-o ${user?.replace(':', ' -g ')} -m 0700 /var/lib/riposte`);
  });

  it('starts the API by the command that the end-to-end tests run, and names that of the worker', async () => {
    expect(JSON.parse(values(last, 'CMD')[0] ?? '')).toEqual(API_COMMAND);
    expect(values(dockerfile, 'ENTRYPOINT')).toEqual([]);
    expect(await readFile(path.join(ROOT, 'Dockerfile'), 'utf8')).toContain(WORKER_COMMAND.join(' '));
  });

  it('copies only what its context lets in, and compiles every process it starts', async () => {
    const ignore = (await readFile(path.join(ROOT, '.dockerignore'), 'utf8')).split('\n');
    const rules = ignore.filter((line) => line !== '' && !line.startsWith('#'));
    expect(rules[0]).toBe('*');
    const copied = values(dockerfile, 'COPY')
      .filter((copy) => !copy.startsWith('--from'))
      .flatMap((copy) => copy.split(' ').slice(0, -1));
    expect(rules.filter((rule) => rule.startsWith('!')).toSorted()).toEqual(
      copied.map((source) => `!${source}`).toSorted(),
    );
    for (const command of [API_COMMAND, WORKER_COMMAND]) {
      const [, folder, app] = command.at(-1)?.split('/') ?? [];
      expect(copied).toContain(folder);
      expect(rules).not.toContain(`${folder}/${app}`);
    }
  });

  it('holds no secret', () => {
    const variables = [...values(dockerfile, 'ENV'), ...values(dockerfile, 'ARG')]
      .flatMap((line) => line.split(/\s+/))
      .map((pair) => pair.split('=') as [string, string]);
    expect(variables.length).toBeGreaterThan(0);
    expect(variables.filter(([name, value]) => looksLikeSecret(name, value))).toEqual([]);
  });
});

const apiChecks: readonly (readonly [string, readonly string[], string])[] = [
  ['docker-compose.yml', api.healthcheck.test.slice(1), '/health/ready'],
  [
    'the Dockerfile',
    JSON.parse((values(dockerfile, 'HEALTHCHECK')[0] ?? '').replace(/^.*?CMD /, '')) as string[],
    '/health/live',
  ],
];

describe.each(apiChecks)('the health check of the API in %s', (_file, command, route) => {
  const asked: (string | undefined)[] = [];
  let answer: RequestListener = () => undefined;
  let server: Server;

  beforeAll(async () => {
    server = createServer((request, response) => {
      asked.push(request.url);
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  const check = () => exitCode(command, { PORT: String((server.address() as { port: number }).port) });

  it(`is passed when ${route} answers 200`, async () => {
    answer = (_request, response) => response.writeHead(200).end('{}');
    expect(await check()).toBe(0);
    expect(asked).toEqual([route]);
  });

  it('fails when it answers 503', async () => {
    answer = (_request, response) => response.writeHead(503).end('{}');
    expect(await check()).toBe(1);
  });

  it('fails when it does not answer', async () => {
    answer = () => undefined;
    expect(await check()).toBe(1);
  });

  it('fails when nobody listens', async () => {
    expect(await exitCode(command, { PORT: '1' })).toBe(1);
  });

  it('asks over TLS where the API serves it, whatever name its certificate has', async () => {
    const { cert, private: key } = await generate([{ name: 'commonName', value: 'riposte.example' }]);
    const secure = https.createServer({ cert, key }, (_request, response) => response.end('{}'));
    await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve));
    const { port } = secure.address() as { readonly port: number };
    expect(await exitCode(command, { PORT: String(port), TLS_CERT: '/tls/cert.pem' })).toBe(0);
    secure.close();
  });
});

describe('the health check of the worker', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'riposte-alive-'));
  });
  afterAll(() => rm(dir, { recursive: true }));

  const check = (file: string) =>
    exitCode(worker.healthcheck.test.slice(1), { RIPOSTE_ALIVE_FILE: path.join(dir, file) });

  it('is passed by a fresh sign of life', async () => {
    await writeFile(path.join(dir, 'fresh'), '');
    expect(await check('fresh')).toBe(0);
  });

  it('fails on a stale one', async () => {
    const minuteAgo = new Date(Date.now() - 60_000);
    await writeFile(path.join(dir, 'stale'), '');
    await utimes(path.join(dir, 'stale'), minuteAgo, minuteAgo);
    expect(await check('stale')).toBe(1);
  });

  it('fails without one', async () => {
    expect(await check('missing')).toBe(1);
  });

  it('looks where compose lets the worker write', () => {
    expect(worker.environment?.['RIPOSTE_ALIVE_FILE']).toMatch(/^\/tmp\//);
    expect(worker['tmpfs']).toContain('/tmp');
  });
});

describe('the health check of MongoDB', () => {
  it('runs the script that is mounted', async () => {
    const script = './deploy/compose/mongodb-health.js';
    expect(mongodb.volumes).toContainEqual(
      expect.objectContaining({ source: script, read_only: true, target: '/etc/riposte/mongodb-health.js' }),
    );
    expect(mongodb.healthcheck.test.join(' ')).toContain(
      'mongosh --quiet --norc --file /etc/riposte/mongodb-health.js',
    );
    await expect(readFile(path.join(ROOT, script), 'utf8')).resolves.toContain('rs.initiate');
  });

  const member = { _id: 0, host: 'mongodb:27017' };
  const fresh = Object.assign(new Error('no replset config has been received'), {
    codeName: 'NotYetInitialized',
  });

  it('initiates a fresh server, by the name under which the others reach it', async () => {
    expect(await mongoshRun({ status: fresh, writable: false })).toEqual({
      initiated: [{ _id: 'rs0', members: [member] }],
      exit: 1,
    });
  });

  it('is passed once the member takes writes, and initiates nothing again', async () => {
    expect(await mongoshRun({ status: undefined, writable: true })).toEqual({ initiated: [], exit: 0 });
  });

  it('fails while there is no primary', async () => {
    expect(await mongoshRun({ status: undefined, writable: false })).toEqual({ initiated: [], exit: 1 });
  });

  it('initiates nothing after any other error', async () => {
    const removed = Object.assign(new Error('our replica set config is invalid'), {
      codeName: 'InvalidReplicaSetConfig',
    });
    await expect(mongoshRun({ status: removed, writable: false })).rejects.toThrow('config is invalid');
  });
});

/** The schema of the Compose Specification, as the package dclint carries it: tests need no network. */
async function composeSchema(): Promise<ValidateFunction> {
  const dclint = path.dirname(require.resolve('dclint/package.json'));
  const schema = JSON.parse(
    await readFile(path.join(dclint, 'schemas/compose.schema.json'), 'utf8'),
  ) as Record<string, unknown>;
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats.default(ajv);
  // `duration` means Compose's `10s` here, where the draft's format of that name means ISO 8601's `PT10S`.
  ajv.addFormat('duration', /^(?:\d+(?:\.\d+)?(?:us|ms|s|m|h))+$/);
  ajv.addFormat('ports', true);
  ajv.addFormat('expose', true);
  // It names draft 7 by an address that Ajv does not know it by.
  const { $schema: _draft, ...rest } = schema;
  return ajv.compile(rest);
}

/** The instructions of a Dockerfile, continued lines joined. */
function instructions(text: string): readonly Instruction[] {
  return text
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [name = '', ...value] = line.split(/\s+/);
      return { name, value: value.join(' ') };
    });
}

function values(of: readonly Instruction[], name: string): readonly string[] {
  return of.filter((instruction) => instruction.name === name).map(({ value }) => value);
}

function option(service: Service, name: string): string | undefined {
  const index = service.command.indexOf(name);
  return index === -1 ? undefined : service.command[index + 1];
}

function seconds(service: Service): number {
  return Number(/^(\d+)s$/.exec(String(service['stop_grace_period']))?.[1]);
}

/** A name that promises a secret, an address with a password, or a long word with the entropy of a key. */
function looksLikeSecret(name: string, value: string): boolean {
  // Where one is, is none.
  if (name.endsWith('_FILE') && path.isAbsolute(value)) return false;
  if (/PASS|SECRET|TOKEN|CREDENTIAL|PRIVATE|_KEY$/i.test(name)) return true;
  if (/:\/\/[^/\s]*@/.test(value)) return true;
  return (value.match(/[A-Za-z0-9+=_-]{24,}/g) ?? []).some((word) => /\d/.test(word) && /[A-Z]/.test(word));
}

/** Runs the command of a health check as the container would; null when a signal ended it. */
function exitCode(command: readonly string[], env: Readonly<Record<string, string>>): Promise<number | null> {
  const [file, ...args] = command;
  expect(file).toBe('node');
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, { env, timeout: 15_000 }, () => resolve(child.exitCode));
  });
}

/** Runs mongodb-health.js against stand-ins of what mongosh offers; mongosh waits for every call by itself. */
async function mongoshRun(server: { readonly status: Error | undefined; readonly writable: boolean }) {
  const initiated: unknown[] = [];
  let exit = 0;
  const script = await readFile(path.join(ROOT, 'deploy/compose/mongodb-health.js'), 'utf8');
  vm.runInNewContext(script, {
    rs: {
      status: () => {
        if (server.status !== undefined) throw server.status;
      },
      initiate: (config: object) => initiated.push(structuredClone(config)),
    },
    db: { hello: () => ({ isWritablePrimary: server.writable }) },
    quit: (code: number) => (exit = code),
  });
  return { initiated, exit };
}
