import type { FastifyRequest } from 'fastify';
import type { AuditActor, AuditRecorder, NewAuditEvent } from '#audit';
import { OperationalError, RiposteError } from '#domain';
import type { Logger } from '#telemetry';
import { callerOf } from '../auth.guard.js';

const RETRY_AFTER_SECONDS = 5;
const NOT_DONE = 'It was not done, for it could not be recorded in the audit record. Try again.';

/** What somebody asks for, as it is recorded. */
export type Doing = Omit<NewAuditEvent, 'by'>;

/**
 * Records what people and applications do that no action's own history tells. It is on record before it is done: what
 * cannot be recorded is not done, and the caller hears 503.
 */
export class AuditTrail {
  readonly #recorder: AuditRecorder;
  readonly #log: Logger;

  constructor(recorder: AuditRecorder, log: Logger) {
    this.#recorder = recorder;
    this.#log = log;
  }

  /** @throws OperationalError (503) when it could not be recorded */
  note(by: AuditActor, ...events: readonly Doing[]): Promise<void> {
    return this.#record(by, events, NOT_DONE);
  }

  /**
   * As {@link note}, of what is done already.
   * @param unrecorded what the caller is told where it could not be recorded
   */
  noteDone(by: AuditActor, unrecorded: string, event: Doing): Promise<void> {
    return this.#record(by, [event], unrecorded);
  }

  /** As {@link note}, but what it tells of happens all the same: where something else tells of it, too. */
  async noteIfPossible(by: AuditActor, ...events: readonly Doing[]): Promise<void> {
    await this.note(by, ...events).catch((error: unknown) =>
      this.#log.error({ err: error, kinds: events.map(({ kind }) => kind) }, 'could not be recorded'),
    );
  }

  /**
   * Records that the caller does something, then does it. Where that fails, a second entry of the same kind says so:
   * `details.failed` has the error's code.
   * @throws OperationalError (503) when it could not be recorded, and was not done; else what `work` throws
   */
  async doing<T>(request: FastifyRequest, event: Doing, work: () => Promise<T>): Promise<T> {
    const by = actorOf(request);
    await this.note(by, event);
    try {
      return await work();
    } catch (error) {
      const failed = error instanceof RiposteError ? error.code : 'generalException';
      await this.noteIfPossible(by, { ...event, details: { ...event.details, failed } });
      throw error;
    }
  }

  async #record(by: AuditActor, events: readonly Doing[], unrecorded: string): Promise<void> {
    await this.#recorder.record(events.map((event) => ({ ...event, by }))).catch((cause: unknown) => {
      throw new OperationalError('serviceNotAvailable', unrecorded, RETRY_AFTER_SECONDS, { cause });
    });
  }
}

/** The caller of a guarded route. */
export function actorOf(request: FastifyRequest): AuditActor {
  const { appId, user } = callerOf(request);
  return { appId, user, address: request.ip };
}
