import { ExponentialBackoff, handleWhen, retry } from 'cockatiel';
import mongoose from 'mongoose';
import { OperationalError } from '#domain';

const { MongoNetworkError, MongoServerSelectionError, MongoServerError } = mongoose.mongo;

// Not writable primary, interrupted by a state change, shutdown in progress, write concern timed out, …:
// what the driver itself calls retryable, which it does once only.
const RETRYABLE_CODES = new Set([
  6, 7, 63, 64, 89, 91, 133, 134, 150, 189, 234, 262, 317, 358, 384, 9001, 10107, 11600, 11602, 13388, 13435,
  13436,
]);

/** True for failures that may pass by themselves: an election, a restart, a broken connection. */
export function isTransientMongoError(error: unknown): boolean {
  if (error instanceof MongoServerSelectionError || error instanceof MongoNetworkError) return true;
  if (error instanceof MongoServerError) {
    return (
      error.hasErrorLabel('RetryableWriteError') ||
      (typeof error.code === 'number' && RETRYABLE_CODES.has(error.code))
    );
  }
  // A pool cleared by a failing monitor, or a connection that went away while it was checked out.
  return error instanceof mongoose.mongo.MongoError && /pool|topology|connection/i.test(error.message);
}

/** Thrown when a write was sent and its fate is unknown. The caller knows which id it was about. */
export class WriteUnconfirmedError extends Error {
  constructor(options: ErrorOptions) {
    super('the database did not confirm a write', options);
    this.name = 'WriteUnconfirmedError';
  }
}

/**
 * Runs a database call that is safe to repeat, and repeats it while the failure is transient, for about
 * `budgetMs`. The driver retries once; an election takes longer.
 *
 * @throws OperationalError (503) when no server was reachable, so that nothing can have been written
 * @throws WriteUnconfirmedError when at least one try may have reached a server
 */
export async function repeatable<T>(budgetMs: number, call: (isRepeat: boolean) => Promise<T>): Promise<T> {
  const until = performance.now() + budgetMs;
  let sent = false;
  let repeats = 0;
  const policy = retry(
    handleWhen((error) => {
      if (!isTransientMongoError(error)) return false;
      if (!(error instanceof MongoServerSelectionError)) sent = true;
      return performance.now() < until;
    }),
    { maxAttempts: 1000, backoff: new ExponentialBackoff({ initialDelay: 50, maxDelay: 1000 }) },
  );
  try {
    return await policy.execute(() => call(repeats++ > 0));
  } catch (cause) {
    if (!isTransientMongoError(cause)) throw cause;
    if (sent) throw new WriteUnconfirmedError({ cause });
    throw new OperationalError(
      'serviceNotAvailable',
      'The database cannot be reached. Nothing was recorded; try again.',
      5,
      { cause },
    );
  }
}
