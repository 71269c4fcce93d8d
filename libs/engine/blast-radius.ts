import {
  OutcomeUnknownError,
  UserError,
  type BlastClass,
  type BlastCount,
  type BlastCounts,
  type Caller,
} from '#domain';
import type { Logger } from '#telemetry';

/** How many actions of a class an application may ask for in an hour; 0: as many as it likes. */
export type BlastLimits = Readonly<Record<BlastClass, number>>;

/** What is counted of a request. */
export interface BlastRequest {
  readonly caller: Caller;
  readonly actionId: string;
  /** Id of the provider instance. */
  readonly instance: string;
  /** Of its action; null: it is not limited. */
  readonly blastClass: BlastClass | null;
}

interface Limit {
  readonly key: string;
  readonly perHour: number;
  /** What an application's requests are counted together by, besides its class. */
  readonly scope: readonly string[];
}

/**
 * Keeps an application that has gone wild, or whose credentials somebody else has, from shutting off everything there
 * is. What lets go again is never limited, nor is what has no class.
 */
export class BlastRadius {
  readonly #counts: BlastCounts;
  readonly #limits: BlastLimits;
  readonly #ofInstances: ReadonlyMap<string, Partial<BlastLimits>>;
  readonly #log: Logger;

  constructor(parts: {
    readonly counts: BlastCounts;
    readonly limits: BlastLimits;
    /** Of provider instances that have limits, and so counts, of their own. Default none. */
    readonly ofInstances?: ReadonlyMap<string, Partial<BlastLimits>>;
    readonly log: Logger;
  }) {
    this.#counts = parts.counts;
    this.#limits = parts.limits;
    this.#ofInstances = parts.ofInstances ?? new Map();
    this.#log = parts.log;
  }

  /**
   * Records what is within the limit. What could not be recorded does not count.
   *
   * @throws UserError `accessDenied` past the limit, naming it, its key, and when there is room again; nothing was
   *   recorded
   * @throws whatever `record` throws, and OperationalError when it cannot be counted
   */
  async within<T>(request: BlastRequest, record: () => Promise<T>): Promise<T> {
    const { blastClass } = request;
    const limit = blastClass === null ? null : this.#limitOf(request.instance, blastClass);
    if (blastClass === null || limit === null) return record();
    const count = await this.#take(request, blastClass, limit);
    try {
      return await record();
    } catch (error) {
      // It may have been recorded.
      if (!(error instanceof OutcomeUnknownError)) await this.#giveBack(count);
      throw error;
    }
  }

  async #take({ caller, actionId }: BlastRequest, blastClass: BlastClass, limit: Limit): Promise<BlastCount> {
    const { key, perHour, scope } = limit;
    const { tenantId, appId } = caller;
    const of = [tenantId.toLowerCase(), appId.toLowerCase(), blastClass, ...scope];
    const count = { of, actionId, perHour };
    const free = await this.#counts.take(count);
    if (free === null) return count;
    this.#log.warn(
      { tenant: tenantId, appId, blastClass, perHour },
      'an application reached its blast radius',
    );
    throw new UserError(
      'accessDenied',
      `This application has asked for as many actions of the class "${blastClass}" as it may in an hour: ${perHour} (${key}). The next is possible at ${free.toISOString()}. Nothing was done. If so many are meant, an operator can raise ${key}.`,
    );
  }

  /** It counts for an hour at most where this fails. */
  async #giveBack(count: BlastCount): Promise<void> {
    await this.#counts
      .giveBack(count)
      .catch((error: unknown) =>
        this.#log.warn({ actionId: count.actionId, error: String(error) }, 'counted, and not recorded'),
      );
  }

  #limitOf(instance: string, blastClass: BlastClass): Limit | null {
    const own = this.#ofInstances.get(instance)?.[blastClass];
    const key = `limits.blastRadius.${blastClass}.perHour`;
    const limit =
      own === undefined
        ? { key, perHour: this.#limits[blastClass], scope: [] }
        : { key: `${key} of the provider instance "${instance}"`, perHour: own, scope: [instance] };
    return limit.perHour === 0 ? null : limit;
  }
}
