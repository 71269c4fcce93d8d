import { fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';

/** One effect at the vendor. */
interface Effect {
  readonly event: 'executed' | 'cancelled';
  readonly key: string;
  readonly operationId: string;
  readonly action: string;
  readonly target: string;
}

/** A submission that a share of misbehaviour hit. Without an operation where it was not executed. */
interface Misbehaved {
  readonly event: 'misbehaved';
  readonly how: string;
  readonly key: string;
  readonly operationId?: string;
  readonly action: string;
  readonly target: string;
}

/** A key that was cancelled before it was ever executed, and never will be. */
interface RefusedEver {
  readonly event: 'refusedEver';
  readonly key: string;
}

/** An effect that was there, and is no more. */
interface Undone {
  readonly event: 'undone';
  readonly key: string;
  readonly action: string;
  readonly target: string;
}

type Fact = Effect | Misbehaved | RefusedEver | Undone;

/** What happened at the vendor, and when. */
export type LedgerEntry = Fact & { readonly at: string };

/** The append-only record of what happened: on disk before anybody is told. */
export class Ledger {
  readonly #file: number;

  constructor(file: string) {
    this.#file = openSync(file, 'a');
  }

  write(fact: Fact): void {
    writeSync(this.#file, `${JSON.stringify({ ...fact, at: new Date().toISOString() })}\n`);
    fsyncSync(this.#file);
  }
}

/** The record so far, oldest first. A last line that is still being written is left out. */
export function readLedger(file: string): readonly LedgerEntry[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as LedgerEntry);
}
