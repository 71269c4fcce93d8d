import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';

/** Which machine or container: process ids of another one say nothing here. */
const PLACE = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
const PREFIX = `riposte-plugins-${PLACE}-`;

/** Folders of this process that were not given back. */
const ours = new Set<string>();

export interface TemporaryFolder {
  readonly folder: string;
  readonly remove: () => Promise<void>;
}

/**
 * A folder of this process for the copies of plugins. It goes with `remove()`, when the process exits without that, and
 * where the process is killed at the next call of this by another one.
 */
export async function temporaryFolder(): Promise<TemporaryFolder> {
  await removeLeftOvers();
  const folder = await mkdtemp(path.join(tmpdir(), `${PREFIX}${process.pid}-`));
  if (ours.size === 0) process.once('exit', removeOurs);
  ours.add(folder);
  const remove = async () => {
    await rm(folder, { recursive: true, force: true });
    ours.delete(folder);
    if (ours.size === 0) process.off('exit', removeOurs);
  };
  return { folder, remove };
}

function removeOurs(): void {
  for (const folder of ours) rmSync(folder, { recursive: true, force: true });
}

/** What others cannot remove, or are removing just now, is theirs to see to. */
async function removeLeftOvers(): Promise<void> {
  for (const name of await readdir(tmpdir()).catch(() => [])) {
    if (!name.startsWith(PREFIX)) continue;
    const pid = Number(/^\d+/.exec(name.slice(PREFIX.length))?.[0]);
    const folder = path.join(tmpdir(), name);
    // A container that is started again has the process ids of before: one with ours is dead unless we made it.
    const isDead = pid === process.pid ? !ours.has(folder) : pid > 0 && !isAlive(pid);
    if (isDead) await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
