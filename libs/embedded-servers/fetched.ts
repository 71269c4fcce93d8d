import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { cacheDir, type Way } from './binary.js';

const DRAFT = '.draft-';
/** Milliseconds: far longer than the timeouts of download and unpacking together. */
const DRAFT_LIFE_MS = 2 * 3_600_000;

/**
 * A program that is fetched once and then kept in the cache. Two runs at once and a run that is killed half-way
 * do no harm: what is unpacked is moved into place in one step.
 *
 * @param name folder in the cache, with the version
 * @param fetchInto puts the program somewhere below the given empty directory and gives its path
 */
export async function cached(
  name: string,
  program: string,
  fetchInto: (dir: string) => Promise<string>,
): Promise<string> {
  const cache = await cacheDir();
  const file = path.join(cache, name, program);
  if (await exists(file)) return file;
  await removeOldDrafts(cache);
  const draft = await mkdtemp(path.join(cache, DRAFT));
  try {
    const fetched = await fetchInto(draft);
    await chmod(fetched, 0o755);
    const ready = path.join(draft, `ready-${randomUUID()}`);
    await mkdir(ready);
    await rename(fetched, path.join(ready, program));
    await rename(ready, path.join(cache, name)).catch(async (error: unknown) => {
      // Another run was faster.
      if (!(await exists(file))) throw error;
    });
    return file;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** What runs that were killed half-way left. A younger one may be at work. */
async function removeOldDrafts(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (!name.startsWith(DRAFT)) continue;
    const draft = path.join(cache, name);
    const { mtimeMs } = await stat(draft).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (Date.now() - mtimeMs > DRAFT_LIFE_MS) await rm(draft, { recursive: true, force: true });
  }
}

/** What an earlier run fetched, whichever way it took. */
export function inCache(program: string, names: readonly string[]): Way {
  return {
    name: 'cache',
    async find() {
      const cache = await cacheDir();
      for (const name of names) {
        const file = path.join(cache, name, program);
        if (await exists(file)) return file;
      }
      throw new Error(`nothing in ${cache} yet`);
    },
  };
}

export async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** The first file of this name below a directory. */
export async function findBelow(dir: string, name: string): Promise<string> {
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && entry.name === name) return path.join(entry.parentPath, entry.name);
  }
  throw new Error(`it holds no ${name}`);
}

async function exists(file: string): Promise<boolean> {
  try {
    await access(file);
    return true;
  } catch {
    return false;
  }
}
