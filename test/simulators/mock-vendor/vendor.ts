import { randomUUID } from 'node:crypto';
import type { Ledger } from './ledger.js';

export type Mode = 'key' | 'natural' | 'lookup' | 'none';

export interface Submission {
  readonly key: string;
  readonly action: string;
  readonly target: string;
  readonly durationMs: number;
}

interface Operation extends Submission {
  readonly operationId: string;
  endsAt: number;
  /** False: what it was to bring about was so already. */
  readonly changed: boolean;
  cancelled: boolean;
}

/** What is to be undone, by whom. */
export type Undoing = Pick<Submission, 'key' | 'action' | 'target'>;

/** The vendor's own state and rules; nothing of HTTP. */
export class Vendor {
  readonly #operations = new Map<string, Operation>();
  readonly #byKey = new Map<string, Operation>();
  readonly #byTarget = new Map<string, Operation>();
  readonly #tombstones = new Set<string>();
  readonly #inPlace = new Set<string>();
  /** What an undoing came to, by its key. */
  readonly #undone = new Map<string, boolean>();

  constructor(
    readonly mode: Mode,
    readonly ledger: Ledger,
  ) {}

  /** Null: the key was cancelled, and will never be carried out. */
  submit(submission: Submission): Operation | null {
    const { key, action, target, durationMs } = submission;
    if (this.#tombstones.has(key)) return null;
    const known =
      this.mode === 'key'
        ? this.#byKey.get(key)
        : this.mode === 'natural'
          ? this.#byTarget.get(effectOf(submission))
          : undefined;
    // Asked for by another key, it was brought about before.
    if (known !== undefined && !known.cancelled)
      return known.key === key ? known : { ...known, changed: false };
    const operation: Operation = {
      ...submission,
      operationId: randomUUID(),
      endsAt: Date.now() + durationMs,
      changed: !this.isInPlace(submission),
      cancelled: false,
    };
    this.#inPlace.add(effectOf(submission));
    this.ledger.write({ event: 'executed', key, operationId: operation.operationId, action, target });
    this.#operations.set(operation.operationId, operation);
    this.#byKey.set(key, operation);
    this.#byTarget.set(effectOf(submission), operation);
    return operation;
  }

  /** As somebody else would have brought it about: no effect of ours. */
  putInPlace(effect: Pick<Submission, 'action' | 'target'>): void {
    this.#inPlace.add(effectOf(effect));
  }

  /** Ends the work now, well; false where it had ended or was cancelled. */
  finish(operationId: string): boolean {
    const operation = this.#operations.get(operationId);
    if (operation === undefined || operation.cancelled || Date.now() >= operation.endsAt) return false;
    operation.endsAt = 0;
    return true;
  }

  isInPlace(effect: Pick<Submission, 'action' | 'target'>): boolean {
    return this.#inPlace.has(effectOf(effect));
  }

  /** True when there was something to undo; the same of a repeat. */
  undo(undoing: Undoing): boolean {
    const { key, action, target } = undoing;
    const before = this.#undone.get(key);
    if (before !== undefined) return before;
    const changed = this.#inPlace.delete(effectOf(undoing));
    this.#undone.set(key, changed);
    // The next one is no repeat of what was undone.
    this.#byTarget.delete(effectOf(undoing));
    if (changed) this.ledger.write({ event: 'undone', key, action, target });
    return changed;
  }

  find(operationId: string): Operation | null {
    return this.#operations.get(operationId) ?? null;
  }

  findByTag(key: string): Operation | null {
    return this.mode === 'lookup' ? (this.#byKey.get(key) ?? null) : null;
  }

  cancel(by: { readonly operationId?: string; readonly key?: string }): 'cancelled' | 'tooLate' | 'notFound' {
    const operation =
      by.operationId === undefined ? this.#byKey.get(by.key ?? '') : this.#operations.get(by.operationId);
    if (operation === undefined) {
      if (by.key === undefined) return 'notFound';
      if (!this.#tombstones.has(by.key)) this.ledger.write({ event: 'refusedEver', key: by.key });
      this.#tombstones.add(by.key);
      return 'cancelled';
    }
    if (operation.cancelled) return 'cancelled';
    if (Date.now() >= operation.endsAt) return 'tooLate';
    operation.cancelled = true;
    if (operation.changed) this.#inPlace.delete(effectOf(operation));
    this.#tombstones.add(operation.key);
    const { key, operationId, action, target } = operation;
    this.ledger.write({ event: 'cancelled', key, operationId, action, target });
    return 'cancelled';
  }
}

function effectOf({ action, target }: Pick<Submission, 'action' | 'target'>): string {
  return `${action} ${target}`;
}

/** An operation as the vendor shows it. */
export function shown(operation: Operation) {
  const remainingMs = Math.max(0, operation.endsAt - Date.now());
  return {
    operationId: operation.operationId,
    status: operation.cancelled ? 'cancelled' : remainingMs === 0 ? 'completed' : 'running',
    remainingMs,
    changed: operation.changed,
    progress: operation.durationMs === 0 ? 100 : Math.floor(100 * (1 - remainingMs / operation.durationMs)),
  };
}
