import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../..');
const FOLDERS = ['apps', 'libs', 'plugins', 'test'];

interface Violation {
  readonly from: string;
  readonly to: string;
  readonly rule: { readonly name: string };
}

interface Report {
  readonly violations: readonly Violation[];
  readonly ruleSetUsed: { readonly forbidden: readonly { readonly name: string }[] };
  readonly totalCruised: number;
}

/** A small house in which every import is allowed. */
const LAWFUL: Readonly<Record<string, string>> = {
  'libs/domain/index.ts': `export type { Action } from './action.js';`,
  'libs/domain/action.ts': `export interface Action { readonly id: string }`,
  'libs/domain/deep.ts': `export type { Action } from './action.js';`,
  'libs/provider-sdk/index.ts': `import type { Action } from '#domain'; export type Seen = Action;`,
  'libs/provider-sdk/conformance/index.ts': `import type { Seen } from '../index.js'; export type Checked = Seen;`,
  'libs/telemetry/metrics/prometheus.ts': `import 'prom-client';`,
  'libs/telemetry/index.ts': `import type { Action } from '#domain'; import '@opentelemetry/api'; export const sdk = () => import('./tracing-sdk.js'); export const open = () => import('./metrics/prometheus.js'); export type Logged = Action;`,
  'libs/telemetry/tracing-sdk.ts': `import '@opentelemetry/sdk-trace-node';`,
  'libs/auth/index.ts': `import type { Action } from '#domain'; export { jwtVerify } from 'jose'; export type Allowed = Action;`,
  'libs/odata/index.ts': `export const filter = 'filter';`,
  'libs/persistence/index.ts': `import '#odata'; import mongoose from 'mongoose'; import type { Action } from '#domain'; export type Stored = Action; mongoose;`,
  'libs/queue/index.ts': `export { Queue } from 'bullmq'; export { Redis } from 'ioredis'; export type { Logged } from '#telemetry';`,
  'libs/config/index.ts': `export { parse } from 'yaml'; export type { Seen } from '#provider-sdk'; export type { Action } from '#domain';`,
  'libs/engine/index.ts': `import '#domain'; import '#provider-sdk'; import '#telemetry';`,
  'libs/embedded-servers/index.ts': `import 'mongoose'; import 'ioredis'; import 'node:child_process';`,
  'plugins/index.ts': `export * as mock from './mock/index.js'; export type { Seen } from '#provider-sdk';`,
  'plugins/mock/index.ts': `export { outcome } from './outcome.js'; import '#provider-sdk';`,
  'plugins/mock/outcome.ts': `export const outcome = 'done';`,
  'plugins/firewall/index.ts': `import '#provider-sdk';`,
  'apps/api/main.ts': `import '@nestjs/core'; import '@bull-board/api'; import '#engine'; import '#persistence'; import '#queue'; import '#auth'; import '#telemetry'; import '#domain'; import '#config'; import '#plugins'; import './server.js';`,
  'apps/api/server.ts': `import 'fastify';`,
  'apps/worker/main.ts': `import '#engine'; import '#plugins';`,
  'apps/launcher/main.ts': `import '#embedded-servers';`,
  'apps/cli/doctor.ts': `export const doctor = () => import('./doctor/examine.js');`,
  'apps/cli/doctor/examine.ts': `import '#persistence'; export const a = 1;`,
  'apps/console/vite.config.ts': `import 'node:path'; import 'vite';`,
  'apps/console/src/main.tsx': `import 'react'; import { App } from './app.tsx'; export const app = <App />;`,
  'apps/console/src/app.tsx': `import './app.module.css'; export function App() { return <main />; }`,
  'apps/console/src/app.module.css': `.app { color: red; }`,
  'apps/console/src/app.spec.ts': `import 'node:path'; import 'vitest'; import './app.tsx';`,
  'test/support/client.ts': `export const client = fetch;`,
  'test/e2e/cancel.e2e-spec.ts': `import 'vitest'; import 'mongoose'; import 'bullmq'; import '#embedded-servers'; import '#persistence'; import '#provider-sdk/conformance'; import '../support/client.js';`,
};

