import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from './prepare.mjs';
import { lockedPackages, nameAt } from './shipped.mjs';

/**
 * Fails where package-lock.json could install something else than what was tried, or run something of others while it does.
 * `.npmrc` leaves out of it where each package was fetched from: that is the registry that npm is set up for.
 */

/** They bring a script that npm would run as they are installed. None of them needs it, and `.npmrc` forbids it. */
const BRING_SCRIPTS = {
  '@scarf/scarf': 'reports installations to its maker',
  esbuild: 'puts its program where it is found faster',
  'msgpackr-extract': 'builds a decoder where none is prebuilt; without it msgpackr uses JavaScript',
};

/**
 * @param {Record<string, Record<string, any>>} packages of the lockfile, by where they are installed
 * @returns {string[]} what is wrong, a sentence each
 */
export function problemsIn(packages) {
  const problems = [];
  for (const [place, { integrity, resolved, link, inBundle, hasInstallScript }] of Object.entries(packages)) {
    if (!/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? ''))
      problems.push(
        `${place} has no SHA-512 in package-lock.json: whatever the registry answers would be installed`,
      );
    if (resolved !== undefined || link === true || inBundle === true)
      problems.push(`${place} comes from ${resolved ?? 'another package'}: only the registry is a source`);
    if (hasInstallScript === true && !Object.hasOwn(BRING_SCRIPTS, nameAt(place)))
      problems.push(
        `${place} brings an install script: does it work without? Then name it in check-lockfile.mjs`,
      );
  }
  const names = new Set(Object.keys(packages).map(nameAt));
  for (const name of Object.keys(BRING_SCRIPTS))
    if (!names.has(name))
      problems.push(`${name} is not installed any more: check-lockfile.mjs need not name it`);
  return problems;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problems = problemsIn(lockedPackages());
  if (!/^ignore-scripts=true$/m.test(readFileSync(path.join(ROOT, '.npmrc'), 'utf8')))
    problems.push(
      '.npmrc does not say ignore-scripts=true: packages could run what they bring as they are installed',
    );
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
}
