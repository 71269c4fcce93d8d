/** The shapes of the native API that the console uses; `/openapi.json` tells them all. Times are ISO 8601. */

/** What a person may do in a tenant. */
export type Role = 'Viewer' | 'Operator' | 'Administrator';

/** A tenant and what the signed-in person may do there. */
export interface SessionTenant {
  readonly id: string;
  readonly name: string | null;
  readonly role: Role;
}

/** `GET /api/v1/session` of somebody who is signed in. */
export interface SignedIn {
  readonly signedIn: true;
  readonly user: {
    readonly name: string;
    readonly displayName: string;
    readonly kind: 'local' | 'issuer';
  };
  readonly tenant: SessionTenant;
  readonly tenants: readonly SessionTenant[];
  /** Whether the person has `Riposte.Operator`, which is installation-wide. */
  readonly operates: boolean;
  readonly mustChangePassword: boolean;
  readonly csrfToken: string;
  readonly idleUntil: string;
  readonly endsAt: string;
  /** Of the product. */
  readonly version: string;
}

/** `GET /api/v1/session` of somebody who is not, with the ways to sign in. */
export interface SignedOut {
  readonly signedIn: false;
  readonly signIn: {
    readonly local: boolean;
    readonly issuers: readonly { readonly id: string; readonly name: string }[];
  };
}

export type Session = SignedIn | SignedOut;

/** An account of a person, as an administrator of the tenant sees it. */
export interface Operator {
  readonly name: string;
  readonly displayName: string;
  readonly role: Role;
  readonly operates: boolean;
  readonly disabled: boolean;
  readonly createdDateTime: string;
  readonly lastSignInDateTime: string | null;
}

/** An account with the password it was given, which is shown this once. */
export interface OperatorWithPassword extends Operator {
  readonly password: string;
}

export type ActionStatus = 'NotStarted' | 'Running' | 'Completed' | 'Failed';

export type ActionPhase =
  | 'queued'
  | 'throttled'
  | 'executing'
  | 'waitingOnVendor'
  | 'retrying'
  | 'cancelling'
  | 'done'
  | 'failed'
  | 'cancelled'
  | 'cancelledAtProvider'
  | 'timedOut'
  | 'expired'
  | 'outcomeUnknown'
  | 'poisoned';

/** Why an action has not ended. */
export type WaitReason =
  | 'queued'
  | 'quota'
  | 'vendorBusy'
  | 'breakerOpen'
  | 'paused'
  | 'targetBusy'
  | 'workerMissing'
  | 'vendorWorking'
  | 'retrying'
  | 'cancelling';

export interface ErrorInfo {
  readonly code: number;
  readonly subcode: number;
  readonly message: string | null;
}

export interface ActionState {
  readonly appId: string | null;
  readonly status: ActionStatus;
  readonly updatedDateTime: string;
  readonly user: string | null;
}

export interface Attempt {
  readonly number: number;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly outcome: 'completed' | 'failed' | 'unknown' | 'cancelled';
  readonly providerVersion: string | null;
  readonly errorInfo: ErrorInfo | null;
}

export type Verdict = 'applied' | 'notApplied';

/** An action on the native API. */
export interface NativeAction {
  readonly id: string;
  readonly name: string;
  readonly status: ActionStatus;
  readonly phase: ActionPhase;
  readonly actionReason: string | null;
  readonly appId: string | null;
  readonly azureTenantId: string | null;
  readonly clientContext: string | null;
  readonly user: string | null;
  readonly createdDateTime: string;
  readonly lastActionDateTime: string;
  readonly completedDateTime: string | null;
  readonly deadlineDateTime: string;
  readonly nextAttemptDateTime: string | null;
  readonly errorInfo: ErrorInfo | null;
  /** A value that the provider marks secret is null. */
  readonly parameters: readonly { readonly name: string; readonly value: string | null }[];
  readonly states: readonly ActionState[];
  readonly vendorInformation: {
    readonly vendor: string | null;
    readonly provider: string | null;
    readonly providerVersion: string | null;
    readonly subProvider: string | null;
  };
  readonly waiting: {
    readonly reason: WaitReason;
    readonly message: string;
    readonly expectedStartDateTime: string | null;
    readonly blockedBy: string | null;
  } | null;
  readonly providerInstance: string;
  readonly providerVersion: string;
  readonly lane: string;
  readonly target: string | null;
  readonly reverts: string | null;
  readonly revertedBy: string | null;
  readonly effectUntil: string | null;
  readonly effect: Readonly<Record<string, unknown>> | null;
  readonly progress: unknown;
  readonly result: unknown;
  readonly attempts: readonly Attempt[];
  /** What was issued and is not settled yet. */
  readonly currentAttempt: {
    readonly number: number;
    readonly startedAt: string;
    readonly providerVersion: string;
    readonly vendorOperationId: string | null;
  } | null;
  readonly cancel: {
    readonly at: string;
    readonly why: 'caller' | 'deadline';
    readonly outcome: 'cancelled' | 'requested' | 'tooLate' | 'notSupported' | 'unknown' | null;
  } | null;
  readonly unresolved: boolean;
  readonly resolution: {
    readonly by: { readonly appId: string; readonly user: string | null };
    readonly at: string;
    readonly verdict: Verdict;
    readonly note: string;
  } | null;
}

