/** What a sealed text belongs to. It opens there and nowhere else: not for another tenant, not for another record. */
export interface SealedPlace {
  readonly kind: 'action' | 'question' | 'sharedKey' | 'subscription' | 'webhook';
  /** Empty for what belongs to the installation. */
  readonly tenantId: string;
  readonly id: string;
}

/** Keeps from whoever reads a database, a dump of it or a backup what is secret in there. */
export interface SecretSeal {
  /**
   * One compact text without blanks, another one each time.
   * @throws OperationalError when the keys cannot be had for now
   */
  seal(text: string, place: SealedPlace): Promise<string>;
  /**
   * What was sealed.
   * @throws UnsealError when that can never be had again with the keys that this process has
   * @throws OperationalError when the keys cannot be had for now
   */
  open(sealed: string, place: SealedPlace): Promise<string>;
}

/** A `SecretSeal` whose keys change. */
export interface SecretKeys extends SecretSeal {
  /** Id of the key that seals. */
  readonly current: string;
  /** Ids of those that only open. */
  readonly others: readonly string[];
  /** Id of the key that a sealed text needs; null: it is none. */
  keyOf(sealed: string): string | null;
  /**
   * The same secret under the current key: what is sealed is not sealed anew, only the key to it. Another text each time.
   * @throws UnsealError, OperationalError as `open`
   */
  rewrap(sealed: string, place: SealedPlace): Promise<string>;
}

/** A sealed text cannot be opened, now or later. The message names the key, or says that it was changed; never what it holds. */
export class UnsealError extends Error {
  /** @param missingKey id of the key that it needs and that is not there; null: it was changed, or is another record's */
  constructor(
    readonly missingKey: string | null,
    options?: ErrorOptions,
  ) {
    super(
      missingKey === null
        ? 'what is sealed was changed, or belongs to another record'
        : `it is sealed with the key ${missingKey}, which is not among the keys here`,
      options,
    );
    this.name = 'UnsealError';
  }
}
