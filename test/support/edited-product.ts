import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DIST_DIR, PROJECT_DIR } from './project-dir.js';

/** A text of the compiled product, and what stands in its place in an edited copy. */
export interface Edit {
  /** Under dist. */
  readonly file: string;
  /** Stands there exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** The product as it is not shipped. */
export interface EditedProduct {
  readonly name: string;
  readonly edits: readonly Edit[];
}

/**
 * Makes a runnable copy of the compiled product with edits, in place of what was in `targetDir`.
 *
 * @returns the directory to run its processes in
 * @throws Error when an edit no longer fits the code
 */
export async function copyEdited(product: EditedProduct, targetDir: string): Promise<string> {
  const sources = await editedSources(product);
  const dist = path.join(targetDir, 'dist');
  const modules = path.join(targetDir, 'node_modules');
  await mkdir(targetDir, { recursive: true });
  await Promise.all([rm(dist, { recursive: true, force: true }), rm(modules, { force: true })]);
  await Promise.all([
    cp(DIST_DIR, dist, { recursive: true }),
    cp(path.join(PROJECT_DIR, 'package.json'), path.join(targetDir, 'package.json')),
    symlink(path.join(PROJECT_DIR, 'node_modules'), modules, 'dir'),
  ]);
  for (const [file, source] of sources) await writeFile(path.join(dist, file), source);
  return targetDir;
}

/**
 * The files that differ from those of the product, by their names under dist.
 * @throws Error when an edit no longer fits the code
 */
export async function editedSources({ name, edits }: EditedProduct): Promise<ReadonlyMap<string, string>> {
  const sources = new Map<string, string>();
  for (const edit of edits) {
    const source = sources.get(edit.file) ?? (await readFile(path.join(DIST_DIR, edit.file), 'utf8'));
    sources.set(edit.file, edited(source, edit, name));
  }
  return sources;
}

/**
 * The source with an edit made.
 * @throws Error when what it looks for does not stand there exactly once
 */
export function edited(source: string, { file, find, replace }: Edit, name: string): string {
  const [before, after, ...more] = source.split(find);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(
      `the product "${name}" no longer fits the code: dist/${file} has to have exactly one ${JSON.stringify(find)}`,
    );
  }
  return `${before}${replace}${after}`;
}
