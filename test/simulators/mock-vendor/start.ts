import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DIST_DIR } from '../../support/project-dir.js';
import { readLedger, type LedgerEntry } from './ledger.js';
import type { Mode } from './vendor.js';

const SCRIPT = path.join(DIST_DIR, 'test/simulators/mock-vendor/main.js');

export interface MockVendorOptions {
  /** Makes the misbehaviour repeatable. Default 1. */
  readonly seed?: number;
  /** Where the ledger is appended to, and left. Default: a file of its own, removed by `stop()`. */
  readonly ledgerFile?: string;
  /** Port on 127.0.0.1. Default: a free one. */
  readonly port?: number;
}

/** A mock vendor that runs as a process of its own. */
export interface RunningVendor {
  readonly baseUrl: string;
  readonly port: number;
  readonly pid: number;
  readonly ledgerFile: string;
  /** What happened so far. */
  ledger(): readonly LedgerEntry[];
  /** Sets the shares of misbehaviour; see the README. */
  behave(shares: Readonly<Record<string, number>>): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts the compiled simulator.
 * @throws Error when it ends before it listens
 */
export async function startMockVendor(mode: Mode, options: MockVendorOptions = {}): Promise<RunningVendor> {
  const dir = await mkdtemp(path.join(tmpdir(), 'riposte-vendor-'));
  const ledgerFile = options.ledgerFile ?? path.join(dir, 'ledger.jsonl');
  const { seed = 1, port: wanted = 0 } = options;
  const child = fork(
    SCRIPT,
    ['--mode', mode, '--ledger', ledgerFile, '--seed', String(seed), '--port', String(wanted)],
    { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] },
  );
  const exit = once(child, 'exit');
  const early = exit.then(([code]): never => {
    throw new Error(`the mock vendor ended with code ${String(code)} before it listened`);
  });
  const [{ port }] = (await Promise.race([once(child, 'message'), early])) as [{ readonly port: number }];
  early.catch(() => undefined);
  const baseUrl = `http://127.0.0.1:${port}`;
  return {
    baseUrl,
    port,
    pid: child.pid ?? 0,
    ledgerFile,
    ledger: () => readLedger(ledgerFile),
    async behave(shares) {
      await fetch(`${baseUrl}/behaviour`, { method: 'PUT', body: JSON.stringify(shares) });
    },
    async stop() {
      child.kill();
      await exit;
      await rm(dir, { recursive: true, force: true });
    },
  };
}
