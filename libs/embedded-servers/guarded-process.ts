import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, closeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';

/**
 * A shell between us and the server. Its standard input is a pipe from us: when we are gone, however we ended,
 * the pipe closes and the shell sends the server SIGTERM. It prints the server's pid, and ends with its code.
 */
const GUARD = `
exec 4<&0
"$@" </dev/null >&3 2>&3 4<&- &
pid=$!
echo $pid
( read -r _ <&4; kill -TERM $pid ) 2>/dev/null &
watcher=$!
trap 'kill -TERM $pid' TERM INT
wait $pid
code=$?
while kill -0 $pid 2>/dev/null; do wait $pid; code=$?; done
kill $watcher 2>/dev/null
exit $code
`;

/** A server as a child process that does not outlive this one. */
export class GuardedProcess {
  private constructor(
    /** The server's own pid. */
    readonly pid: number,
    readonly logFile: string,
    readonly exited: Promise<number | null>,
  ) {
    void exited.then(() => (this.#running = false));
  }

  #running = true;

  /**
   * Starts a program in a process group of its own, so that a Ctrl-C in our terminal is ours to handle.
   * What it prints goes to the log file.
   */
  static async start(file: string, args: readonly string[], logFile: string): Promise<GuardedProcess> {
    mkdirSync(path.dirname(logFile), { recursive: true });
    const log = openSync(logFile, 'a', 0o600);
    let guard: ChildProcess;
    try {
      guard = spawn('/bin/sh', ['-c', GUARD, 'riposte-guard', file, ...args], {
        detached: true,
        stdio: ['pipe', 'pipe', 'ignore', log],
      });
    } finally {
      closeSync(log);
    }
    const exited = once(guard, 'exit').then(([code]) => code as number | null);
    guard.stdin?.on('error', () => undefined);
    if (guard.stdout === null) throw new Error('the guard has no output');
    const lines = createInterface({ input: guard.stdout });
    const [line] = (await Promise.race([once(lines, 'line'), exited.then(() => ['0'])])) as [string];
    lines.close();
    return new GuardedProcess(Number(line), logFile, exited);
  }

  get running(): boolean {
    return this.#running;
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#running || this.pid === 0) return;
    try {
      process.kill(this.pid, signal);
    } catch {
      // It has just ended by itself.
    }
  }

  /** Asks it to end, and ends it by force after `forceAfterMs`. */
  async stop(forceAfterMs = 20_000): Promise<void> {
    this.signal('SIGTERM');
    // A stopped (SIGSTOP) process takes no other signal.
    this.signal('SIGCONT');
    const timer = setTimeout(() => this.signal('SIGKILL'), forceAfterMs);
    await this.exited;
    clearTimeout(timer);
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** The end of its log, for an error message. */
  async lastLines(count = 8): Promise<string> {
    const handle = await open(this.logFile, 'r');
    try {
      const { size } = await handle.stat();
      const length = Math.min(size, 16_384);
      const { buffer } = await handle.read(Buffer.alloc(length), 0, length, size - length);
      return buffer.toString('utf8').trimEnd().split('\n').slice(-count).join('\n');
    } finally {
      await handle.close();
    }
  }
}
