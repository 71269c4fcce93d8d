import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './prepare.mjs';

/**
 * What is shipped of others: the packages that production needs, as package-lock.json has them, and what the console's
 * bundle holds, as Vite found when it made that. Both are there after `prepare`.
 */

/** A package that is needed to build and test alone, and yet goes out as a part of the console. */
const BUNDLED = path.join(ROOT, 'dist/apps/console/licences.json');
const LICENCE_FILES = /^(?:licen[cs]e|copying|notice)/i;

/**
 * @typedef {object} Shipped
 * @property {string} name
 * @property {string} version
 * @property {string} licence an SPDX expression, as the package gives it
 * @property {'server' | 'console'} partOf what is in both is the server's
 * @property {string} text its licence and notice; empty where it brings none, or is for another platform
 */

/** @returns {Record<string, Record<string, any>>} the packages of the lockfile, by where they are installed */
export function lockedPackages() {
  const { packages } = JSON.parse(readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8'));
  delete packages[''];
  return packages;
}

/** @returns {Shipped[]} each once, by name and version */
export function shippedPackages() {
  const locked = lockedPackages();
  const shipped = new Map();
  for (const [place, { version, license, dev }] of Object.entries(locked)) {
    const name = nameAt(place);
    if (dev === true || shipped.has(`${name}@${version}`)) continue;
    const text = licenceText(path.join(ROOT, place));
    shipped.set(`${name}@${version}`, { name, version, licence: license, partOf: 'server', text });
  }
  for (const { name, version, identifier, text = '' } of JSON.parse(readFileSync(BUNDLED, 'utf8'))) {
    if (shipped.has(`${name}@${version}`)) continue;
    shipped.set(`${name}@${version}`, { name, version, licence: identifier, partOf: 'console', text });
  }
  return [...shipped.values()].toSorted((a, b) =>
    `${a.name}@${a.version}` < `${b.name}@${b.version}` ? -1 : 1,
  );
}

/** @param {string} place as the lockfile has it: `node_modules/a/node_modules/@b/c` is `@b/c` */
export function nameAt(place) {
  return place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
}

function licenceText(folder) {
  if (!existsSync(folder)) return '';
  return readdirSync(folder)
    .filter((file) => LICENCE_FILES.test(file))
    .toSorted()
    .map((file) => readFileSync(path.join(folder, file), 'utf8').trim())
    .join('\n\n');
}
