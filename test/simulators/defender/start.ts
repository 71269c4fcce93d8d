import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { DIST_DIR } from '../../support/project-dir.js';
import type { Counts, Fact } from './referee.js';

const SCRIPT = path.join(DIST_DIR, 'test/simulators/defender/main.js');

export interface StartOptions {
  /** Port on 127.0.0.1. Default: a free one. */
  readonly port?: number;
  /** How many times as fast as the wall's its durations pass. Default 1. */
  readonly speed?: number;
  /** Machines `host-0001.contoso.com` … besides the named ones. Default 0. */
  readonly machines?: number;
  /** Makes the shares of faults repeatable. Default 1. */
  readonly seed?: number;
  /** Where facts are appended to, and left. Default: nowhere. */
  readonly ledgerFile?: string;
}

/** A simulator that runs as a process of its own. */
export interface RunningDefender {
  readonly baseUrl: string;
  readonly port: number;
  readonly pid: number;
  /** A call below `/_control`, see the README. */
  control(method: string, path: string, body?: unknown): Promise<unknown>;
  /** What the referee counted until now. */
  counts(): Promise<Counts & { readonly facts: readonly Fact[] }>;
  stop(): Promise<void>;
}

/**
 * Starts the compiled simulator.
 * @throws Error when it ends before it listens
 */
export async function startDefender(options: StartOptions = {}): Promise<RunningDefender> {
  const { port: wanted = 0, speed = 1, machines = 0, seed = 1, ledgerFile } = options;
  const args = Object.entries({ port: wanted, speed, machines, seed, ledger: ledgerFile })
    .filter(([, value]) => value !== undefined)
    .flatMap(([name, value]) => [`--${name}`, String(value)]);
  // What runs the tests resolves our libs to their sources by its execArgv; this one is compiled.
  const child = fork(SCRIPT, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: [] });
  const exit = once(child, 'exit');
  const early = exit.then(([code]): never => {
    throw new Error(`the Defender simulator ended with code ${String(code)} before it listened`);
  });
  const [{ port }] = (await Promise.race([once(child, 'message'), early])) as [{ readonly port: number }];
  early.catch(() => undefined);
  const baseUrl = `http://127.0.0.1:${port}`;
  const control = async (method: string, below: string, body?: unknown): Promise<unknown> => {
    const answer = await fetch(`${baseUrl}/_control${below}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${below}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  return {
    baseUrl,
    port,
    pid: child.pid ?? 0,
    control,
    counts: async () => (await control('GET', '/ledger')) as Counts & { readonly facts: readonly Fact[] },
    async stop() {
      child.kill();
      await exit;
    },
  };
}
