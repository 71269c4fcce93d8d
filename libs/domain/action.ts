/**
 * The securityAction and everything that may stand in its record.
 *
 * Names on the Graph surface follow Microsoft Graph (beta) `securityAction`; names Graph has no word for
 * (phase, epoch, intent, attempt) are explained in `libs/engine/README.md`.
 */

/** Graph's `operationStatus`. It only ever moves to the right, and never leaves the last two. */
export const STATUSES = ['NotStarted', 'Running', 'Completed', 'Failed'] as const;
export type ActionStatus = (typeof STATUSES)[number];

/** What a user wants to know beyond the status. Shown on the native API, never on the Graph surface. */
export const PHASES = {
  NotStarted: ['queued', 'throttled'],
  Running: ['executing', 'waitingOnVendor', 'throttled', 'retrying', 'cancelling'],
  Completed: ['done'],
  Failed: ['failed', 'cancelled', 'cancelledAtProvider', 'timedOut', 'expired', 'outcomeUnknown', 'poisoned'],
} as const satisfies Record<ActionStatus, readonly string[]>;
type NotStartedPhase = (typeof PHASES.NotStarted)[number];
export type RunningPhase = (typeof PHASES.Running)[number];
export type FailedPhase = (typeof PHASES.Failed)[number];
export type ActionPhase = NotStartedPhase | RunningPhase | 'done' | FailedPhase;

/** How a vendor treats the same request sent twice; it decides what may be done after a crash. */
export type Idempotency = 'key' | 'natural' | 'lookup' | 'none';

/**
 * How urgent an action's calls to the vendor are while its quota is short: what lets go (`release`) before what
 * shuts off (`containment`) before the rest.
 */
export const LANES = ['release', 'containment', 'routine'] as const;
export type Lane = (typeof LANES)[number];

/** Kinds of actions that do much harm by being many: how many of a kind an application may ask for in an hour is limited. */
export const BLAST_CLASSES = ['isolation'] as const;
export type BlastClass = (typeof BLAST_CLASSES)[number];

/** Why an action that was not started yet waits for more than its turn. */
export const WAIT_REASONS = ['quota', 'vendorBusy', 'breakerOpen', 'paused', 'targetBusy'] as const;
export type WaitReason = (typeof WAIT_REASONS)[number];

/** What a throttled action waits for. */
export interface Waiting {
  readonly reason: WaitReason;
  /** When it is expected to start; null: nobody can say. */
  readonly until: Date | null;
  /** The same tenant's action that holds or comes before it at the same target, where that is the reason. */
  readonly blockedBy: string | null;
}

/** What a plugin says it changed, so that it can be undone. At most 64 KiB of JSON; a larger one is not kept at all. */
export interface EffectRecord {
  /** False: the target was in the wanted state before; to undo it is to do nothing. */
  readonly changed: boolean;
  /** What was there before, for `revert` to put back. */
  readonly previous?: Json;
  /** The vendor's ids of what was made. */
  readonly ids?: readonly string[];
  /** When the vendor lifts it by itself, ISO 8601. */
  readonly expiresAt?: string;
}

/** JSON as it may be stored and shown. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Who asked: an application, and the user behind it where its token names one. */
export interface Caller {
  readonly tenantId: string;
  readonly appId: string;
  readonly user: string | null;
}

export interface KeyValuePair {
  readonly name: string;
  /** On record null for a secret one: its value is sealed. */
  readonly value: string | null;
}

/** Parameters as they may be stored. */
export interface StoredParameters {
  readonly parameters: readonly KeyValuePair[];
  /** The values of the secret ones, sealed; null: there are none, or an action that is undone has them. */
  readonly sealed: string | null;
}

export interface VendorInformation {
  readonly vendor: string;
  readonly provider: string;
  readonly providerVersion: string | null;
  readonly subProvider: string | null;
}

/** One change of status. */
export interface ActionState {
  readonly status: ActionStatus;
  readonly updatedAt: Date;
  readonly appId: string;
  readonly user: string | null;
}

/** Graph's `resultInfo`: Int32 codes, and a message that says what failed and what to do. */
export interface ErrorInfo {
  readonly code: number;
  /** The vendor's own HTTP status where there was one, else 0. */
  readonly subcode: number;
  readonly message: string;
}

