const BASE_MS = 1000;
const CAP_MS = 60_000;
const RETRY_AFTER_LEAST_MS = 1000;
const RETRY_AFTER_MOST_MS = 3_600_000;

/** Calls of `execute` that may fail transiently before the action fails; the vendor's 429 does not count. */
export const MAX_ATTEMPTS = 8;

/**
 * Milliseconds before the next attempt: full jitter over an exponentially growing window (1 s, 2 s, … 60 s), on
 * top of what the vendor asked for (its `Retry-After`, clamped to 1 s … 1 h).
 * See https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
 *
 * @param attempt number of the attempt that failed, from 1
 * @param random uniform in [0, 1)
 */
export function retryDelayMs(
  attempt: number,
  retryAfterMs: number | null,
  random: () => number = Math.random,
): number {
  const jitter = random() * Math.min(CAP_MS, BASE_MS * 2 ** Math.max(0, attempt - 1));
  if (retryAfterMs === null) return Math.round(jitter);
  const asked = Math.min(RETRY_AFTER_MOST_MS, Math.max(RETRY_AFTER_LEAST_MS, retryAfterMs));
  return Math.round(asked + Math.min(jitter, BASE_MS));
}
