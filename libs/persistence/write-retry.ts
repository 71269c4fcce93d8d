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
  MongoError,
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
/**
 * Milliseconds the server may work at what a try sends, its wait for a majority included: what it has not done when
 * the try is left alone must not come after what the next one did.
 */
const SERVER_MS = 5000;
/** The server's word for that. Whether a write was applied before is not said. */
const TIME_IS_UP = 50;

// Not writable primary, interrupted by a state change, shutdown in progress, write concern timed out, …:
// what the driver itself calls retryable, which it does once only.
const RETRYABLE_CODES = new Set([
  6,
  7,
  TIME_IS_UP,
  63,
  64,
  89,
  91,
  133,
  134,
  150,
  189,
  234,
  262,
  317,
  358,
  384,
  9001,
  10107,
  11600,
  11602,
  13388,
  13435,
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
  return error instanceof MongoError && /pool|topology|connection/i.test(error.message);
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

/** What bounds a write of one try, as options of the driver's: until then the server has done it, or will not. */
export interface Within {
  readonly maxTimeMS: number;
  /** Aborted when the try is left alone: what was not sent by then is not sent any more. */
  readonly signal: AbortSignal;
}

/** Milliseconds a call goes on repeating where nothing else is said: an election takes up to 12 s by default. */
export const DEFAULT_RETRY_BUDGET_MS = 12_000;

interface Repeating {
  /** An earlier call that did not come to an end may have written what this one is to write. Default false. */
  readonly mayBeSent?: boolean;
}

/**
 * Runs a database call that is safe to repeat, and repeats it while the failure is transient. A try begins no
 * later than `budgetMs` and is left alone after 6 s, so this takes no longer than both; what comes of it later is
 * found by id, epoch and owner like a lost answer. A write that must not come after its own repeat, and what followed
 * that, takes `within` as options. The driver's own retry is off: when it finds no server the
 * second time, it forgets that the first try was sent.
 *
 * @throws OperationalError (503) when no server was reachable, so that nothing can have been written
 * @throws WriteUnconfirmedError when at least one try may have reached a server, and nothing that came after it told
 *   what became of it
 */
export async function repeatable<T>(
  budgetMs: number,
  call: (isRepeat: boolean, within: Within) => Promise<T>,
  { mayBeSent = false }: Repeating = {},
): Promise<T> {
  const told = { sent: mayBeSent };
  try {
    return await repeating(budgetMs, call, told, isTransientMongoError);
  } catch (cause) {
    const passes = isTransientMongoError(cause);
    // What the database says of the last try, it does not say of one before it.
    if (told.sent && (passes || cause instanceof MongoError)) throw new WriteUnconfirmedError({ cause });
    throw passes ? unreachable(cause) : cause;
  }
}

/** Repeats a call while its failure passes by itself, and notes whether any try may have reached a server. */
async function repeating<T>(
  budgetMs: number,
  call: (isRepeat: boolean, within: Within) => Promise<T>,
  told: { sent: boolean },
  passes: (error: unknown) => boolean,
): Promise<T> {
  const until = performance.now() + budgetMs;
  let isRepeat = told.sent;
  const again = retry(
    handleWhen((error) => {
      if (!passes(error)) return false;
      if (!neverSent(error)) told.sent = true;
      return performance.now() < until;
    }),
    { maxAttempts: 1000, backoff: new ExponentialBackoff({ initialDelay: 50, maxDelay: 1000 }) },
  );
  const policy = wrap(again, timeout(TRY_MS, TimeoutStrategy.Aggressive));
  // A signal of its own: the library's default is shared, and Node warns of more than ten listeners on one.
  return policy.execute(async ({ signal }) => {
    const repeats = isRepeat;
    isRepeat = true;
    try {
      return await call(repeats, { maxTimeMS: SERVER_MS, signal });
    } catch (cause) {
      // The driver tells it in words of its own.
      if (signal.aborted) throw new TaskCancelledError('left alone');
      throw cause;
    }
  }, new AbortController().signal);
}

function unreachable(cause: unknown): OperationalError {
  return new OperationalError(
    'serviceNotAvailable',
    'The database cannot be reached. Nothing was recorded; try again.',
    5,
    { cause },
  );
}

/**
 * Runs a read, and repeats it as {@link repeatable} does; but not where the time is up that the read itself allows.
 *
 * @throws OperationalError (503) when the database gave no answer in `budgetMs`
 */
export async function repeatedRead<T>(budgetMs: number, read: () => Promise<T>): Promise<T> {
  const told = { sent: false };
  const passes = (error: unknown): boolean =>
    isTransientMongoError(error) && !(error instanceof MongoServerError && error.code === TIME_IS_UP);
  try {
    return await repeating(budgetMs, read, told, passes);
  } catch (cause) {
    if (!passes(cause)) throw cause;
    throw told.sent ? noAnswer('The database does not answer. Try again.', cause) : unreachable(cause);
  }
}

/**
 * Runs a write that whoever asked for it sees the result of, and may ask for again; and repeats it as
 * {@link repeatable} does.
 *
 * @throws OperationalError (503) when the database did not confirm it in `budgetMs`; it may have been written then
 */
export async function repeatedWrite<T>(
  budgetMs: number,
  write: (isRepeat: boolean, within: Within) => Promise<T>,
): Promise<T> {
  try {
    return await repeatable(budgetMs, write);
  } catch (cause) {
    if (!(cause instanceof WriteUnconfirmedError)) throw cause;
    const words = 'The database did not confirm what was to be written. See what is there, and try again.';
    throw noAnswer(words, cause);
  }
}

function noAnswer(words: string, cause: unknown): OperationalError {
  return new OperationalError('serviceNotAvailable', words, 5, { cause });
}
