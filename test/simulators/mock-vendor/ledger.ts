import { fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';

/** One effect at the vendor. */
export interface LedgerEntry {
  readonly event: 'executed' | 'cancelled';
  readonly key: string;
  readonly operationId: string;
  readonly action: string;
  readonly target: string;
  readonly at: string;
}

/** The append-only record of effects: on disk before anybody is told. */
export class Ledger {
  readonly #file: number;

  constructor(file: string) {
    this.#file = openSync(file, 'a');
  }

  write(entry: Omit<LedgerEntry, 'at'>): void {
    writeSync(this.#file, `${JSON.stringify({ ...entry, at: new Date().toISOString() })}\n`);
    fsyncSync(this.#file);
  }
}

export function readLedger(file: string): readonly LedgerEntry[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LedgerEntry);
}
