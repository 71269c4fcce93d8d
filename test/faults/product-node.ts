import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { InnerFaults } from './preload.js';

/** Milliseconds a service manager leaves a process that ended by itself before it starts it again. */
const RESTART_AFTER_MS = 500;
const READY_WITHIN_MS = 60_000;

export interface ProductNodeOptions {
  readonly name: string;
  /** Its start command; `node` is this very Node. */
  readonly command: readonly string[];
  readonly cwd: string;
  /** Looked at on each start. */
  readonly env: () => Readonly<Record<string, string>>;
  readonly logDir: string;
  /** Told of each end that nobody asked for. */
  readonly onCrash: (name: string, how: string) => void;
}

/**
 * One process of the product under a service manager: whatever ends it, it is started again, unless it was stopped.
 * Its log goes to a file. It ends with this process, whose IPC channel it listens to.
 */
export class ProductNode {
  readonly #options: ProductNodeOptions;
  #child: ChildProcess | undefined;
  #wanted = false;
  #ready = false;
  #exited: Promise<unknown> = Promise.resolve();

  constructor(options: ProductNodeOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  get logFile(): string {
    return path.join(this.#options.logDir, `${this.name}.log`);
  }

  /** Undefined between an end and the next start. */
  get pid(): number | undefined {
    return this.running ? this.#child?.pid : undefined;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts it, as often as it takes, and waits until it is ready. */
  async start(): Promise<void> {
    this.#wanted = true;
    this.#launch();
    await this.ready();
  }

  /** As an operating system would: SIGKILL, SIGSTOP, SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    const { pid } = this;
    if (pid === undefined) return;
    try {
      process.kill(pid, signal);
    } catch {
      // It has just ended by itself.
    }
  }

  /** Tells it what to do to itself. */
  tell(faults: InnerFaults): void {
    if (this.running) this.#child?.send({ faults }, () => undefined);
  }

  /** Ends it by SIGTERM, by SIGKILL after `forceAfterMs`, and leaves it so. Its exit code, null when it was killed. */
  async stop(forceAfterMs = 30_000): Promise<number | null> {
    this.#wanted = false;
    const child = this.#child;
    if (child === undefined || !this.running) return null;
    this.signal('SIGTERM');
    this.signal('SIGCONT');
    const timer = setTimeout(() => this.signal('SIGKILL'), forceAfterMs);
    await this.#exited;
    clearTimeout(timer);
    return child.exitCode;
  }

  /** Waits until it serves, whoever ended it before. @throws Error with the end of its log when it does not */
  async ready(withinMs = READY_WITHIN_MS): Promise<void> {
    const until = performance.now() + withinMs;
    while (!this.#ready) {
      if (performance.now() > until)
        throw new Error(`${this.name} does not come up; see ${this.logFile}:\n${this.#tail()}`);
      await sleep(50);
    }
  }

  #launch(): void {
    const { command, cwd, env } = this.#options;
    const [file = 'node', ...args] = command;
    const log = openSync(this.logFile, 'a');
    const child = spawn(file === 'node' ? process.execPath : file, args, {
      cwd,
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env() },
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    this.#child = child;
    this.#ready = false;
    this.#exited = once(child, 'exit');
    child.on('message', (message) => {
      if ((message as { readonly type?: string }).type === 'ready' && this.#child === child)
        this.#ready = true;
    });
    child.on('exit', (code, signal) => {
      if (this.#child !== child) return;
      this.#ready = false;
      if (!this.#wanted) return;
      this.#options.onCrash(this.name, signal ?? `code ${code}`);
      setTimeout(() => {
        if (this.#wanted && this.#child === child) this.#launch();
      }, RESTART_AFTER_MS);
    });
  }

  #tail(): string {
    return readFileSync(this.logFile, 'utf8').split('\n').slice(-5).join('\n');
  }
}
