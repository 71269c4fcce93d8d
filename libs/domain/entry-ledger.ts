/**
 * Who wants which entry in the lists of a device (a firewall's sets, a resolver's zones, a feed), and what was written
 * to it. A block is a lease: several actions may own one entry, and it goes when the last of them leaves.
 */

/** What was last noted of an entry on the device itself. */
export type EntryWritten =
  /** Nothing of ours is there. */
  | 'no'
  /** A write was about to be made: if it is there, it is ours. */
  | 'intended'
  | 'yes'
  /** It was there before us, and is not ours to remove. */
  | 'foreign';

/** An action that wants an entry to be there. */
export interface EntryOwner {
  readonly actionId: string;
  readonly tenantId: string;
  /** When it wants it no longer; null: until it is released. */
  readonly until: Date | null;
  /** What it wants the entry to be, where entries of one value can differ: any text, for the plugin to read. */
  readonly form?: string;
}

/** What an owner wants an entry to be. */
export interface WantedForm extends EntryOwner {
  readonly form: string;
  /** Its action has had its effect. */
  readonly isSettled: boolean;
}

/** An owner whose action is under way. */
export interface NewOwner extends EntryOwner {
  /** Milliseconds after which it is none, unless it was settled: an action that failed must not be carried out later. */
  readonly claimMs: number;
}

/** An entry that an action has come to own. */
export interface Held {
  readonly revision: number;
  /** Another action that has had its effect owns it, too: it is there whether this one is carried out or not. */
  readonly isShared: boolean;
}

/** An entry as it is wanted, and as it was written. */
export interface LedgerEntry {
  /** Canonical. */
  readonly value: string;
  /** Owners whose time is not over. None: it is not wanted. */
  readonly owners: number;
  /** Those of them whose actions have had their effect. None: it is the actions' own to write it. */
  readonly settled: number;
  /** Milliseconds until the last owner's time is over, by the database's clock; null: no end. */
  readonly leftMs: number | null;
  /** Raised by every change of its owners. */
  readonly revision: number;
  readonly written: EntryWritten;
  /** Since when it is `yes`, and wanted without a gap; null or absent: it is not, or that is not kept. */
  readonly writtenAt?: Date | null;
  /** Of those owners that gave one, whoever held it first first. */
  readonly forms: readonly WantedForm[];
}

/** One that fetches a list which is published, as it came last. */
export interface ListReader {
  /** By which it gave itself out. */
  readonly name: string | null;
  readonly address: string;
  readonly fetchedAt: Date;
  /** The latest `writtenAt` in what it got: it has all entries up to that. Null: it got an empty list. */
  readonly hasUpTo: Date | null;
}

/** What is known of an entry on the device, noted by the list's only writer. */
export interface EntryNote {
  readonly value: string;
  /** As it was read; a newer one keeps the entry due. */
  readonly revision: number;
  readonly written: EntryWritten;
}

/** A list of whose entries this is the only writer among all workers. */
export interface HeldList {
  /** Aborted when another may write: then write nothing more. */
  readonly signal: AbortSignal;
  /** All entries that are wanted or were written. */
  entries(): Promise<readonly LedgerEntry[]>;
  /** Durable when it resolves. One whose owners have all left and of which nothing is there is forgotten in time. */
  note(notes: readonly EntryNote[]): Promise<void>;
}

/** The entries of one provider instance. Kept durably; shared by all workers. */
export interface EntryLedger {
  /**
   * Makes an action that is under way an owner. To repeat it changes its time only; an action that was released stays so.
   * @returns null where the action was released before
   */
  hold(list: string, value: string, owner: NewOwner): Promise<Held | null>;
  /** The action has had its effect: it is an owner until its time is over or it is released. */
  settle(list: string, value: string, actionId: string): Promise<void>;
  /**
   * Takes owners away: one action, or all of a tenant.
   * @returns how many owners left and how many stay
   */
  release(
    list: string,
    value: string,
    whose: { readonly actionId: string } | { readonly tenantId: string },
  ): Promise<{ readonly left: number; readonly stay: number }>;
  /** One entry; null where nobody wants it and nothing was written. */
  entry(list: string, value: string): Promise<LedgerEntry | null>;
  /** Names of the lists that have entries. */
  lists(): Promise<readonly string[]>;
  /** All entries that are wanted or were written, with the lists they are in. */
  all(): Promise<readonly (LedgerEntry & { readonly list: string })[]>;
  /** Who fetched a list that is published in the last 30 days, at most 1,000, the latest first. */
  readers(list: string): Promise<readonly ListReader[]>;
  /**
   * What the device calls entries that it cannot be asked for, such as the numbers of its rules: by value, as they were
   * kept last.
   */
  handles(list: string): Promise<ReadonlyMap<string, string>>;
  /** Keeps it durably, by the list's only writer; null forgets it. Of an entry that nobody ever held, nothing is kept. */
  keepHandle(list: string, value: string, handle: string | null): Promise<void>;
  /**
   * Runs the work as the only writer of this list, as soon as no other is.
   * @throws the signal's reason when it is aborted before its turn
   */
  asOnlyWriter<T>(list: string, signal: AbortSignal, work: (held: HeldList) => Promise<T>): Promise<T>;
}
