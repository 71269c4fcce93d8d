import { BulkheadRejectedError, bulkhead, type BulkheadPolicy } from 'cockatiel';
import { OperationalError } from '#domain';

/**
 * Reads at the same time: of what has to be looked for, those of one tenant and of all; of what an index answers,
 * all. Their pages have to fit into the memory of the process together.
 */
const AT_ONCE = { tenant: 2, long: 4, short: 8 } as const;
/** Far more than come in the time that they may wait. */
const MOST_WAITING = 2000;
/** Milliseconds that a read waits for its turn. */
const DEFAULT_BEGIN_WITHIN_MS = 5000;
const RETRY_AFTER_SECONDS = 2;

/**
 * Lets lists and counts in only a few at a time. Those that may look through many records leave connections and the
 * database's processors to the writes, and one tenant's leave some to the others. Of one process: each has its own.
 */
export class ReadTurns {
  readonly #short = bulkhead(AT_ONCE.short, MOST_WAITING);
  readonly #long = bulkhead(AT_ONCE.long, MOST_WAITING);
  readonly #ofTenants = new Map<string, BulkheadPolicy>();

  /** @param beginWithinMs milliseconds that a read waits for its turn; default 5,000 */
  constructor(private readonly beginWithinMs = DEFAULT_BEGIN_WITHIN_MS) {}

  /**
   * Reads what an index answers.
   * @throws OperationalError `tooManyRequests` when its turn comes too late
   */
  short<T>(read: () => Promise<T>): Promise<T> {
    return inTurn(this.#short, performance.now() + this.beginWithinMs, read);
  }

  /**
   * Reads what has to be looked for among a tenant's actions.
   * @throws OperationalError `tooManyRequests` when its turn comes too late
   */
  async long<T>(tenantId: string, read: () => Promise<T>): Promise<T> {
    const ofTenant = this.#ofTenants.get(tenantId) ?? bulkhead(AT_ONCE.tenant, MOST_WAITING);
    this.#ofTenants.set(tenantId, ofTenant);
    const beginBy = performance.now() + this.beginWithinMs;
    try {
      return await inTurn(ofTenant, beginBy, () => inTurn(this.#long, beginBy, read));
    } finally {
      if (ofTenant.executionSlots === AT_ONCE.tenant && ofTenant.queueSlots === MOST_WAITING)
        this.#ofTenants.delete(tenantId);
    }
  }
}

async function inTurn<T>(turns: BulkheadPolicy, beginBy: number, read: () => Promise<T>): Promise<T> {
  const waits = turns.executionSlots === 0;
  try {
    return await turns.execute(() => {
      if (waits && performance.now() > beginBy) throw tooMany();
      return read();
    });
  } catch (cause) {
    throw cause instanceof BulkheadRejectedError ? tooMany(cause) : cause;
  }
}

function tooMany(cause?: unknown): OperationalError {
  return new OperationalError(
    'tooManyRequests',
    'Too many lists and counts are asked for at the same time. Ask for fewer at once, or for such as an index answers: by createdDateTime, lastActionDateTime or status.',
    RETRY_AFTER_SECONDS,
    { cause },
  );
}
