import { execFile } from 'node:child_process';
import { access, constants, mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Report } from './report.js';

export const run = promisify(execFile);

/** One way to come by a server program. `find` gives its path, or throws an Error that says why not. */
export interface Way {
  readonly name: string;
  find(report: Report, signal: AbortSignal): Promise<string>;
}

/** A server program as looked for: which variable names it, and which versions will do. */
export interface Program {
  readonly name: string;
  readonly variable: string;
  readonly onPath: readonly string[];
  readonly leastVersion: readonly [number, number];
  /** What a user can do where no way is open. */
  readonly advice: string;
  readonly moreWays: readonly Way[];
}

/** No way to a server program is open. The message names each way, why it failed, and what to do. */
export class ServerNotFoundError extends Error {
  constructor(program: Program, failures: readonly string[]) {
    super(
      `No ${program.name} was found or could be fetched.\n${failures.map((failure) => `  - ${failure}`).join('\n')}\n${program.advice}`,
    );
    this.name = 'ServerNotFoundError';
  }
}

/**
 * The path of a program that starts and is new enough: from its variable, the PATH, or the further ways in
 * their order. What is there and will not do is reported, and passed over.
 *
 * @param signal ends a search that fetches; nothing half-fetched stays
 * @throws Error when the variable is set to something unusable; @throws ServerNotFoundError when no way is open
 */
export async function findProgram(program: Program, report: Report, signal: AbortSignal): Promise<string> {
  const named = process.env[program.variable];
  if (named !== undefined && named !== '') {
    try {
      await checkVersion(named, program);
      return named;
    } catch (cause) {
      throw new Error(`${program.variable}=${named} cannot be used: ${messageOf(cause)}`, { cause });
    }
  }
  const failures: string[] = [];
  const ways: Way[] = [
    ...program.onPath.map((name) => ({ name: `${name} on PATH`, find: () => onPath(name) })),
    ...program.moreWays,
  ];
  for (const way of ways) {
    signal.throwIfAborted();
    let file: string | undefined;
    try {
      file = await way.find(report, signal);
      await checkVersion(file, program);
      return file;
    } catch (error) {
      const failure = `${way.name}: ${file === undefined ? '' : `${file}: `}${messageOf(error)}`;
      failures.push(failure);
      if (file !== undefined) report(`Passed over ${failure}`);
    }
  }
  signal.throwIfAborted();
  throw new ServerNotFoundError(program, failures);
}

/** Where fetched programs are kept: the user's cache, or the working directory's data dir where that cannot be written. */
export async function cacheDir(): Promise<string> {
  const base = process.env['XDG_CACHE_HOME'] || path.join(process.env['HOME'] || homedir(), '.cache');
  const wanted = path.join(base, 'riposte');
  try {
    await mkdir(wanted, { recursive: true });
    await access(wanted, constants.W_OK);
    return wanted;
  } catch {
    const fallback = path.resolve(process.env['RIPOSTE_DATA_DIR'] || '.riposte', 'cache');
    await mkdir(fallback, { recursive: true });
    return fallback;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.trim().split('\n').slice(0, 3).join(' ') : String(error);
}

async function onPath(name: string): Promise<string> {
  for (const dir of (process.env['PATH'] ?? '').split(path.delimiter)) {
    const file = path.join(dir, name);
    try {
      await access(file, constants.X_OK);
      if (dir !== '') return file;
    } catch {
      // Not in this directory.
    }
  }
  throw new Error('not there');
}

async function checkVersion(file: string, { leastVersion: [major, minor] }: Program): Promise<void> {
  let output: string;
  try {
    output = (await run(file, ['--version'], { timeout: 15_000 })).stdout;
  } catch (error) {
    const { stderr } = error as { readonly stderr?: string };
    throw new Error(`it does not start: ${stderr?.trim() || messageOf(error)}`, { cause: error });
  }
  const match = /v=?(\d+)\.(\d+)/.exec(output);
  if (match === null) throw new Error('its version cannot be told');
  const [foundMajor, foundMinor] = [Number(match[1]), Number(match[2])];
  if (foundMajor < major || (foundMajor === major && foundMinor < minor)) {
    throw new Error(`version ${foundMajor}.${foundMinor} is too old; ${major}.${minor} or newer is needed`);
  }
}
