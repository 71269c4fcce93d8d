import { execFile } from 'node:child_process';
import path from 'node:path';
import { DIST_DIR } from '../support/project-dir.js';

/** How a campaign ended: its exit code, and what it printed. */
export interface Ended {
  readonly code: number;
  readonly output: string;
}

/** `npm run faults -- …`, from the build that is there. */
export function runFaults(args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [path.join(DIST_DIR, 'test/faults/main.js'), ...args],
      { maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: `${stdout}\n${stderr}` });
      },
    );
  });
}

/** A line of the report. */
export function countOf(output: string, name: string): number {
  const found = new RegExp(`^${name} +(\\d+)$`, 'm').exec(output)?.[1];
  return found === undefined ? Number.NaN : Number(found);
}
