import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { PROJECT_DIR } from '../support/project-dir.js';

const LOCKED = {
  '': {},
  'node_modules/a': { version: '1.0.0' },
  'node_modules/b': { version: '2.0.0', optional: true },
};

/** What the preparation says in a checkout whose lock is {@link LOCKED} and where npm put `installed`; it has nothing to build. */
async function saidWhere(installed: object | null): Promise<string> {
  const root = await mkdtemp(path.join(tmpdir(), 'riposte-prepare-'));
  onTestFinished(() => rm(root, { recursive: true }));
  const script = path.join(root, 'apps/launcher/prepare.mjs');
  await cp(path.join(PROJECT_DIR, 'apps/launcher/prepare.mjs'), script);
  await mkdir(path.join(root, 'node_modules'));
  await writeFile(path.join(root, 'package.json'), '{}');
  await writeFile(path.join(root, 'package-lock.json'), JSON.stringify({ packages: LOCKED }));
  if (installed !== null)
    await writeFile(
      path.join(root, 'node_modules/.package-lock.json'),
      JSON.stringify({ packages: installed }),
    );
  const { stderr } = spawnSync(process.execPath, [script, 'nothing.js'], {
    encoding: 'utf8',
    env: { PATH: '', npm_execpath: '' },
  });
  return stderr;
}

it.each([
  ['by npm before it', { 'node_modules/a': { version: '1.0.0' }, 'node_modules/b': { version: '2.0.0' } }],
  ['but for what is optional', { 'node_modules/a': { version: '1.0.0' } }],
])('a command takes the dependencies that were installed %s', async (_how, installed) => {
  expect(await saidWhere(installed)).not.toMatch(/Installing/);
});

it.each([
  ['there are none', null],
  ['one is missing', { 'node_modules/b': { version: '2.0.0' } }],
  ['one is of another version', { 'node_modules/a': { version: '1.0.1' } }],
])('a command installs the dependencies where %s', async (_how, installed) => {
  expect(await saidWhere(installed)).toMatch(/Installing dependencies \(npm ci\)/);
});