/** The vendor's handle of work in progress. `state` is the plugin's own, JSON, at most a few hundred bytes. */
export interface VendorOperation {
  readonly id: string;
  readonly state?: Json;
}

/** The durable note that precedes a vendor call: from here on the effect may exist. */
export interface Intent {
  /** Epoch of the claim that wrote it. */
  readonly epoch: number;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** When its first attempt began. */
  readonly at: Date;
  /** When its latest repeat began, null while that is to come; absent where there is none. */
  readonly repeatedAt?: Date | null;
  /** How the vendor treats a repeat, as declared when it was issued. */
  readonly idempotency: Idempotency;
  /** Version of the plugin that issues it. */
  readonly providerVersion: string;
  readonly operation: VendorOperation | null;
  /** What the plugin noted with a heartbeat, for the attempt after this. */
  readonly checkpoint: Json;
}

/** When the intent's latest attempt began; null: it is to come. */
export function begunAt({ at, repeatedAt }: Pick<Intent, 'at' | 'repeatedAt'>): Date | null {
  return repeatedAt === undefined ? at : repeatedAt;
}

/** One ended (or, with outcome `unknown`, unsettled) call of the plugin's `execute`. */
export interface Attempt {
  readonly number: number;
  readonly epoch: number;
  /** Version of the plugin that ran it; null in records of before it was noted. */
  readonly providerVersion: string | null;
  readonly startedAt: Date;
  readonly endedAt: Date;
  readonly outcome: 'completed' | 'failed' | 'unknown' | 'cancelled';
  readonly error: ErrorInfo | null;
}

/** What the provider said to a cancel, once it was told. */
export type CancelOutcome = 'cancelled' | 'requested' | 'tooLate' | 'notSupported' | 'unknown';

/** The recorded wish to stop an action that may already have been issued. */
export interface CancelWish {
  readonly at: Date;
  /** `deadline`: the engine itself wants it stopped because its time is up. */
  readonly why: 'caller' | 'deadline';
  readonly appId: string;
  readonly user: string | null;
  /** Null until the provider has answered. */
  readonly outcome: CancelOutcome | null;
}