/** Which rule refuses which import: rule, file, what the file holds. */
const UNLAWFUL: readonly (readonly [rule: string, file: string, source: string])[] = [
  ['plugin-host-imports-only-its-layer', 'libs/plugin-host/a.ts', `import '#queue';`],
  ['domain-imports-only-its-layer', 'libs/domain/a.ts', `import '#engine';`],
  ['odata-imports-only-its-layer', 'libs/odata/a.ts', `import '#domain';`],
  ['grouping-imports-only-its-layer', 'libs/grouping/a.ts', `import '#domain';`],
  ['rounds-imports-only-its-layer', 'libs/rounds/a.ts', `import '#domain';`],
  ['provider-sdk-imports-only-its-layer', 'libs/provider-sdk/a.ts', `import '#telemetry';`],
  ['telemetry-imports-only-its-layer', 'libs/telemetry/a.ts', `import '#queue';`],
  ['audit-imports-only-its-layer', 'libs/audit/a.ts', `import '#persistence';`],
  ['auth-imports-only-its-layer', 'libs/auth/a.ts', `import '#persistence';`],
  ['persistence-imports-only-its-layer', 'libs/persistence/a.ts', `import '#engine';`],
  ['queue-imports-only-its-layer', 'libs/queue/a.ts', `import '#persistence';`],
  ['config-imports-only-its-layer', 'libs/config/a.ts', `import '#engine';`],
  ['secrets-imports-only-its-layer', 'libs/secrets/a.ts', `import '#persistence';`],
  ['engine-imports-only-its-layer', 'libs/engine/a.ts', `import '#persistence';`],
  [
    'engine-imports-only-its-layer',
    'libs/engine/b.ts',
    `import type { Stored } from '#persistence'; export type S = Stored;`,
  ],
  ['engine-imports-only-its-layer', 'libs/engine/c.ts', `import '#plugins';`],
  ['embedded-servers-imports-only-its-layer', 'libs/embedded-servers/a.ts', `import '#domain';`],
  ['every-lib-has-a-layer', 'apps/api/common.ts', `import '../../libs/common/index.js';`],
  ['apps-import-only-their-layer', 'apps/api/servers.ts', `import '#embedded-servers';`],
  ['apps-import-only-their-layer', 'apps/worker/plugin.ts', `import '../../plugins/mock/index.js';`],
  ['launcher-imports-only-its-layer', 'apps/launcher/a.ts', `import '#engine';`],
  ['console-imports-only-itself', 'apps/console/src/a.tsx', `import '#domain';`],
  ['console-imports-only-itself', 'apps/console/src/b.ts', `import '../../api/server.js';`],
  ['console-needs-no-node', 'apps/console/src/c.ts', `import 'node:path';`],
  ['nobody-imports-apps', 'libs/engine/d.ts', `import '../../apps/api/server.js';`],
  ['nobody-imports-apps', 'test/e2e/a.e2e-spec.ts', `import '../../apps/api/server.js';`],
  ['no-app-imports-another', 'apps/worker/a.ts', `import '../api/server.js';`],
  ['plugins-import-only-the-sdk', 'plugins/firewall/a.ts', `import '#domain';`],
  ['plugins-import-only-the-sdk', 'plugins/firewall/b.ts', `import '../mock/index.js';`],
  ['plugin-list-imports-only-plugins', 'plugins/index.ts', `${LAWFUL['plugins/index.ts']} import '#engine';`],
  ['libs-are-entered-through-index', 'libs/engine/e.ts', `import '../domain/deep.js';`],
  ['others-enter-libs-through-index', 'test/engine/a.spec.ts', `import '../../libs/domain/deep.js';`],
  ['plugins-are-entered-through-index', 'test/engine/b.spec.ts', `import '../../plugins/mock/outcome.js';`],
  [
    'others-enter-libs-through-index',
    'test/engine/c.spec.ts',
    `import '../../libs/provider-sdk/conformance/rig.js';`,
  ],
  [
    'conformance-kit-stays-out-of-the-product',
    'plugins/firewall/c.ts',
    `import '#provider-sdk/conformance';`,
  ],
  ['conformance-kit-stays-out-of-the-product', 'libs/provider-sdk/b.ts', `import './conformance/index.js';`],
  ['libs-and-plugins-are-imported-by-name', 'apps/worker/b.ts', `import '../../libs/engine/index.js';`],
  ['libs-and-plugins-are-imported-by-name', 'libs/engine/f.ts', `import '../domain/index.js';`],
  ['mongodb-only-in-persistence', 'apps/worker/c.ts', `import 'mongoose';`],
  [
    'mongodb-only-in-persistence',
    'libs/engine/g.ts',
    `import type { Types } from 'mongoose'; export type Id = Types.ObjectId;`,
  ],
  ['redis-only-in-queue', 'apps/worker/d.ts', `import 'bullmq';`],
  ['redis-only-in-queue', 'libs/engine/h.ts', `import 'ioredis';`],
  ['opentelemetry-only-in-telemetry', 'libs/queue/b.ts', `import '@opentelemetry/api';`],
  [
    'opentelemetry-sdk-only-where-traces-are-wanted',
    'libs/telemetry/b.ts',
    `import '@opentelemetry/resources';`,
  ],
  ['opentelemetry-sdk-is-loaded-when-needed', 'libs/telemetry/c.ts', `import './tracing-sdk.js';`],
  ['prometheus-client-only-where-metrics-are-wanted', 'apps/worker/g.ts', `import 'prom-client';`],
  ['prometheus-client-is-loaded-when-needed', 'libs/telemetry/d.ts', `import './metrics/prometheus.js';`],
  ['nest-only-in-apps', 'libs/engine/i.ts', `import '@nestjs/common';`],
  ['bull-board-only-in-the-api', 'apps/worker/e.ts', `import '@bull-board/api';`],
  ['cli-loads-what-takes-long-when-it-needs-it', 'apps/cli/a.ts', `import { a } from '#persistence'; a;`],
  [
    'cli-loads-what-takes-long-when-it-needs-it',
    'apps/cli/b.ts',
    `import { a } from './doctor/examine.js'; a;`,
  ],
  ['product-does-not-import-tests', 'apps/worker/f.ts', `import '../../test/support/client.js';`],
  ['product-does-not-need-dev-dependencies', 'libs/engine/j.ts', `import 'vitest';`],
  ['packages-are-declared', 'apps/api/avvio.ts', `import 'avvio';`],
  ['imports-resolve', 'apps/api/nowhere.ts', `import './not-there.js';`],
  ['no-cycles', 'libs/engine/one.ts', `import './two.js';`],
  [
    'no-cycles',
    'libs/engine/type-one.ts',
    `import type { Two } from './type-two.js'; export type One = Two;`,
  ],
  ['no-orphans', 'libs/engine/orphan.ts', `export const forgotten = true;`],
];

