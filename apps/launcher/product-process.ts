import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** As in the production image. */
const NODE_FLAGS = [
  '--disable-proto=throw',
  '--max-old-space-size=192',
  '--min-semi-space-size=8',
  '--max-semi-space-size=8',
];
const FIRST_RESTART_MS = 200;
const LAST_RESTART_MS = 5000;
/** Milliseconds of life after which a death counts as the first again. */
const STEADY_AFTER_MS = 30_000;

export interface ProductProcessOptions {
  readonly name: string;
  readonly script: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logFile: string;
  readonly say: (line: string) => void;
  /** Told of each start. */
  readonly onStarted: (pid: number | undefined) => void;
  /** A misconfiguration: starting again cannot help. */
  readonly onFatal: (message: string) => void;
}

/** The API or a worker as a child process that is started again when it dies. */
export class ProductProcess {
  readonly #options: ProductProcessOptions;
  #child: ChildProcess | undefined;
  #stopping = false;
  #delayMs = FIRST_RESTART_MS;

  constructor(options: ProductProcessOptions) {
    this.#options = options;
  }

  start(): void {
    const { name, script, env, logFile, say, onStarted, onFatal } = this.#options;
    const log = openSync(logFile, 'a', 0o600);
    const startedAt = performance.now();
    let fatal: string | undefined;
    // A group of its own: a Ctrl-C in the terminal is the launcher's, which stops everything in order.
    const child = fork(script, [], {
      execArgv: NODE_FLAGS,
      env: { ...env },
      stdio: ['ignore', log, log, 'ipc'],
      detached: true,
    });
    closeSync(log);
    this.#child = child;
    onStarted(child.pid);
    child.on('error', (error) => say(`${name}: ${error.message}`));
    child.on('message', (message: { readonly type?: string; readonly message?: string }) => {
      if (message.type === 'fatal') fatal = message.message ?? 'no reason given';
    });
    // Not 'exit': that does not come when the process could not be started at all.
    child.on('close', (code, signal) => {
      if (this.#stopping) return;
      if (fatal !== undefined) {
        onFatal(`${name}: ${fatal}`);
        return;
      }
      if (performance.now() - startedAt > STEADY_AFTER_MS) this.#delayMs = FIRST_RESTART_MS;
      say(
        `${name} (pid ${child.pid}) ended by ${signal ?? `exit code ${code}`}; starting it again in ${this.#delayMs} ms. Log: ${logFile}`,
      );
      setTimeout(() => {
        if (!this.#stopping) this.start();
      }, this.#delayMs);
      this.#delayMs = Math.min(this.#delayMs * 2, LAST_RESTART_MS);
    });
  }

  /** Asks it to end; by force after `forceAfterMs`. */
  async stop(forceAfterMs: number): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const force = new AbortController();
    void sleep(forceAfterMs, undefined, { signal: force.signal }).then(
      () => child.kill('SIGKILL'),
      () => undefined,
    );
    await exited;
    force.abort();
  }
}