/** What somebody found at the target of an action whose outcome was unknown. */
export const VERDICTS = ['applied', 'notApplied'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** A person's answer to an unknown outcome. It is added to the record and changes nothing else of it. */
export interface Resolution {
  readonly by: { readonly appId: string; readonly user: string | null };
  readonly at: Date;
  readonly verdict: Verdict;
  /** How it was found out: 1 to 1,000 characters. */
  readonly note: string;
}

/** The whole record of an action, as stored. One document is one consistency domain. */
export interface SecurityAction extends StoredParameters {
  readonly id: string;
  readonly tenantId: string;
  readonly appId: string;
  readonly user: string | null;
  readonly name: string;
  readonly actionReason: string | null;
  readonly clientContext: string | null;
  readonly vendorInformation: VendorInformation;
  /** Id of the configured provider instance that carries it out. */
  readonly instance: string;
  /** The manifest's name of the action, whatever alias the caller used. */
  readonly actionName: string;
  readonly providerVersion: string;
  readonly idempotency: Idempotency;
  readonly lane: Lane;
  /** What it acts upon, across tenants; one at a time is Running. Null: others may act beside it. */
  readonly mutexKey: string | null;
  /** Id of the completed action that it undoes; null for one that does something of its own. */
  readonly reverts: string | null;
  readonly status: ActionStatus;
  readonly phase: ActionPhase;
  /** Null unless its phase is `throttled` and it was not started. */
  readonly waiting: Waiting | null;
  readonly states: readonly ActionState[];
  readonly createdAt: Date;
  readonly lastActionAt: Date;
  readonly completedAt: Date | null;
  readonly errorInfo: ErrorInfo | null;
  readonly result: Json;
  /** What its plugin says it changed; null until it completed, or where it does not say. */
  readonly effect: EffectRecord | null;
  readonly progress: Json;
  readonly deadlineAt: Date;
  readonly startBefore: Date | null;
  /** When its effect is to be lifted again; null: it stays. */
  readonly effectUntil: Date | null;
  readonly epoch: number;
  readonly owner: string | null;
  readonly leaseUntil: Date | null;
  readonly nextAt: Date | null;
  /** Claims of an expired lease in a row, without progress in between: what poison is told by. */
  readonly crashes: number;
  readonly intent: Intent | null;
  readonly attempts: readonly Attempt[];
  readonly cancel: CancelWish | null;
  /** Null until somebody has said what became of an unknown outcome. */
  readonly resolution: Resolution | null;
  /** The action that undoes, or undid, this one. */
  readonly revertedBy: string | null;
  /** The span that submitted it (W3C Trace Context), which carrying it out is part of; null: it is not traced. */
  readonly traceparent: string | null;
}

/** What carrying an action out needs of its record: half of it, which is read with each claim. */
export type ClaimedAction = Pick<
  SecurityAction,
  | 'id'
  | 'tenantId'
  | 'instance'
  | 'actionName'
  | 'parameters'
  | 'sealed'
  | 'lane'
  | 'mutexKey'
  | 'reverts'
  | 'progress'
  | 'createdAt'
  | 'deadlineAt'
  | 'effectUntil'
  | 'epoch'
  | 'owner'
  | 'leaseUntil'
  | 'nextAt'
  | 'crashes'
  | 'intent'
  | 'attempts'
  | 'cancel'
  | 'traceparent'
>;

/** What a submitter decides; the store adds ids of time and state. */
export interface NewAction {
  readonly id: string;
  readonly caller: Caller;
  readonly name: string;
  readonly actionReason: string | null;
  readonly clientContext: string | null;
  /** As they may be stored: secret ones with null. */
  readonly parameters: readonly KeyValuePair[];
  /** The values of the secret ones, sealed. Default null. */
  readonly sealed?: string | null;
  readonly vendorInformation: VendorInformation;
  readonly instance: string;
  readonly actionName: string;
  readonly providerVersion: string;
  readonly idempotency: Idempotency;
  /** Default `routine`. */
  readonly lane?: Lane;
  /** Default null. */
  readonly mutexKey?: string | null;
  /** Default null. */
  readonly reverts?: string | null;
  /** Milliseconds from creation until the action has to have ended. */
  readonly deadlineMs: number;
  readonly startBefore: Date | null;
  /** When its effect is to be lifted again. Default null: it stays. */
  readonly effectUntil?: Date | null;
  /** True: an idempotency key leads to it, so retention leaves it on record while the key lives. Default false. */
  readonly keyed?: boolean;
  /** Default null: it is not traced. */
  readonly traceparent?: string | null;
}

/** The action as it was when it was created, whatever became of it since. */
export function asCreated(action: SecurityAction): SecurityAction {
  return {
    ...action,
    status: 'NotStarted',
    phase: 'queued',
    waiting: null,
    states: action.states.slice(0, 1),
    lastActionAt: action.createdAt,
    completedAt: null,
    errorInfo: null,
    result: null,
    effect: null,
    progress: null,
    epoch: 0,
    owner: null,
    leaseUntil: null,
    nextAt: action.createdAt,
    crashes: 0,
    intent: null,
    attempts: [],
    cancel: null,
    resolution: null,
    revertedBy: null,
  };
}

/** True once nothing about the status can change any more. */
export function isFinal(status: ActionStatus): boolean {
  return status === 'Completed' || status === 'Failed';
}

/**
 * True for a failed action of which nobody can say whether it was applied, and of which no resolution says it: it
 * ended as an outcome unknown, or its last attempt did (a plugin that broke, workers that died on it).
 */
export function isUnresolved({
  status,
  phase,
  attempts,
  resolution,
}: Pick<SecurityAction, 'status' | 'phase' | 'attempts' | 'resolution'>): boolean {
  const isUnknown = phase === 'outcomeUnknown' || attempts.at(-1)?.outcome === 'unknown';
  return status === 'Failed' && isUnknown && resolution === null;
}

/**
 * True for an action that had its effect: it is completed, or failed with an outcome that nobody could tell and somebody
 * found to be applied since. Such a one can be undone.
 */
export function tookEffect({ status, resolution }: Pick<SecurityAction, 'status' | 'resolution'>): boolean {
  return status === 'Completed' || (status === 'Failed' && resolution?.verdict === 'applied');
}
