import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT, prepare } from './prepare.mjs';
import { shippedPackages } from './shipped.mjs';

/**
 * `npm run sbom [-- FILE]`: writes what is shipped as a CycloneDX document, by default `dist/sbom.cdx.json`. npm makes it
 * of the lockfile, without the network; what is only built and tested with is left out of it.
 */

const DEVELOPMENT = 'cdx:npm:package:development';

/** @returns {object} the document */
export function sbom() {
  const args = ['sbom', '--package-lock-only', '--sbom-format=cyclonedx', '--sbom-type=application'];
  const { status, stdout, stderr, error } = spawnSync('npm', args, {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  });
  if (status !== 0) throw new Error(`npm sbom failed: ${error?.message ?? stderr}`);
  const all = JSON.parse(stdout);
  const shipped = new Map(shippedPackages().map((each) => [`${each.name}@${each.version}`, each]));
  const kept = new Set([all.metadata.component['bom-ref'], ...shipped.keys()]);
  // npm calls it by its folder.
  all.metadata.component.name = 'riposte';
  return {
    ...all,
    components: all.components
      .filter(({ 'bom-ref': ref }) => kept.has(ref))
      .map((component) => ({
        ...component,
        properties: [
          ...component.properties.filter(({ name }) => name !== DEVELOPMENT),
          { name: 'riposte:part', value: shipped.get(component['bom-ref']).partOf },
        ],
      })),
    dependencies: all.dependencies
      .filter(({ ref }) => kept.has(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => kept.has(other)) })),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await prepare();
  const file = path.resolve(process.argv[2] ?? path.join(ROOT, 'dist/sbom.cdx.json'));
  const document = sbom();
  writeFileSync(file, `${JSON.stringify(document, null, 2)}\n`);
  console.log(`${file}: ${document.components.length} components`);
}
