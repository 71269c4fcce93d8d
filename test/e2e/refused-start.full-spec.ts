import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_COMMAND, WORKER_COMMAND } from '../deploy/start-commands.js';
import { TENANT_A } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { ProductProcess } from '../support/product-process.js';
import { SECRETS_KEY } from '../support/secrets.js';

/** What stops the start of API and worker before they touch a database: by real processes, as production has them. */

const DEFINITION = `
vendor: V
provider: P
version: 1.0.0
baseUrl: https://vendor.example
actions:
  Do:
    title: Does.
    idempotency: key
    parameters: { id: { type: string } }
    execute: { request: { method: POST, path: '/{parameters.id}' }, done: [{ status: [200] }] }
`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'riposte-refused-'));
  await mkdir(path.join(folder, 'bad'));
  await writeFile(
    path.join(folder, 'bad', 'package.json'),
    JSON.stringify({ type: 'module', riposteProvider: './i.js' }),
  );
  await writeFile(
    path.join(folder, 'bad', 'i.js'),
    `export const provider = { calls: { execute() {}, cancel() {} }, manifest: { vendor: 'V' } };`,
  );
  await writeFile(
    path.join(folder, 'hook.yaml'),
    'kind: webhook\nvendor: V\nprovider: P\nversion: 1.0.0\nactions: { Do: { title: Does. } }\n',
  );
  await writeFile(
    path.join(folder, 'schema.yaml'),
    DEFINITION.replace('type: string', 'type: string, format: colour'),
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const acme = path.join(import.meta.dirname, '../fixtures/plugins/acme');

interface End {
  readonly code: number | null;
  readonly said: string;
}

let tried = 0;
/** How a start of this command with this configuration ended, and what it left in its temporary folder. */
async function startOf(
  command: readonly string[],
  config: string,
): Promise<End & { readonly left: string[] }> {
  tried += 1;
  const temporary = path.join(folder, `tmp${tried}`);
  await mkdir(temporary);
  const file = path.join(folder, `riposte${tried}.yaml`);
  await writeFile(file, config);
  const started = new ProductProcess(command, {
    MONGODB_URI: 'mongodb://127.0.0.1:1/none',
    REDIS_URL: 'redis://127.0.0.1:1',
    RIPOSTE_DATA_DIR: folder,
    RIPOSTE_SECRETS_KEY: SECRETS_KEY,
    RIPOSTE_CONFIG: file,
    TMPDIR: temporary,
    WRONG_HANDS: 'hunter2',
    FEED_PASSWORD: 'password-of-the-first-tenant',
    SHORT: 'short',
  });
  try {
    await eventually(() => expect(started.running).toBe(false), 50_000);
  } finally {
    await started.end('SIGKILL');
  }
  const said = started.log.map(({ problem }) => (typeof problem === 'string' ? problem : '')).join('');
  expect(started.output).not.toContain('hunter2');
  return {
    code: started.child.exitCode,
    said: said.replaceAll(file, 'FILE'),
    left: await readdir(temporary),
  };
}

describe('a start is refused, naming file and key', () => {
  it.each<[string, string, RegExp]>([
    [
      'for a key that is not known',
      'providers: [{ id: a, plugin: mock, limit: 3 }]',
      /^FILE: providers\.0\.limit is not known; known: .*limits/,
    ],
    [
      'for a plugin whose folder is not there',
      'plugins: { x: { package: ./nowhere } }\nproviders: []',
      /^FILE: plugins\.x\.package: no package "\.\/nowhere" at .*for example/,
    ],
    [
      'for a manifest that is none',
      'plugins: { x: { package: ./bad } }\nproviders: []',
      /^FILE: plugins\.x\.package: provider V\/undefined: .*version is missing/,
    ],
    [
      'for a schema that does not compile',
      'plugins: { x: { definition: ./schema.yaml } }\nproviders: []',
      /^FILE: plugins\.x\.definition: .*schema\.yaml: .*actions\.Do\.parameters is not a valid JSON Schema: .*colour/,
    ],
    [
      'for a setting that an outside plugin does not have, leaving nothing behind',
      `plugins: { x: { package: '${acme}' } }\nproviders: [{ id: a, plugin: x, settings: { colour: red } }]`,
      /^FILE: providers\[0\] \(a\)\.settings\.colour is not known; known: site/,
    ],
    [
      'for a window of an action that is none',
      'providers: [{ id: a, plugin: mock, limits: { windows: [{ calls: 1, perSeconds: 1, actions: [Blok] }] } }]',
      /^FILE: providers\[0\] \(a\)\.limits\.windows\[0\]\.actions names "Blok", which is no action; there are .*BlockIp/,
    ],
    [
      'for a secret that its plugin does not have',
      `plugins: { x: { package: '${acme}' } }\nproviders: [{ id: a, plugin: x, secrets: { aipKey: env:WRONG_HANDS } }]`,
      /^FILE: providers\[0\] \(a\)\.secrets\.aipKey is not known; known: apiKey/,
    ],
    [
      'for a secret that its plugin cannot do without',
      'plugins: { x: { definition: ./hook.yaml } }\nproviders: [{ id: a, plugin: x, settings: { url: "https://x.example" } }]',
      /^FILE: providers\[0\] \(a\)\.secrets\.signingSecret is missing; .*for example/,
    ],
  ])(
    '%s',
    async (_what, config, message) => {
      // A start costs a second, and what both do before the database is the same: they take turns.
      const command = tried % 2 === 0 ? API_COMMAND : WORKER_COMMAND;
      const end = await startOf(command, config);
      expect(end.said).toMatch(message);
      expect(end).toMatchObject({ code: 78, left: [] });
    },
    60_000,
  );
});

describe('the API does not start with a feed that would not be safe', () => {
  const tenants = `tenants: ['${TENANT_A}']`;
  it.each<[string, string, RegExp]>([
    [
      'for it serves every tenant with one password',
      "providers: [{ id: feed, plugin: feed, secrets: { feedPassword: 'env:FEED_PASSWORD' } }]",
      /providers \(feed\)\.tenants has to name one tenant/,
    ],
    [
      'for its password is short',
      `providers: [{ id: feed, plugin: feed, ${tenants}, secrets: { feedPassword: 'env:SHORT' } }]`,
      /providers \(feed\)\.secrets\.feedPassword is shorter than 16 characters/,
    ],
    [
      'for it has the password of another feed of the tenant',
      `providers:
  - { id: feed, plugin: feed, ${tenants}, secrets: { feedPassword: 'env:FEED_PASSWORD' } }
  - { id: other, plugin: feed, subProvider: x, ${tenants}, secrets: { feedPassword: 'env:FEED_PASSWORD' } }`,
      /providers \(other\)\.secrets\.feedPassword is the password of "feed", too/,
    ],
    [
      'for its password is not there',
      `providers: [{ id: feed, plugin: feed, ${tenants}, secrets: { feedPassword: 'env:NOT_THERE' } }]`,
      /secrets\.feedPassword: the variable NOT_THERE is not set/,
    ],
  ])(
    '%s',
    async (_what, config, message) => {
      const end = await startOf(API_COMMAND, config);
      expect(end.said).toMatch(message);
      expect(end.code).toBe(78);
    },
    60_000,
  );
});
