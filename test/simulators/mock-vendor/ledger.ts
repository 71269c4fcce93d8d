import { LedgerFile, readLedgerFile } from '../ledger-file.js';

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

/** The referee's record of what happened. */
export type Ledger = LedgerFile<Fact>;

export function openLedger(file: string): Ledger {
  return new LedgerFile(file);
}

/** The record so far, oldest first. A last line that is still being written is left out. */
export function readLedger(file: string): readonly LedgerEntry[] {
  return readLedgerFile(file) as readonly LedgerEntry[];
}
