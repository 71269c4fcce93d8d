/**
 * One key that other keys are wrapped with. It may be in the process (`LocalKey`), or in a key service that never gives
 * it out: implement this with the service's encrypt and decrypt, and give it to a `KeyRing`.
 */
export interface KeyWrapper {
  /** Names the key in each record that it protects: 1 to 100 of A-Z, a-z, 0-9, `_` and `-`, for ever the same key. */
  readonly id: string;
  /**
   * Wraps a key of 32 bytes.
   * @throws OperationalError when the key service does not answer
   */
  wrap(key: Buffer): Promise<Buffer>;
  /**
   * What was wrapped.
   * @throws OperationalError when the key service does not answer; anything else means that it was not wrapped with this
   *   key, or was changed
   */
  unwrap(wrapped: Buffer): Promise<Buffer>;
}

/** The keys of an installation. */
export interface KeyRing {
  /** The one that seals. */
  readonly current: KeyWrapper;
  /** Those that only open what was sealed with them before. */
  readonly others: readonly KeyWrapper[];
}
