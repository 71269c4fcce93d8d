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
   * Counts one more action of the instance, before it is written. It may have to wait for up to a second.
   * @param tenantId of who wants it: none may have all of what may wait, where others want some
   * @param isWanted asked after a wait: whether anybody still listens. Default: always
   * @throws OperationalError `tooManyRequests` when as many wait as may, too many of them the tenant's, or when nobody
   *   wants it any more
   */
  admit(instance: string, tenantId: string, isWanted?: () => boolean): Promise<void>;
}

/** An action that counts where only so many may be asked for in an hour. */
export interface BlastCount {
  /** What is counted together, such as a tenant's application and a class of actions; no two mean the same. */
  readonly of: readonly string[];
  readonly actionId: string;
  /** How many there may be in any hour. At least 1. */
  readonly perHour: number;
}

/** What applications have asked for in the last hour, counted strictly, by all processes together. */
export interface BlastCounts {
  /**
   * Counts the action where there is room for it. Safe to repeat: an action counts once.
   * @returns null when it is counted; else when there is room again
   * @throws OperationalError when the database cannot be reached in time
   */
  take(count: BlastCount): Promise<Date | null>;
  /** Counts it no more, for it was not recorded. */
  giveBack(count: BlastCount): Promise<void>;
}

/** Where the actions that wait are counted. */
export interface WaitingCounter {
  /**
   * How many actions of the instance have not been started; `atMost` when there are more.
   * @throws the database's error, within about a second
   */
  countWaiting(instance: string, atMost: number): Promise<number>;
}
