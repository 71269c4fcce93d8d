import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readLedger, type LedgerEntry } from './ledger.js';
import type { Mode } from './vendor.js';

const SCRIPT = path.resolve(import.meta.dirname, '../../../dist/test/simulators/mock-vendor/main.js');

/** A mock vendor that runs as a process of its own. */
export interface RunningVendor {
  readonly baseUrl: string;
  /** Every effect so far. */
  ledger(): readonly LedgerEntry[];
  /** Sets the shares of misbehaviour; see the README. */
  behave(shares: Readonly<Record<string, number>>): Promise<void>;
  stop(): Promise<void>;
}

/** Starts the compiled simulator on a free port of 127.0.0.1. */
export async function startMockVendor(mode: Mode): Promise<RunningVendor> {
  const dir = await mkdtemp(path.join(tmpdir(), 'riposte-vendor-'));
  const file = path.join(dir, 'ledger.jsonl');
  const child = fork(SCRIPT, ['--mode', mode, '--ledger', file], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const [{ port }] = (await once(child, 'message')) as [{ readonly port: number }];
  const baseUrl = `http://127.0.0.1:${port}`;
  return {
    baseUrl,
    ledger: () => readLedger(file),
    async behave(shares) {
      await fetch(`${baseUrl}/behaviour`, { method: 'PUT', body: JSON.stringify(shares) });
    },
    async stop() {
      const exit = once(child, 'exit');
      child.kill();
      await exit;
      await rm(dir, { recursive: true, force: true });
    },
  };
}
