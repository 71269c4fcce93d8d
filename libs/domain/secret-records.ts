import type { StoredParameters } from './action.js';
import type { SealedPlace } from './secret-seal.js';

/** An action's parameters as they are stored, and what tells which of them are secret. */
export interface SecretRecord extends StoredParameters {
  readonly id: string;
  readonly tenantId: string;
  /** Id of the provider instance. */
  readonly instance: string;
  /** The manifest's name. */
  readonly actionName: string;
}

/** A key that the processes of an installation share: sealed, or in clear as an earlier version stored it. */
export interface SharedKeyRecord {
  readonly place: SealedPlace;
  readonly sealed: string | null;
  readonly clear: string | null;
}

/** What is sealed of a subscription or a webhook. */
export interface RecipientRecord {
  readonly place: SealedPlace;
  readonly sealed: string;
}

/** All that is stored sealed and stays. Questions are not among it: they are gone within minutes. */
export interface SecretRecords {
  /** Actions of all tenants by id, at most `limit`, those after the id `after`. */
  page(after: string | null, limit: number): Promise<readonly SecretRecord[]>;
  /**
   * Stores an action's parameters in another form; nothing else of it changes.
   * @returns false: its parameters, or itself, are not there any more as given
   */
  replace(before: SecretRecord, after: StoredParameters): Promise<boolean>;
  /** Subscriptions and webhooks of all tenants by id, at most `limit`, those after the id `after`. */
  recipients(after: string | null, limit: number): Promise<readonly RecipientRecord[]>;
  /** As `replace`, for a subscription or a webhook. */
  replaceRecipient(before: RecipientRecord, sealed: string): Promise<boolean>;
  sharedKeys(): Promise<readonly SharedKeyRecord[]>;
  /** As `replace`, for a shared key. */
  replaceSharedKey(before: SharedKeyRecord, sealed: string): Promise<boolean>;
  /** A new shared key, not stored. */
  newSharedKey(): string;
}
