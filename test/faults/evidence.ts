import type { SecurityAction } from '#domain';
import type { AuditBreak } from './audit-breaks.js';
import type { Mode } from './modes.js';

/** What a campaign saw, and what its verdict rests on. Times are milliseconds of this machine's wall clock. */
export interface Evidence {
  readonly creations: readonly Creation[];
  readonly cancels: readonly CancelAnswered[];
  readonly faults: readonly FaultRecord[];
  /** Every record in the database at the end. */
  readonly records: readonly SecurityAction[];
  readonly recoveries: readonly Recovery[];
  /** What first stood in a record that was seen final. */
  readonly firstFinals: ReadonlyMap<string, FinalView>;
  readonly ledger: readonly Effect[];
  /** Ids that another tenant was shown. */
  readonly leaked: readonly string[];
  /** What is wrong with the audit record. */
  readonly auditBreaks: readonly AuditBreak[];
}

/** One request to create, whatever came of it. */
export interface Creation {
  readonly sentAt: number;
  readonly ms: number;
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** Set when it was acknowledged: 201. */
  readonly id: string | null;
  readonly tenant: string;
  readonly mode: Mode;
  /** The action's name. */
  readonly name: string;
  readonly problem?: string;
}

/** An answered cancel. */
export interface CancelAnswered {
  readonly id: string;
  readonly answeredAt: number;
  readonly status: number;
}

/** What a fault hits. */
export type FaultKind = 'worker' | 'api' | 'redis' | 'mongo' | 'network' | 'vendor' | 'client' | 'all';

/** A fault that was caused. */
export interface FaultRecord {
  readonly number: number;
  /** F1 … F21. */
  readonly id: string;
  readonly kind: FaultKind;
  readonly what: string;
  readonly beganAt: number;
  readonly healedAt: number;
}

export type FinalView = Pick<SecurityAction, 'status' | 'phase'> & {
  readonly code: number | null;
  readonly completedAt: number;
};

/** A line of a vendor's ledger. */
export interface Effect {
  readonly event: 'executed' | 'cancelled' | 'misbehaved' | 'refusedEver' | 'undone';
  readonly key: string;
  readonly at: number;
}

/** An action that a fault held up, until it was claimed again or ended. */
export interface Recovery {
  /** The fault's. */
  readonly number: number;
  readonly label: string;
  readonly from: number;
  readonly at: number;
}
