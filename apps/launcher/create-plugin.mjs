import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { buildSdk } from './build-sdk.mjs';
import { ROOT, prepare } from './prepare.mjs';

/**
 * `npm run create-plugin -- --vendor Acme --provider EDR [--dir FOLDER]`: a package of a provider plugin that builds,
 * passes the conformance kit against a simulator of its own, and runs under `npm start`.
 */

const TEMPLATE = path.join(ROOT, 'apps/launcher/plugin-template');
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?$/;
const USAGE = 'npm run create-plugin -- --vendor Acme --provider EDR [--dir FOLDER]';

const { vendor, provider, dir } = readArguments();
const id = [vendor, provider]
  .map((name) => name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-'))
  .join('-')
  .replace(/^[^a-z]+/, '');
if (id === '' || id.length > 63)
  refuse('vendor and provider: together at most 63 characters, with a letter in them');
const name = `riposte-plugin-${id}`;
const target = path.resolve(process.env['INIT_CWD'] ?? process.cwd(), dir ?? name);
if (existsSync(target) && readdirSync(target).length > 0) refuse(`--dir: ${target} is not empty`);

await prepare();
const sdk = buildSdk();
const product = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
const values = {
  VENDOR: vendor,
  PROVIDER: provider,
  ID: id,
  NAME: name,
  TOKEN_VARIABLE: `${id.toUpperCase().replaceAll('-', '_')}_TOKEN`,
  SDK: path.basename(sdk),
  TYPESCRIPT: product.devDependencies.typescript,
  NODE_TYPES: product.devDependencies['@types/node'],
};
mkdirSync(path.join(target, 'sdk'), { recursive: true });
cpSync(TEMPLATE, target, { recursive: true });
cpSync(sdk, path.join(target, 'sdk', path.basename(sdk)));
for (const entry of readdirSync(target, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !entry.name.endsWith('.tmpl')) continue;
  const file = path.join(entry.parentPath, entry.name);
  const text = readFileSync(file, 'utf8').replaceAll(/__([A-Z_]+)__/g, (whole, key) => values[key] ?? whole);
  writeFileSync(file, text);
  // npm leaves a file out that is named so.
  renameSync(file, file.slice(0, -'.tmpl'.length).replace(/dot-gitignore$/, '.gitignore'));
}

const from = path.relative(process.env['INIT_CWD'] ?? process.cwd(), target) || '.';
console.log(`${name} is in ${target}. Next:

  cd ${from}
  npm install
  npm test              # builds it and runs the conformance kit against its simulator
  npm run simulator     # the vendor it speaks to, in a terminal of its own

and in the checkout of Riposte:

  RIPOSTE_CONFIG=${path.join(target, 'riposte.config.yaml')} ${id.toUpperCase().replaceAll('-', '_')}_TOKEN=secret npm start

docs/plugins/tutorial.md goes through all of it.`);

function readArguments() {
  try {
    const { values: given } = parseArgs({
      options: { vendor: { type: 'string' }, provider: { type: 'string' }, dir: { type: 'string' } },
    });
    for (const key of ['vendor', 'provider']) {
      if (given[key] === undefined) refuse(`--${key} is missing`);
      if (!NAME.test(given[key]))
        refuse(
          `--${key}: "${given[key]}" has to be 1 to 64 letters, digits, spaces, ".", "_" or "-", e.g. Acme`,
        );
    }
    return given;
  } catch (error) {
    return refuse(error.message);
  }
}

function refuse(why) {
  console.error(`${why}\nUsage: ${USAGE}`);
  process.exit(2);
}
