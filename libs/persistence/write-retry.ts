import {
  ExponentialBackoff,
  TaskCancelledError,
  TimeoutStrategy,
  handleWhen,
  retry,
  timeout,
  wrap,
} from 'cockatiel';
import mongoose from 'mongoose';
import { OperationalError } from '#domain';

const {
  MongoErrorLabel,
  MongoNetworkError,
  MongoServerError,
  MongoServerSelectionError,
  MongoWriteConcernError,
} = mongoose.mongo;

/**
 * Milliseconds one try has: enough for the driver to say that no server is there (5 s). Its own timeouts do not
 * cover all: a command whose connection closes while it is being written waits for ever (driver 7.8).
 */
const TRY_MS = 6000;

// Not writable primary, interrupted by a state change, shutdown in progress, write concern timed out, …:
// what the driver itself calls retryable, which it does once only.
const RETRYABLE_CODES = new Set([
  6, 7, 63, 64, 89, 91, 133, 134, 150, 189, 234, 262, 317, 358, 384, 9001, 10107, 11600, 11602, 13388, 13435,
  13436,
]);

/**
 * True for failures that may pass by themselves: an election, a restart, a broken connection, and whatever kept
 * a write that was applied from being confirmed by a majority.
 */
export function isTransientMongoError(error: unknown): boolean {
  if (error instanceof MongoServerSelectionError || error instanceof MongoNetworkError) return true;
  if (error instanceof MongoWriteConcernError || error instanceof TaskCancelledError) return true;
  if (error instanceof MongoServerError) {
    return (
      error.hasErrorLabel('RetryableWriteError') ||
      (typeof error.code === 'number' && RETRYABLE_CODES.has(error.code))
    );
  }
  // A pool cleared by a failing monitor, or a connection that went away while it was checked out.
  return error instanceof mongoose.mongo.MongoError && /pool|topology|connection/i.test(error.message);
}

/** True when the call cannot have reached a server: none was found, or no connection to it was got. */
function neverSent(error: unknown): boolean {
  if (error instanceof MongoServerSelectionError) return true;
  if (error instanceof MongoNetworkError && NO_HANDSHAKE.some((label) => error.hasErrorLabel(label)))
    return true;
  return error instanceof Error && NO_CONNECTION.has(error.name);
}

/** What the driver labels a connection that could not be made, or broke before a command could be sent on it. */
const NO_HANDSHAKE = [MongoErrorLabel.SystemOverloadedError, MongoErrorLabel.HandshakeError];
/** Given by the pool to those who wait for a connection; those who use one get `MongoPoolClearedOnNetworkError`. */
const NO_CONNECTION = new Set(['MongoPoolClearedError', 'MongoWaitQueueTimeoutError']);

/** Thrown when a write was sent and its fate is unknown. The caller knows which id it was about. */
export class WriteUnconfirmedError extends Error {
  constructor(options: ErrorOptions) {
    super('the database did not confirm a write', options);
    this.name = 'WriteUnconfirmedError';
  }
}

/** Milliseconds a call goes on repeating where nothing else is said: an election takes up to 12 s by default. */
export const DEFAULT_RETRY_BUDGET_MS = 12_000;

/**
 * Runs a database call that is safe to repeat, and repeats it while the failure is transient. A try begins no
 * later than `budgetMs` and is left alone after 6 s, so this takes no longer than both; what comes of it later is
 * found by id, epoch and owner like a lost answer. The driver's own retry is off: when it finds no server the
 * second time, it forgets that the first try was sent.
 *
 * @throws OperationalError (503) when no server was reachable, so that nothing can have been written
 * @throws WriteUnconfirmedError when at least one try may have reached a server
 */
export async function repeatable<T>(budgetMs: number, call: (isRepeat: boolean) => Promise<T>): Promise<T> {
  const until = performance.now() + budgetMs;
  let sent = false;
  let repeats = 0;
  const repeating = retry(
    handleWhen((error) => {
      if (!(error instanceof TaskCancelledError) && !isTransientMongoError(error)) return false;
      if (!neverSent(error)) sent = true;
      return performance.now() < until;
    }),
    { maxAttempts: 1000, backoff: new ExponentialBackoff({ initialDelay: 50, maxDelay: 1000 }) },
  );
  const policy = wrap(repeating, timeout(TRY_MS, TimeoutStrategy.Aggressive));
  try {
    // A signal of its own: the library's default is shared, and Node warns of more than ten listeners on one.
    return await policy.execute(() => call(repeats++ > 0), new AbortController().signal);
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

/**
 * Runs a read, and repeats it as {@link repeatable} does.
 *
 * @throws OperationalError (503) when the database gave no answer in `budgetMs`
 */
export function repeatedRead<T>(budgetMs: number, read: () => Promise<T>): Promise<T> {
  return answered(repeatable(budgetMs, read), 'The database does not answer. Try again.');
}

/**
 * Runs a write that whoever asked for it sees the result of, and may ask for again; and repeats it as
 * {@link repeatable} does.
 *
 * @throws OperationalError (503) when the database did not confirm it in `budgetMs`; it may have been written then
 */
export function repeatedWrite<T>(budgetMs: number, write: (isRepeat: boolean) => Promise<T>): Promise<T> {
  const words = 'The database did not confirm what was to be written. See what is there, and try again.';
  return answered(repeatable(budgetMs, write), words);
}

async function answered<T>(answer: Promise<T>, words: string): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    if (!(cause instanceof WriteUnconfirmedError)) throw cause;
    throw new OperationalError('serviceNotAvailable', words, 5, { cause });
  }
}
