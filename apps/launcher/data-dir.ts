import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startedAt } from './process-facts.js';
import { StartError } from './settings.js';

/** Milliseconds after which a lock without a pid was left by a start that was killed while it wrote it. */
const WRITTEN_WITHIN_MS = 2000;

/**
 * Makes the data dir, for its owner only. One that was there keeps its mode: it may be a folder for more than
 * this. @throws StartError when it cannot be written
 */
export function makeDataDir(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const probe = path.join(dataDir, `.writable-${process.pid}`);
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
export async function lockDataDir(
  dataDir: string,
): Promise<{ readonly release: () => void; readonly repaired: boolean }> {
  const file = path.join(dataDir, 'launcher.lock');
  const mine = `${process.pid} ${startedAt(process.pid) ?? ''}`;
  let repaired = false;
  for (;;) {
    try {
      writeFileSync(file, mine, { flag: 'wx', mode: 0o600 });
      return { release: () => removeIf(file, mine), repaired };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const held = read(file);
    if (held === null) continue;
    const [pid = '', since = ''] = held.text.split(' ');
    if (pid === '' && held.ageMs < WRITTEN_WITHIN_MS) {
      await sleep(100);
      continue;
    }
    if (isHolder(Number(pid), since)) {
      throw new StartError(
        `Riposte already runs on ${dataDir} (pid ${pid}). Stop that one, or set RIPOSTE_DATA_DIR (and PORT) to run another beside it.`,
      );
    }
    removeIf(file, held.text);
    repaired = true;
  }
}

function read(file: string): { readonly text: string; readonly ageMs: number } | null {
  try {
    return { text: readFileSync(file, 'utf8'), ageMs: Date.now() - statSync(file).mtimeMs };
  } catch {
    // It has just been given back.
    return null;
  }
}

/** Of two starts that find the same stale lock, the slower must not remove what the faster has written since. */
function removeIf(file: string, text: string): void {
  const aside = `${file}.${process.pid}`;
  try {
    if (readFileSync(file, 'utf8') !== text) return;
    renameSync(file, aside);
    if (readFileSync(aside, 'utf8') === text) rmSync(aside);
    else renameSync(aside, file);
  } catch {
    // It is gone already.
  }
}

/** True when the process that wrote the lock lives: a pid alone may have been given to another since. */
function isHolder(pid: number, since: string): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  const now = startedAt(pid);
  return now !== null && (since === '' || now === since);
}
