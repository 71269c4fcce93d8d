import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT, prepare } from './prepare.mjs';

/**
 * Makes the provider SDK as it is published: `dist/packages/provider-sdk`, and packed beside it. A package of its own:
 * of ours it holds what it needs, and it depends on the versions that the product is tested with.
 */

const SOURCE = path.join(ROOT, 'libs/provider-sdk/package');
const TARGET = path.join(ROOT, 'dist/packages/provider-sdk');

/**
 * Builds and packs it.
 * @returns {string} path of the packed file
 */
export function buildSdk() {
  rmSync(TARGET, { recursive: true, force: true });
  mkdirSync(TARGET, { recursive: true });
  // `prepare` has checked these sources.
  const tsc = ['node_modules/typescript/bin/tsc', '-p', path.join(SOURCE, 'tsconfig.json'), '--noCheck'];
  run(process.execPath, tsc, ROOT);
  const product = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  const manifest = JSON.parse(readFileSync(path.join(SOURCE, 'package.json'), 'utf8'));
  const dependencies = Object.fromEntries(
    importedPackages(path.join(TARGET, 'lib')).map((name) => [name, product.dependencies[name]]),
  );
  writeFileSync(
    path.join(TARGET, 'package.json'),
    `${JSON.stringify({ name: manifest.name, version: product.version, ...manifest, dependencies }, null, 2)}\n`,
  );
  cpSync(path.join(SOURCE, 'README.md'), path.join(TARGET, 'README.md'));
  const packed = run('npm', ['pack', '--silent', '--pack-destination', path.dirname(TARGET)], TARGET).trim();
  return path.join(path.dirname(TARGET), packed.split('\n').at(-1));
}

/** The packages that compiled files import, by name. */
function importedPackages(folder) {
  const names = new Set();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!/\.(?:js|d\.ts)$/.test(entry.name)) continue;
    const text = readFileSync(path.join(entry.parentPath, entry.name), 'utf8');
    for (const [, name] of text.matchAll(
      /(?:from|import\()\s*['"]((?:@[\w.-]+\/)?[\w.-]+)(?:\/[^'"]*)?['"]/g,
    ))
      if (name !== undefined && !name.startsWith('.') && !name.startsWith('node:')) names.add(name);
  }
  return [...names].toSorted((a, b) => a.localeCompare(b));
}

function run(file, args, cwd) {
  const { status, stdout, error } = spawnSync(file, args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 2],
  });
  if (status === 0) return stdout;
  console.error(error?.message ?? stdout);
  process.exit(1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await prepare();
  console.log(buildSdk());
}
