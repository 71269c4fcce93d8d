import { accessSync, chmodSync, constants, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { StartError } from './settings.js';

/** Makes the data dir, readable by its owner only. @throws StartError when it cannot be written */
export function makeDataDir(dataDir: string): void {
  try {
    mkdirSync(path.join(dataDir, 'logs'), { recursive: true, mode: 0o700 });
    chmodSync(dataDir, 0o700);
    accessSync(dataDir, constants.W_OK);
    const probe = path.join(dataDir, '.writable');
    writeFileSync(probe, '');
    rmSync(probe);
  } catch (cause) {
    throw new StartError(
      `The data directory ${dataDir} cannot be written (${(cause as Error).message}). Set RIPOSTE_DATA_DIR to one that can.`,
      { cause },
    );
  }
}

/**
 * Holds the data dir for this process, so that no second start works on it. A lock whose holder is gone is
 * taken over.
 * @returns how to give it back, and whether a killed run had left it behind
 * @throws StartError naming the pid that holds it
 */
export function lockDataDir(dataDir: string): { readonly release: () => void; readonly repaired: boolean } {
  const file = path.join(dataDir, 'launcher.lock');
  const mine = `${process.pid} ${startedAt(process.pid) ?? ''}`;
  let repaired = false;
  for (;;) {
    try {
      writeFileSync(file, mine, { flag: 'wx' });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const [pid = '', since = ''] = readFileSync(file, 'utf8').split(' ');
      if (isHolder(Number(pid), since)) {
        throw new StartError(
          `Riposte already runs on ${dataDir} (pid ${pid}). Stop that one, or set RIPOSTE_DATA_DIR (and PORT) to run another beside it.`,
        );
      }
      rmSync(file, { force: true });
      repaired = true;
    }
  }
  return { release: () => rmSync(file, { force: true }), repaired };
}

/** True when the process that wrote the lock lives: a pid alone may have been given to another since. */
function isHolder(pid: number, since: string): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const now = startedAt(pid);
  return now === null || since === '' || now === since;
}

/** When a process was started, in the kernel's ticks; null where /proc does not tell. */
function startedAt(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command name may hold blanks and brackets; the fields are counted from behind it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}
