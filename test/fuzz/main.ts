import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Command, InvalidArgumentError } from 'commander';
import { BuiltinIssuer } from '#auth';
import { freePort, startTestServers } from '#embedded-servers';
import { newKey } from '#secrets';
import { API_COMMAND, WORKER_COMMAND } from '../deploy/start-commands.js';
import { Client } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { ProductProcess } from '../support/product-process.js';
import { PROJECT_DIR } from '../support/project-dir.js';

/**
 * `npm run fuzz`: schemathesis, which knows nothing of Riposte but its OpenAPI document, sends requests that fit the
 * document and requests that do not to a running installation of its own. Every answer has to be as documented, none
 * a 5xx, and nothing accepted that the document forbids. Two tenants call: neither may see what is the other's.
 */

const MOST_SECONDS = 300;
const ROLES = ['SecurityActions.ReadWrite.All', 'Riposte.Operator'];
const CALLERS = [
  { name: 'tenant-a', tenantId: '11111111-1111-4111-8111-111111111111' },
  { name: 'tenant-b', tenantId: '99999999-9999-4999-8999-999999999999' },
] as const;

/** A caller in the form of Web Fuzzing Commons: https://github.com/WebFuzzing/Commons. */
interface Caller {
  readonly name: string;
  readonly fixedHeaders: readonly [{ readonly name: string; readonly value: string }];
}

const options = new Command('npm run fuzz --')
  .option('--seconds <n>', `for how long, at most ${MOST_SECONDS}`, seconds, 240)
  .option(
    '--seed <n>',
    'the same seed draws the same requests',
    Number,
    Math.floor(Math.random() * 1_000_000),
  )
  .option('--report <dir>', 'also write a report there')
  .showHelpAfterError()
  .parse()
  .opts<{ readonly seconds: number; readonly seed: number; readonly report?: string }>();

const folder = path.join(PROJECT_DIR, 'test', 'fuzz');
const schemathesis = await installed();
const servers = await startTestServers((line) => console.error(line));
const dir = await mkdtemp(path.join(tmpdir(), 'riposte-fuzz-'));
const port = await freePort();
const config = path.join(dir, 'riposte.config.yaml');
await writeFile(config, 'providers: [{ id: mock, plugin: mock }]\nlimits: { perApp: 0 }\n');
const env = {
  MONGODB_URI: servers.mongodbUri.replace('/?', '/fuzz?'),
  REDIS_URL: servers.redisUrl,
  RIPOSTE_DATA_DIR: dir,
  RIPOSTE_SECRETS_KEY: newKey(),
  RIPOSTE_CONFIG: config,
  RIPOSTE_DRAIN_MS: '0',
  HOST: '127.0.0.1',
  PORT: String(port),
};
const product = [API_COMMAND, WORKER_COMMAND].map((command) => new ProductProcess(command, env));
let code = 1;
try {
  await Promise.all(product.map((process) => process.ready()));
  const url = `http://127.0.0.1:${port}`;
  await eventually(async () => (await fetch(`${url}/health/ready`)).ok);
  const callers = await Promise.all(CALLERS.map(authOf));
  await cp(folder, dir, { recursive: true });
  await writeFile(path.join(dir, 'callers.json'), JSON.stringify({ auth: callers }));
  await writeFile(
    path.join(dir, 'ids.txt'),
    (await someActions(url, callers)).map((id) => `"${id}"\n`).join(''),
  );
  code = await fuzz(url);
  const broken = product.filter((process) => !process.running).length;
  const defects = product.flatMap(({ log }) => log.filter(({ msg }) => msg === 'request failed'));
  for (const defect of defects.slice(0, 10)) console.log(JSON.stringify(defect));
  console.log(`seed ${options.seed}: ${broken} processes ended, ${defects.length} requests failed inside`);
  if (broken > 0 || defects.length > 0) code = 1;
} finally {
  await Promise.all(product.map((process) => process.end()));
  await servers.stop();
  await rm(dir, { recursive: true, force: true });
}
process.exit(code);

async function fuzz(url: string): Promise<number> {
  const child = spawn(
    schemathesis,
    [
      '--no-color',
      '--config-file',
      path.join(dir, 'schemathesis.toml'),
      'run',
      `${url}/openapi.json`,
      '--auth-wfc',
      path.join(dir, 'callers.json'),
      '--max-time',
      String(options.seconds),
      '--seed',
      String(options.seed),
      // It waits for the end of an answer, and this one has none.
      '--exclude-path',
      '/api/v1/events',
      ...(options.report === undefined
        ? []
        : ['--report', 'ndjson,junit', '--report-dir', path.resolve(options.report)]),
    ],
    { cwd: dir, stdio: 'inherit', timeout: (MOST_SECONDS + 60) * 1000 },
  );
  const [exit] = (await once(child, 'exit')) as [number | null];
  return exit ?? 1;
}

/** Actions of each tenant in several states, to be found and cancelled. */
async function someActions(url: string, callers: readonly Caller[]): Promise<string[]> {
  const ids: string[] = [];
  for (const { fixedHeaders } of callers) {
    const client = new Client(url, fixedHeaders[0].value.replace('Bearer ', ''));
    ids.push(await client.act('BlockIp', { IP: '1.2.3.4' }));
    ids.push(await client.act('FailAlways', { code: 409, message: 'No.' }));
    for (let index = 0; index < 4; index += 1)
      ids.push(await client.act('LongRunning', { durationMs: 600_000 }));
  }
  return ids;
}

async function authOf({ name, tenantId }: (typeof CALLERS)[number]): Promise<Caller> {
  const issuer = await BuiltinIssuer.open(dir);
  const token = await issuer.issue({ tenantId, appId: tenantId, roles: ROLES, expiresInSeconds: 3600 });
  return { name, fixedHeaders: [{ name: 'Authorization', value: `Bearer ${token}` }] };
}

/** Schemathesis in an environment of its own, kept in the user's cache; installed by pip the first time. */
async function installed(): Promise<string> {
  const requirements = path.join(folder, 'requirements.txt');
  const version = (await readFile(requirements, 'utf8')).trim().replaceAll(/[^\w.]+/g, '-');
  const cache = path.join(process.env['XDG_CACHE_HOME'] || path.join(homedir(), '.cache'), 'riposte');
  const environment = path.join(cache, version);
  const program = path.join(environment, 'bin', 'schemathesis');
  const done = path.join(environment, 'done');
  if (
    await access(done).then(
      () => true,
      () => false,
    )
  )
    return program;
  console.error(`Installing ${version} into ${environment} …`);
  const run = promisify(execFile);
  await mkdir(cache, { recursive: true });
  await run('python3', ['-m', 'venv', '--clear', environment]);
  await run(path.join(environment, 'bin', 'pip'), ['install', '--quiet', '-r', requirements]);
  await writeFile(done, '');
  return program;
}

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > MOST_SECONDS)
    throw new InvalidArgumentError(`It has to be a whole number from 1 to ${MOST_SECONDS}.`);
  return value;
}
