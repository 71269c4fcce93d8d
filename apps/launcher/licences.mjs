import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT, prepare } from './prepare.mjs';
import { shippedPackages } from './shipped.mjs';

/**
 * `npm run licences`: says which licences the shipped packages have, writes THIRD_PARTY.md, which lists them, and
 * `dist/THIRD_PARTY_NOTICES.txt` with their texts. `-- --check` writes nothing and fails where the list is out of date.
 * Both fail where a package has a licence that is not allowed here.
 */

/** May be shipped with a product under Apache-2.0, as SPDX expressions; a package with any other has to be looked at. */
const ALLOWED = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
  // Fonts alone: they may be bundled, and keep their licence.
  'OFL-1.1',
  // Permissive; of the parser's argument reader, which is never run.
  'Python-2.0',
]);
const LIST = path.join(ROOT, 'THIRD_PARTY.md');
const NOTICES = path.join(ROOT, 'dist/THIRD_PARTY_NOTICES.txt');

/**
 * @param {import('./shipped.mjs').Shipped[]} packages
 * @returns {string[]} what keeps them from being shipped, a sentence each
 */
export function problemsWith(packages) {
  return packages
    .filter(({ licence }) => !ALLOWED.has(licence))
    .map(
      ({ name, version, licence }) =>
        `${name}@${version} has the licence ${licence ?? 'that it does not name'}, which is not allowed: see apps/launcher/licences.mjs`,
    );
}

/** @param {import('./shipped.mjs').Shipped[]} packages */
export function listOf(packages) {
  const rows = packages.map(({ name, version, licence, partOf }) =>
    [name, version, licence, partOf].join(' | '),
  );
  return `# Third-party software

What Riposte is shipped with: packages beside the server, and those whose code is in the console's bundle. Their licences go with
them: in each package's folder, for the console in \`dist/apps/console/licences.json\`; \`npm run licences\` writes all of their texts
to \`dist/THIRD_PARTY_NOTICES.txt\`, and this list. \`npm run sbom\` writes it as CycloneDX.

package | version | licence | part of
--- | --- | --- | ---
${rows.join('\n')}
`;
}

function noticesOf(packages) {
  const rule = '-'.repeat(80);
  return packages
    .map(({ name, version, licence, text }) =>
      [rule, `${name} ${version} (${licence})`, rule, text || 'It brings no text of its licence.', ''].join(
        '\n',
      ),
    )
    .join('\n');
}

function countByLicence(packages) {
  const counts = new Map();
  for (const { licence } of packages) counts.set(licence, (counts.get(licence) ?? 0) + 1);
  return [...counts].toSorted(([, a], [, b]) => b - a);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await prepare();
  const check = process.argv.includes('--check');
  const packages = shippedPackages();
  const problems = problemsWith(packages);
  if (check) {
    if (readFileSync(LIST, 'utf8') !== listOf(packages))
      problems.push('THIRD_PARTY.md is not what is shipped: npm run licences');
  } else {
    writeFileSync(LIST, listOf(packages));
    writeFileSync(NOTICES, noticesOf(packages));
    for (const [licence, count] of countByLicence(packages)) console.log(`${licence}: ${count}`);
    console.log(
      `${packages.length} packages, see ${path.relative(ROOT, LIST)} and ${path.relative(ROOT, NOTICES)}`,
    );
  }
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
}