/** What the unlawful import besides. */
const THEIR_TARGETS: Readonly<Record<string, string>> = {
  'libs/provider-sdk/conformance/rig.ts': `export const rig = true;`,
  'libs/common/index.ts': `export const common = true;`,
  'libs/engine/two.ts': `import './one.js';`,
  'libs/engine/type-two.ts': `import type { One } from './type-one.js'; export type Two = One;`,
};

describe('the dependency rule', () => {
  const dirs: string[] = [];
  let unlawful: Report;

  beforeAll(async () => {
    const offenders = Object.fromEntries(UNLAWFUL.map(([, file, source]) => [file, source]));
    unlawful = await cruise(await house({ ...LAWFUL, ...THEIR_TARGETS, ...offenders }, dirs));
  });
  afterAll(() => Promise.all(dirs.map((dir) => rm(dir, { recursive: true }))));

  it('is kept by the sources and the tests', async () => {
    const { violations, totalCruised } = await cruise(ROOT);
    expect(violations.map(sentence)).toEqual([]);
    expect(totalCruised).toBeGreaterThan(50);
  });

  it('allows what it has to allow', async () => {
    const { violations } = await cruise(await house(LAWFUL, dirs));
    expect(violations.map(sentence)).toEqual([]);
  });

  it.each(UNLAWFUL)('%s: %s may not hold %s', (rule, file) => {
    expect(
      unlawful.violations.filter(({ from }) => from === file).map((violation) => violation.rule.name),
    ).toContain(rule);
  });

  it('has an import that it refuses, for each of its parts', () => {
    const parts = unlawful.ruleSetUsed.forbidden.map(({ name }) => name);
    expect(parts.filter((name) => !UNLAWFUL.some(([rule]) => rule === name))).toEqual([]);
  });
});

function sentence({ rule, from, to }: Violation): string {
  return `${rule.name}: ${from} -> ${to}`;
}

/** Writes the files into a folder with the package.json and the packages of this one. */
async function house(files: Readonly<Record<string, string>>, dirs: string[]): Promise<string> {
  const dir = await realpath(await mkdtemp(path.join(tmpdir(), 'riposte-layers-')));
  dirs.push(dir);
  await copyFile(path.join(ROOT, 'package.json'), path.join(dir, 'package.json'));
  await symlink(path.join(ROOT, 'node_modules'), path.join(dir, 'node_modules'));
  for (const [file, source] of Object.entries(files)) {
    await mkdir(path.join(dir, path.dirname(file)), { recursive: true });
    await writeFile(path.join(dir, file), `${source}\n`);
  }
  return dir;
}

/** What dependency-cruiser finds in a tree, by the rules of this repository. */
function cruise(dir: string): Promise<Report> {
  const program = path.join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const config = path.join(ROOT, '.dependency-cruiser.mjs');
  const args = [program, '--config', config, '--output-type', 'json', ...FOLDERS];
  return new Promise((resolve, reject) => {
    // Its exit code is the number of violations; without a report it could not work at all.
    execFile(process.execPath, args, { cwd: dir, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      try {
        resolve((JSON.parse(stdout) as { summary: Report }).summary);
      } catch {
        reject(new Error(`dependency-cruiser failed: ${stderr}`, { cause: error }));
      }
    });
  });
}
