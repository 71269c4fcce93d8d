import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DIST_DIR } from '../support/project-dir.js';
import { MUTANTS, buildMutant, edited, type Mutant } from './mutants.js';

const run = promisify(execFile);
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-mutant-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe('a mutant of the product', () => {
  it.each(MUTANTS.map((mutant): [string, Mutant] => [mutant.name, mutant]))(
    '(%s) still fits the code, differs from it and is a program',
    async (name, { edits }) => {
      const root = await buildMutant(name, dir);
      for (const file of new Set(edits.map((edit) => edit.file))) {
        const mutated = path.join(root, 'dist', file);
        expect(await readFile(mutated, 'utf8')).not.toBe(await readFile(path.join(DIST_DIR, file), 'utf8'));
        await run(process.execPath, ['--check', mutated], { cwd: root });
      }
      // Its own code is imported by its own names, and its packages are found.
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
    },
  );

  it('that is not known is refused by name', async () => {
    await expect(buildMutant('no-such', dir)).rejects.toThrow('no mutant "no-such"; known: no-epoch');
  });

  it.each(['', 'a a'])('whose text does not stand exactly once in "%s" no longer fits', (source) => {
    const edit = { file: 'x.js', find: 'a', replace: 'b' };
    expect(() => edited(source, edit, 'old')).toThrow('no longer fits the code');
  });
});
