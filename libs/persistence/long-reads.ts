import { BulkheadRejectedError, bulkhead, type BulkheadPolicy } from 'cockatiel';
import { OperationalError } from '#domain';

/** Reads at the same time: of one tenant, and of all together. */
const AT_ONCE = { tenant: 2, all: 4 } as const;
/** Far more than come in the time that they may wait. */
const MOST_WAITING = 2000;
/** Milliseconds that a read waits for its turn. */
const DEFAULT_BEGIN_WITHIN_MS = 5000;
const RETRY_AFTER_SECONDS = 2;

/**
 * Lets reads that may look through many records in only a few at a time, so that they leave connections and the
 * database's processors to the writes, and one tenant's leave some to the others. Of one process: each has its own.
 */
export class LongReads {
  readonly #all = bulkhead(AT_ONCE.all, MOST_WAITING);
  readonly #ofTenants = new Map<string, BulkheadPolicy>();

  /** @param beginWithinMs milliseconds that a read waits for its turn; default 5,000 */
  constructor(private readonly beginWithinMs = DEFAULT_BEGIN_WITHIN_MS) {}

  /**
   * Reads when it is the tenant's turn.
   * @throws OperationalError `tooManyRequests` when that takes too long
   */
  async run<T>(tenantId: string, read: () => Promise<T>): Promise<T> {
    const ofTenant = this.#ofTenants.get(tenantId) ?? bulkhead(AT_ONCE.tenant, MOST_WAITING);
    this.#ofTenants.set(tenantId, ofTenant);
    const beginBy = performance.now() + this.beginWithinMs;
    const inTime = <R>(begin: () => Promise<R>): Promise<R> => {
      if (performance.now() > beginBy) throw tooMany();
      return begin();
    };
    try {
      return await ofTenant.execute(() => inTime(() => this.#all.execute(() => inTime(read))));
    } catch (cause) {
      throw cause instanceof BulkheadRejectedError ? tooMany(cause) : cause;
    } finally {
      if (ofTenant.executionSlots === AT_ONCE.tenant && ofTenant.queueSlots === MOST_WAITING)
        this.#ofTenants.delete(tenantId);
    }
  }
}

function tooMany(cause?: unknown): OperationalError {
  return new OperationalError(
    'tooManyRequests',
    'Too many lists and counts that have to be looked for were asked for at the same time. Ask for fewer at once, or for such as an index answers: by createdDateTime, lastActionDateTime or status.',
    RETRY_AFTER_SECONDS,
    { cause },
  );
}
