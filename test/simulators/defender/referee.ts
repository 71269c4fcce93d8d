import { LedgerFile } from '../ledger-file.js';

/** What happened at the vendor. */
export type Fact =
  /** A machine action was made. */
  | {
      readonly event: 'created';
      readonly type: string;
      readonly machineId: string;
      readonly actionId: string;
      readonly marker: string | null;
      readonly tenantId: string;
    }
  /** It came to its good end. `changed` is false where the machine was so before. */
  | {
      readonly event: 'applied';
      readonly type: string;
      readonly machineId: string;
      readonly actionId: string;
      readonly changed: boolean;
    }
  | {
      readonly event: 'cancelled';
      readonly type: string;
      readonly machineId: string;
      readonly actionId: string;
    }
  | {
      readonly event: 'indicatorSet' | 'indicatorRemoved';
      readonly indicatorType: string;
      readonly value: string;
      /** What it does now; of a removed one, what it did. */
      readonly action: string;
      /** False: it was just so before. */
      readonly changed: boolean;
      readonly marker: string | null;
      readonly tenantId: string;
    }
  /** Who asked for something with a marker was left in doubt about it. `After`, and with `garbage`, it was done. */
  | {
      readonly event: 'misbehaved';
      readonly how: string;
      readonly call: string;
      readonly marker: string;
    };

/** The counts that a test judges by. */
export interface Counts {
  /** Isolations that cut a machine off, by machine: more than one between two releases is a duplicate. */
  readonly isolations: Readonly<Record<string, number>>;
  /** Isolate actions made, by machine, whatever became of them. */
  readonly isolatesCreated: Readonly<Record<string, number>>;
  /** Machine actions made, by the marker in their comments; `-` for those without one. */
  readonly createdByMarker: Readonly<Record<string, number>>;
  /** Machine actions made, by type. */
  readonly createdByType: Readonly<Record<string, number>>;
  /** Machines that are isolated now. */
  readonly isolatedNow: readonly string[];
  /** Requests that were answered, by status; the cut ones and those that hang under 0. */
  readonly requests: Readonly<Record<string, number>>;
}

const MARKER = /\[riposte:([^\]\s]+)\]/g;

/** What stands in the last `[riposte:…]` of a comment or a description: callers' words come before it. Null without. */
export function markerOf(text: string): string | null {
  return [...text.matchAll(MARKER)].at(-1)?.[1] ?? null;
}

/** Remembers what happened, and writes it to a file, on disk before the answer, where there is one. */
export class Referee {
  #facts: Fact[] = [];
  #requests = new Map<number, number>();
  readonly #file: LedgerFile<Fact> | null;

  constructor(ledgerFile?: string) {
    this.#file = ledgerFile === undefined ? null : new LedgerFile(ledgerFile);
  }

  note(fact: Fact): void {
    this.#facts.push(fact);
    this.#file?.write(fact);
  }

  answered(status: number): void {
    this.#requests.set(status, (this.#requests.get(status) ?? 0) + 1);
  }

  get facts(): readonly Fact[] {
    return this.#facts;
  }

  counts(isolatedNow: readonly string[]): Counts {
    const created = this.#facts.filter((fact) => fact.event === 'created');
    const applied = this.#facts.filter((fact) => fact.event === 'applied');
    return {
      isolations: tally(
        applied.filter(({ type, changed }) => type === 'Isolate' && changed).map((fact) => fact.machineId),
      ),
      isolatesCreated: tally(created.filter(({ type }) => type === 'Isolate').map((fact) => fact.machineId)),
      createdByMarker: tally(created.map(({ marker }) => marker ?? '-')),
      createdByType: tally(created.map(({ type }) => type)),
      isolatedNow,
      requests: Object.fromEntries(this.#requests),
    };
  }

  /** Forgets what it remembers; the file stays. */
  reset(): void {
    this.#facts = [];
    this.#requests.clear();
  }
}

function tally(names: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
