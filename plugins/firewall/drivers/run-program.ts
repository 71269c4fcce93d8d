import { execFile } from 'node:child_process';
import { ProviderError } from '#provider-sdk';

export interface ProgramOptions {
  /** Ends the program. */
  readonly signal: AbortSignal;
  /** True where it may change something: then to be stopped in the middle is `unknownOutcome`. */
  readonly changes: boolean;
  readonly stdin?: string;
  /** The setting that names the program, for who reads that it was not found. */
  readonly setting: string;
  /** Milliseconds it may take. Default 20,000. */
  readonly timeoutMs?: number;
}

/** How a program ended. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const DEFAULT_TIMEOUT_MS = 20_000;
/** Ten thousand entries of nftables are 0.7 MB. */
const MOST_OUTPUT_BYTES = 64 * 1024 * 1024;

/**
 * Runs a program of this machine, without a shell. It gets none of this process's variables, which hold secrets, but
 * the path; and English words.
 *
 * @throws ProviderError `permanent` or `permission` where it cannot be started; `transient`, or `unknownOutcome` where it
 *   may have changed something, where it did not end in time
 * @throws the signal's reason where it was asked to stop and nothing can have changed
 */
export async function runProgram(
  file: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<Ran> {
  const { signal, changes, stdin = '', setting, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      args,
      {
        env: { PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`, LC_ALL: 'C' },
        maxBuffer: MOST_OUTPUT_BYTES,
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        signal,
      },
      (error, stdout, stderr) => {
        if (error === null) return resolve({ code: 0, stdout, stderr });
        // Of a program that ran to its end the code is a number; else it says why it did not.
        if (typeof error.code === 'number') return resolve({ code: error.code, stdout, stderr });
        const { code } = error as { readonly code?: unknown };
        if (code === 'ENOENT')
          return reject(
            new ProviderError(
              'permanent',
              `The program ${file} was not found on the worker's machine: install it, or give its path in ${setting}.`,
              { cause: error },
            ),
          );
        if (code === 'EACCES')
          return reject(
            new ProviderError('permission', `The worker may not run the program ${file}.`, { cause: error }),
          );
        if (signal.aborted && !changes) return reject(signal.reason as Error);
        reject(
          new ProviderError(
            changes ? 'unknownOutcome' : 'transient',
            `The program ${file} was ended before it was done${signal.aborted ? '' : `, after ${timeoutMs} ms`}.`,
            { cause: error },
          ),
        );
      },
    );
    // A program that ends without reading breaks the pipe; its code says what there is to say.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(stdin);
  });
}