/** `GET /api/v1/actions/{id}`: an action with what can be done with it. */
export interface ActionDetails extends NativeAction {
  /** Its hint in a queue now; the url, of its page on the queues' dashboard, is for operators. */
  readonly job: { readonly queue: string; readonly id: string; readonly url: string | null } | null;
  /** What a cancel would mean now. */
  readonly cancellation: {
    readonly possible: boolean;
    readonly means: 'stopsBeforeIssue' | 'asksVendor' | 'recordsWish' | 'nothing';
    readonly message: string;
  };
  readonly reversal: { readonly possible: boolean; readonly message: string };
  /** What to do about `errorInfo`. */
  readonly advice: string | null;
}

/** `POST /api/v1/actions/observe`: whether the effect of an action is in place. */
export interface ObservedState {
  /** Null: the vendor does not tell. */
  readonly inPlace: boolean | null;
  readonly message: string;
}

/** `POST /api/v1/actions/plan`: what an action would do. */
export interface Plan {
  readonly summary: string;
  readonly changes: readonly string[];
  readonly warnings?: readonly string[];
  readonly target?: unknown;
}

/** A page of a list. */
export interface Page<Item> {
  readonly value: readonly Item[];
  readonly nextLink?: string;
  readonly count?: number;
}

/** A JSON Schema 2020-12. */
export type JsonSchema = Readonly<Record<string, unknown>>;

export interface ProviderAction {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly title: string;
  readonly docUrl: string | null;
  readonly parameters: JsonSchema;
  readonly result: JsonSchema | null;
  readonly idempotency: 'key' | 'natural' | 'lookup' | 'none';
  readonly cancellable: boolean;
  readonly revertible: boolean;
  readonly supportsExpiry: boolean;
  readonly observable: boolean;
  readonly lane: string;
  readonly blastRadius: string | null;
  readonly mutexKey: readonly string[];
  readonly requiredPermissions: readonly string[];
  readonly deprecated: { readonly since: string; readonly replacement?: string } | null;
  readonly deadlineSeconds: number;
}

/** Milliseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** A provider instance. */
export interface Provider {
  readonly id: string;
  readonly vendor: string;
  readonly provider: string;
  readonly subProvider: string | null;
  readonly providerAliases: readonly string[];
  readonly plugin: { readonly name: string; readonly version: string };
  readonly title: string | null;
  readonly docUrl: string | null;
  /** For operators; `*` for all. */
  readonly tenants?: readonly string[];
  readonly actions: readonly ProviderAction[];
  readonly health: {
    readonly ok: boolean;
    readonly message: string;
    readonly at: string;
    readonly checks?: readonly { readonly name: string; readonly ok: boolean; readonly message: string }[];
  } | null;
  readonly maintained: {
    readonly checked: number;
    readonly added: number;
    readonly removed: number;
    readonly problems?: readonly string[];
    readonly at: string;
  } | null;
  /** Null: nobody can say what is left. */
  readonly quota:
    | readonly {
        readonly calls: number;
        readonly perSeconds: number;
        readonly actions: readonly string[] | null;
        readonly left: number;
        readonly nextFreeMs: number;
      }[]
    | null;
  readonly breaker: 'closed' | 'open' | 'halfOpen';
  readonly waiting: {
    readonly reason: 'quota' | 'vendorBusy' | 'breakerOpen' | 'paused';
    readonly waitMs: number;
  } | null;
  readonly backlog: { readonly waiting: number | null };
  readonly paused: {
    readonly by?: { readonly appId: string; readonly user: string | null };
    readonly at: string;
    readonly reason: string;
  } | null;
  /** Of the last hour, for the tenant. */
  readonly latency?: Percentiles | null;
}

/** The periods that the overview knows. */
export type OverviewWindow = '1h' | '24h' | '7d';

/** Up to so many open actions of a kind are counted. */
export const OPEN_COUNTED = 10_000;

/** `GET /api/v1/overview`: how the tenant's actions fared. */
export interface Overview {
  readonly window: OverviewWindow;
  readonly from: string;
  readonly to: string;
  readonly bucketSeconds: number;
  /** False: not all could be counted in time; asked again, it goes on where it stopped. */
  readonly complete: boolean;
  readonly totals: {
    readonly created: number;
    readonly completed: number;
    /** Without those of unknown outcome and the cancelled. */
    readonly failed: number;
    readonly outcomeUnknown: number;
    readonly cancelled: number;
  };
  readonly throughput: readonly {
    readonly at: string;
    readonly created: number;
    readonly completed: number;
    /** With those of unknown outcome, without the cancelled. */
    readonly failed: number;
    readonly cancelled: number;
  }[];
  readonly latency: readonly {
    readonly at: string;
    readonly startMs: Percentiles | null;
    readonly totalMs: Percentiles | null;
  }[];
  readonly providers: readonly {
    readonly instance: string;
    /** Null, as `provider`: the instance is not configured any more. */
    readonly vendor: string | null;
    readonly provider: string | null;
    readonly completed: number;
    /** Without those of unknown outcome and the cancelled. */
    readonly failed: number;
    readonly outcomeUnknown: number;
    readonly cancelled: number;
    readonly byCode: Readonly<Record<string, number>>;
    readonly totalMs: Percentiles | null;
  }[];
  /** Each number is {@link OPEN_COUNTED} where it is more. */
  readonly now: {
    readonly queued: number;
    readonly throttled: number;
    readonly running: number;
    readonly unresolved: number;
    readonly oldestWaiting: {
      readonly id: string;
      readonly createdDateTime: string;
      readonly ageMs: number;
    } | null;
  };
}

/** What an application is called. */
export interface NamedApplication {
  readonly appId: string;
  readonly name: string;
}

/** A saved view of the list of actions: a name and the query of its address. */
export interface SavedView {
  readonly name: string;
  readonly query: string;
}
