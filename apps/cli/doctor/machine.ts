import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { VERSION } from '#domain';
import type { Findings } from './finding.js';
import type { Installation } from './installation.js';

/** Of the product: this is dist/apps/cli/doctor. */
const ROOT = path.resolve(import.meta.dirname, '../../../..');

interface Manifest {
  readonly version?: string;
  readonly engines?: { readonly node?: string };
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** Node.js and the installed packages, against what package.json asks for. */
export async function checkMachine(_installation: Installation, findings: Findings): Promise<void> {
  const { engines, dependencies = {} } = await manifestIn(ROOT);
  const least = engines?.node?.replace(/^>=/, '') ?? '0.0.0';
  if (isOlder(process.versions.node, least))
    findings.problem('node.version', `Node.js ${process.versions.node}`, `Riposte needs ${least} or newer.`);
  else findings.ok('node.version', `Node.js ${process.versions.node}, Riposte ${VERSION}`);
  const wrong = await Promise.all(
    Object.entries(dependencies).map(async ([name, wanted]) => {
      const found = await manifestIn(path.join(ROOT, 'node_modules', name)).catch(() => null);
      if (found === null) return [`${name} is missing`];
      // A range is npm's to judge.
      const isExact = /^\d/.test(wanted);
      return isExact && found.version !== wanted
        ? [`${name} is ${found.version ?? 'of no version'}, not ${wanted}`]
        : [];
    }),
  );
  const problems = wrong.flat();
  if (problems.length === 0)
    findings.ok('packages', `${Object.keys(dependencies).length} as package.json has them`);
  else findings.problem('packages', problems.join('; '), 'Install them anew: npm ci --ignore-scripts');
}

async function manifestIn(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** Compares the numbers of two versions. */
export function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split(/[.-]/).slice(0, 3).map(Number));
  for (const index of [0, 1, 2]) {
    const difference = (a?.[index] || 0) - (b?.[index] || 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
