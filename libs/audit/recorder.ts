import type { AuditEvent } from './entry.js';

/** Something that is about to be done, or that happened, to be recorded. */
export type NewAuditEvent = Pick<AuditEvent, 'chain' | 'kind' | 'by'> &
  Partial<Pick<AuditEvent, 'about' | 'details'>> & {
    /** Keeps what may be told again from being recorded twice. Default: one of its own. */
    readonly id?: string;
  };

/** The same with its id, and its time. */
export type RecordedEvent = NewAuditEvent & { readonly id: string; readonly at: string };

/** Takes into the record what no action's own history holds. */
export interface AuditRecorder {
  /**
   * Resolves once a majority has the events. What they tell of is done only then.
   * @throws OperationalError (503) when they could not be recorded: then it must not be done
   */
  record(events: readonly NewAuditEvent[]): Promise<void>;
}
