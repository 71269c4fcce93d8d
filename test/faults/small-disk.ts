import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, rmdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Mounts a file system of this size on a directory, made if missing. */
export async function mountSmallDisk(dir: string, mebibytes: number): Promise<void> {
  await mkdir(dir, { recursive: true });
  await run('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=0700`, 'riposte-faults', dir]);
}

export async function unmountSmallDisk(dir: string): Promise<void> {
  await run('umount', ['-l', dir]);
}

/** Why no file system of one's own can be had here; null when one can. Tries it. */
export function whyNoSmallDisks(): string | null {
  if (process.getuid?.() !== 0) return 'a file system of its own needs root';
  const dir = path.join(tmpdir(), `riposte-mount-${process.pid}`);
  mkdirSync(dir, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'riposte-faults', dir], { stdio: 'pipe' });
    execFileSync('umount', [dir], { stdio: 'pipe' });
    return null;
  } catch (error) {
    return `tmpfs cannot be mounted: ${String((error as { readonly stderr?: Buffer }).stderr ?? error).trim()}`;
  } finally {
    rmdirSync(dir);
  }
}
