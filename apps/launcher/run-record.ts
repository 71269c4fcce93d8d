import { appendFileSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { commandOf, startedAt } from './process-facts.js';

/** Milliseconds a process of a killed run gets to end by itself: it knows, and mongod writes a checkpoint. */
const END_WITHIN_MS = 25_000;
const COMMAND = /mongod|redis|valkey|node/;

/**
 * The processes of this run, kept in the data dir: the next run ends those that a killed one left. All of them
 * notice that their launcher is gone and end by themselves, but that takes some seconds, and may fail.
 */
export class RunRecord {
  readonly #file: string;

  constructor(dataDir: string) {
    this.#file = path.join(dataDir, 'launcher.processes');
  }

  add(name: string, pid: number | undefined): void {
    if (pid === undefined) return;
    appendFileSync(this.#file, `${name} ${pid} ${startedAt(pid) ?? 'ended'}\n`, { mode: 0o600 });
  }

  clear(): void {
    rmSync(this.#file, { force: true });
  }

  /** Waits until nothing of the recorded run is alive, by force in the end. */
  async endLeftovers(say: (line: string) => void): Promise<void> {
    let left = this.#alive();
    if (left.length > 0) {
      say(`Ending what it left: ${left.map(({ name, pid }) => `${name} (pid ${pid})`).join(', ')}`);
      for (const { pid } of left) for (const signal of ['SIGTERM', 'SIGCONT'] as const) send(pid, signal);
    }
    const until = performance.now() + END_WITHIN_MS;
    while (left.length > 0) {
      if (performance.now() > until) for (const { pid } of left) send(pid, 'SIGKILL');
      await sleep(50);
      left = this.#alive();
    }
    this.clear();
  }

  /** Those that live and are the ones recorded: another process may have been given the pid since. */
  #alive(): readonly { readonly name: string; readonly pid: number }[] {
    let text = '';
    try {
      text = readFileSync(this.#file, 'utf8');
    } catch {
      // It ended cleanly, or before it had started anything.
    }
    return text
      .split('\n')
      .map((line) => /^(\S+) (\d+) (.+)$/.exec(line))
      .flatMap((match) =>
        match === null ? [] : [{ name: match[1], pid: Number(match[2]), since: match[3] }],
      )
      .flatMap(({ name = '', pid, since }) =>
        startedAt(pid) === since && COMMAND.test(commandOf(pid)) ? [{ name, pid }] : [],
      );
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended.
  }
}
