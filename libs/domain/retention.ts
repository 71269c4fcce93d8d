import type { ListPosition } from './ports.js';

/** Some of a tenant's old actions, oldest first. */
export interface ExpiredPage {
  /** Those that may be removed. */
  readonly ids: readonly string[];
  /** Where to go on; null: nothing older than the limit is left behind these. */
  readonly next: ListPosition | null;
}

/** A finished action as it is written to an archive. */
export interface ArchiveRecord {
  readonly id: string;
  readonly completedAt: Date;
  /** The whole record on one line, without a line end; `riposte import` reads it. */
  readonly line: string;
}

/** What removing finished actions needs of the database. Times are the database's own. */
export interface RetentionStore {
  /** The tenants that have actions. Costs as much as there are tenants, whatever they have. */
  tenants(): Promise<readonly string[]>;
  /**
   * Looks at up to `limit` of a tenant's actions that were created more than `keepMs` milliseconds ago, and names
   * those that also ended that long ago. An action that is open, or whose outcome is unknown and nobody has
   * resolved yet, or to which an idempotency key may still lead, is never among them; nor is one whose revert is open, or
   * the revert of one that is still on record.
   */
  expired(tenantId: string, keepMs: number, limit: number, after: ListPosition | null): Promise<ExpiredPage>;
  /** Reads the actions of these ids, one after the other. */
  records(tenantId: string, ids: readonly string[]): AsyncIterable<ArchiveRecord>;
  /** Removes those of these actions that still may be, as a majority holds; how many it were. */
  remove(tenantId: string, keepMs: number, ids: readonly string[]): Promise<number>;
}

/** Where removed actions are kept. */
export interface ActionArchive {
  /** For messages: where that is. */
  readonly place: string;
  /**
   * Writes the records to disk. A crash before their removal archives them again: an archive may hold an action
   * twice, and never lacks one that was removed.
   * @returns the ids, once they are on disk
   * @throws ArchiveError when it cannot be written
   */
  append(tenantId: string, records: AsyncIterable<ArchiveRecord>): Promise<readonly string[]>;
}

/** The archive cannot be written, so nothing may be removed. Names the path. */
export class ArchiveError extends Error {
  constructor(path: string, options: ErrorOptions) {
    super(`the archive ${path} cannot be written`, options);
    this.name = 'ArchiveError';
  }
}

/**
 * A lease on work that one process does for all. It is lost some time after a crash, and renewed by taking it
 * again. Its holder may have lost it without knowing, so the work has to be harmless in parallel.
 */
export interface SharedLease {
  /** True: it is ours for the next `ms` milliseconds. */
  take(owner: string, ms: number): Promise<boolean>;
  /** Gives it back if it is ours, so that another need not wait. */
  giveBack(owner: string): Promise<void>;
}
