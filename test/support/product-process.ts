import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { eventually } from './eventually.js';
import { PROJECT_DIR } from './project-dir.js';

/** One process of the product, started by the command that production uses. */
export class ProductProcess {
  readonly child: ChildProcess;
  #output = '';

  /** @param root the checkout whose compiled product it is. Default: this one */
  constructor(command: readonly string[], env: Readonly<Record<string, string>>, root = PROJECT_DIR) {
    const [file, ...args] = command;
    this.child = spawn(file === 'node' || file === undefined ? process.execPath : file, args, {
      cwd: root,
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env },
      // The channel ends with this process, and the child with the channel: a killed test run leaves nothing.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.child.stdout?.on('data', (data: Buffer) => (this.#output += data.toString()));
    this.child.stderr?.on('data', (data: Buffer) => (this.#output += data.toString()));
  }

  /** Everything it printed. */
  get output(): string {
    return this.#output;
  }

  /** Its log, line by line. */
  get log(): readonly Record<string, unknown>[] {
    return this.#output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  async ready(): Promise<void> {
    await eventually(() => {
      if (!this.running) throw new Error(`it ended: ${this.#output}`);
      return this.log.some(({ msg }) => msg === 'ready');
    }, 90_000);
  }

  signal(signal: NodeJS.Signals): void {
    if (this.child.pid !== undefined && this.running) process.kill(this.child.pid, signal);
  }

  /** Sends the signal and waits for the end; the exit code, or null when the signal ended it. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (!this.running) return this.child.exitCode;
    const exit = once(this.child, 'exit');
    this.signal(signal);
    const [code] = (await exit) as [number | null];
    return code;
  }
}
