import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VARIANTS } from '../bench/variants.js';
import { MUTANTS, buildMutant } from '../faults/mutants.js';
import { edited, editedSources, type EditedProduct } from './edited-product.js';
import { DIST_DIR } from './project-dir.js';

const run = promisify(execFile);
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-edited-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe('an edited product', () => {
  it.each([...MUTANTS, ...VARIANTS].map((product): [string, EditedProduct] => [product.name, product]))(
    '(%s) still fits the code, differs from it and is a program',
    async (name, product) => {
      const sources = [...(await editedSources(product))];
      await Promise.all(
        sources.map(async ([file, source], index) => {
          expect(source).not.toBe(await readFile(path.join(DIST_DIR, file), 'utf8'));
          const copy = path.join(dir, `${name}-${index}.mjs`);
          await writeFile(copy, source);
          await run(process.execPath, ['--check', copy]);
        }),
      );
    },
  );

  it('imports its own code by its own names, and finds its packages', async () => {
    const root = await buildMutant('no-sweep', path.join(dir, 'copy'));
    const worker = await readFile(path.join(root, 'dist/apps/worker/main.js'), 'utf8');
    expect(worker).not.toContain('sweep.start()');
    const { stdout } = await run(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        "await import('#persistence'); console.log(import.meta.resolve('#engine'))",
      ],
      { cwd: root },
    );
    expect(stdout).toContain(path.join(root, 'dist/libs/engine/index.js'));
  });

  it('that is not known is refused by name', async () => {
    await expect(buildMutant('no-such', dir)).rejects.toThrow('no mutant "no-such"; known: no-epoch');
  });

  it.each(['', 'a a'])('whose text does not stand exactly once in "%s" no longer fits', (source) => {
    const edit = { file: 'x.js', find: 'a', replace: 'b' };
    expect(() => edited(source, edit, 'old')).toThrow('no longer fits the code');
  });
});
