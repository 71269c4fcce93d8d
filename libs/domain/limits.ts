/** What a caller may still do. */
export interface Allowance {
  readonly allowed: boolean;
  /** Requests at once, at most. */
  readonly limit: number;
  /** Of these, how many are left now. */
  readonly remaining: number;
  /** Milliseconds: of one who was allowed until all of them are back, of one who was refused until the next may come. */
  readonly waitMs: number;
}

/** How often somebody may ask. */
export interface RateLimit {
  /** Takes one request from the allowance of this key; a refusal takes nothing. Never fails, and never waits for long. */
  take(key: string): Promise<Allowance>;
}

/** Who decides whether a provider instance may be given one more action. */
export interface Admission {
  /**
   * Counts one more action of the instance, before it is written.
   * @throws OperationalError `tooManyRequests` when as many wait as may
   */
  admit(instance: string): Promise<void>;
}

/** Where the actions that wait are counted. */
export interface WaitingCounter {
  /**
   * How many actions of the instance have not been started; `atMost` when there are more.
   * @throws the database's error, within about a second
   */
  countWaiting(instance: string, atMost: number): Promise<number>;
}
