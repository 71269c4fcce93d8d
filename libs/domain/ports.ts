import type {
  ActionPhase,
  ActionStatus,
  Caller,
  CancelOutcome,
  ClaimedAction,
  EffectRecord,
  ErrorInfo,
  FailedPhase,
  Json,
  Lane,
  NewAction,
  Resolution,
  RunningPhase,
  SecurityAction,
  VendorOperation,
  Waiting,
} from './action.js';

/** Proof of ownership: every write of a worker names it, and matches nothing once another epoch began. */
export interface Lease {
  readonly actionId: string;
  readonly epoch: number;
  /** Unique per claim, so that a claim whose answer was lost can be recognised. */
  readonly owner: string;
}

export interface Claim {
  readonly action: ClaimedAction;
  readonly lease: Lease;
  /** True when this very claim wrote the intent: nothing has been sent to the vendor yet under it. */
  readonly freshIntent: boolean;
}

/** What a claim came to. */
export type ClaimAnswer =
  | { readonly kind: 'claimed'; readonly claim: Claim }
  /** Nothing to do here: ended, not due, or somebody else has it. */
  | { readonly kind: 'none' }
  /** Another action is Running at the same target, or waits for it longer; this one is now throttled behind it. */
  | { readonly kind: 'targetBusy' };

export interface ClaimOptions {
  /** It names a target: it waits for those that were asked for before it. Default: it is not looked at. */
  readonly inTurn?: boolean;
}

/** What a cancel came to, at the moment it is answered. */
export type CancelAnswer =
  /** `isEnd`: this request ended it; it had not been cancelled before. */
  | { readonly kind: 'cancelled'; readonly action: SecurityAction; readonly isEnd: boolean }
  | { readonly kind: 'requested'; readonly action: SecurityAction }
  | { readonly kind: 'tooLate'; readonly status: ActionStatus }
  | { readonly kind: 'notFound' };

/** Where an action is looked for when it is due: enough to hint it, nothing about its content. */
export interface DueAction {
  readonly id: string;
  readonly tenantId: string;
  readonly instance: string;
  readonly actionName: string;
  readonly lane: Lane;
  /** True when the vendor is at work on it, and is to be asked how far it is. */
  readonly polls?: boolean;
  /** When the vendor is to be told to stop it, see {@link Hint.stopAt}. */
  readonly stopAt?: Date | null;
  readonly epoch: number;
  readonly nextAt: Date;
  /** True when `closeOverdue` may end it: its deadline or `startBefore` has passed, or it is unissued and unwanted. */
  readonly overdue: boolean;
}

/** Which due actions: those that somebody has claimed before, or those that wait for their first claim. */
export type DueList = 'begun' | 'waiting';
/** A place in the order in which actions are due. */
export type DuePosition = Pick<DueAction, 'id' | 'nextAt'>;

/** What somebody says became of an action whose outcome was unknown. */
export type Finding = Pick<Resolution, 'verdict' | 'note'>;

/** What a resolution came to. */
export type ResolveAnswer =
  /** The finding is on record: now, or since an earlier request that said the same. */
  | { readonly kind: 'resolved'; readonly action: SecurityAction; readonly resolution: Resolution }
  /** Somebody has said something else before; that stands. */
  | { readonly kind: 'resolvedOtherwise'; readonly resolution: Resolution }
  | { readonly kind: 'notUnresolved'; readonly action: SecurityAction }
  | { readonly kind: 'notFound' };

/** Which of a tenant's actions a list shows; all that is given has to hold. */
export interface ActionFilter {
  readonly phase?: ActionPhase;
  /** True: only what `isUnresolved`. */
  readonly unresolved?: boolean;
}

/** Position in a newest-first list: the time the list is ordered by, and the id where times are equal. */
export interface ListPosition {
  readonly at: Date;
  readonly id: string;
}

export interface FinalFailure {
  readonly phase: FailedPhase;
  readonly errorInfo: ErrorInfo;
  /**
   * `unknown`: an intent stands, and nobody can say whether it took effect; the action is left to somebody to
   * resolve. Default: `unknown` for the phase `outcomeUnknown`, else `no`.
   */
  readonly applied?: 'no' | 'unknown';
}

/** What a plugin tells with a heartbeat. */
export interface HeartbeatReport {
  readonly progress?: Json;
  /** For the attempt after this, should this one not end. */
  readonly checkpoint?: Json;
}

/** How a lease is given back for later. */
export interface Release {
  readonly delayMs: number;
  readonly phase: RunningPhase;
  /** False: a cancel wish that came in meanwhile makes the action due at once. */
  readonly sawCancel: boolean;
}

/**
 * The only way to read or change an action. Every change is one majority-acknowledged conditional write of
 * one document, stamped with the database's own clock; a method that returns null changed nothing, because
 * the action was not in a state the change may start from, or the lease is no longer the current one.
 *
 * Methods throw `OperationalError` when the database cannot be reached in time and nothing can have been
 * written.
 */
export interface ActionStore {
  /**
   * Records a new action. Safe to repeat with the same id.
   * @throws OutcomeUnknownError when the write was sent and never confirmed
   */
  create(action: NewAction): Promise<SecurityAction>;
  find(tenantId: string, id: string): Promise<SecurityAction | null>;

  /**
   * Takes a due action, or one that was not started, whose lease is free or expired; raises the epoch.
   * @param owner another one for each claim: whoever has held the lease last gets it no second time
   * @param providerVersion version of the plugin that will run it
   */
  claim(
    id: string,
    owner: string,
    leaseMs: number,
    providerVersion: string,
    options?: ClaimOptions,
  ): Promise<ClaimAnswer>;
  /**
   * Extends the lease. Brings back the record, so that a cancel wish is seen. Null: fenced out. Of reports that overlap
   * the one made last stands.
   */
  renew(lease: Lease, leaseMs: number, report?: HeartbeatReport): Promise<ClaimedAction | null>;
  /** Notes that the vendor is about to be called, once. Null: cancelled first, fenced out, or an intent stands already. */
  recordIntent(lease: Lease, providerVersion: string): Promise<ClaimedAction | null>;
  /**
   * Takes back the intent that this very claim recorded, for nothing was sent under it, and gives the lease back,
   * due at once. Costs no attempt.
   */
  takeBack(lease: Lease): Promise<ClaimedAction | null>;
  /** Keeps the vendor's handle before anyone waits for it. */
  saveOperation(lease: Lease, operation: VendorOperation): Promise<ClaimedAction | null>;
  /** Notes what the provider said to a cancel. */
  noteCancelOutcome(lease: Lease, outcome: CancelOutcome): Promise<ClaimedAction | null>;
  /** The engine's own wish to stop an issued action whose deadline passed. */
  wishCancelAtDeadline(lease: Lease): Promise<ClaimedAction | null>;
  /** Gives the lease back while the vendor works. */
  park(
    lease: Lease,
    step: Release & { readonly operation: VendorOperation; readonly progress: Json },
  ): Promise<ClaimedAction | null>;
  /**
   * Ends an attempt and gives the lease back for another. `applied: 'no'` clears the intent (a cancel may then
   * end it before issue), `'unknown'` keeps it.
   */
  retry(
    lease: Lease,
    step: Release & { readonly error: ErrorInfo; readonly applied: 'no' | 'unknown' },
  ): Promise<ClaimedAction | null>;
  /** Gives the lease back as it is, due at once: a graceful stop. */
  handOver(lease: Lease): Promise<ClaimedAction | null>;
  /** Ends it. False: fenced out, or ended already. */
  complete(lease: Lease, result: Json, effect?: EffectRecord | null): Promise<boolean>;
  /** Ends it. False: fenced out, or ended already. */
  fail(lease: Lease, failure: FinalFailure): Promise<boolean>;

  /**
   * Notes of actions that were not started what they wait for, and sets them aside for `delayMs`. Those that have
   * begun or ended meanwhile are left alone.
   * @throws OperationalError when it was not confirmed; it may have been written then. So does `closeOverdue`
   */
  throttle(ids: readonly string[], delayMs: number, waiting: Waiting): Promise<void>;
  /**
   * Who keeps this action, which was not started, from its target now: who was asked for before it, or is Running there.
   * Null: nobody. `id` is null where that is another tenant's.
   */
  aheadAtTarget(id: string): Promise<{ readonly id: string | null } | null>;
  /**
   * How many of the tenant's own actions at the instance are to be started before this one, which was not started; at
   * most `atMost` are counted. Null: they could not be counted in time.
   */
  ownAhead(
    action: Pick<SecurityAction, 'id' | 'tenantId' | 'instance' | 'lane' | 'createdAt'>,
    atMost: number,
  ): Promise<number | null>;
  /** Makes the action due that waits the longest for this target; null: none waits. */
  wakeNext(mutexKey: string): Promise<DueAction | null>;
  /** Cancels before issue, or records the wish; the answer is true at the moment it is given. */
  requestCancel(caller: Caller, id: string): Promise<CancelAnswer>;
  /**
   * Adds what somebody found to a final action of unknown outcome; nothing else of it changes. The first finding
   * stands. Safe to repeat. Where it was applied and its effect has an end, that is lifted then.
   * @throws OutcomeUnknownError when the write was sent and never confirmed
   */
  resolve(caller: Caller, id: string, finding: Finding): Promise<ResolveAnswer>;
  /**
   * Reserves the undoing of an action that took effect for the action `revertId`, which is yet to be made; nothing else of the
   * record changes. Of several at the same time one wins. Safe to repeat. For an hour retention leaves the record, so that
   * the revert finds it; to reserve for the same one again begins another hour.
   * Where its effect has an end, the lifting is looked at again soon, so that it is known what became of the revert.
   * @param inPlaceOf the one that failed before, or `revertId` itself; null: there was none
   * @param isLift true: the engine wants it because the effect's time is over, which counts as a try
   * @returns the record as it stands now, whoever won; null when it is not there, or took no effect
   * @throws OutcomeUnknownError when the write was sent and never confirmed; it names the revert
   */
  reserveRevert(
    tenantId: string,
    id: string,
    revertId: string,
    inPlaceOf: string | null,
    isLift?: boolean,
  ): Promise<SecurityAction | null>;

  /**
   * Actions whose time came at least `graceMs` ago and which nobody holds, the longest due first.
   * @param fewWait what it costs to find what has begun: false as much as has begun, due or not, whatever waits; true
   *   as much as is due of both lists
   * @throws OperationalError when the database cannot be reached in time
   */
  due(
    list: DueList,
    limit: number,
    graceMs: number,
    after: DuePosition | null,
    fewWait?: boolean,
  ): Promise<readonly DueAction[]>;
  /**
   * Which of the next `among` actions that wait to be started have run out of time, of the same order as by `due`.
   * @returns their ids, and where to go on; null: these were the last
   * @throws OperationalError when the database cannot be reached in time
   */
  overdue(
    among: number,
    graceMs: number,
    after: DuePosition | null,
  ): Promise<{ readonly ids: readonly string[]; readonly next: DuePosition | null }>;
  /**
   * Ends what nobody will: wanted stopped by a caller with no intent standing (499, also when it is late), not
   * started before its `startBefore`, past its deadline and never issued, or issued and `giveUpAfterMs` past its
   * deadline without a holder. One write decides; those asked for at the same time go together. Null: none of these.
   * @throws OperationalError when the database did not confirm it in time; it may have ended
   */
  closeOverdue(id: string, giveUpAfterMs: number): Promise<SecurityAction | null>;
}

/** An action whose effect is to be lifted, or is being lifted: it is time to look at it. */
export interface DueLift {
  readonly id: string;
  readonly tenantId: string;
  readonly appId: string;
  /** The provider instance where the effect is. */
  readonly instance: string;
  readonly effectUntil: Date;
  /** False: somebody had it undone before its time. */
  readonly isOver: boolean;
  /** The action that undoes it; null: none was asked for. */
  readonly revertedBy: string | null;
  /** How often the engine has tried to lift it. */
  readonly tries: number;
  /** When it was to be looked at. */
  readonly dueAt: Date;
  /** When it was read, by the database's clock, which alone says what is due. */
  readonly readAt: Date;
}

/** The effects that have an end and were not lifted yet. They are on record: nothing but the database knows them. */
export interface EffectLifts {
  /** Those whose time has come, the longest due first. */
  due(limit: number): Promise<readonly DueLift[]>;
  /**
   * Says when it is looked at again; null: never, as it was lifted or is left to people. Does nothing when somebody has
   * said so since it was read.
   * @param tried true: it was tried in vain
   */
  postpone(lift: DueLift, until: Date | null, tried?: boolean): Promise<void>;
}

/** What an idempotency key stands for. */
export interface Reservation {
  /** The action that is, or is to be, made under the key. */
  readonly actionId: string;
  /** Tells the request of the key from others. */
  readonly fingerprint: string;
}

/** Which action a caller's idempotency key leads to, for 24 hours. A key is its tenant's and application's own. */
export interface IdempotencyKeys {
  /**
   * Null: unknown, or older than that.
   * @throws OperationalError when the database cannot be reached in time
   */
  find(caller: Caller, key: string): Promise<Reservation | null>;
  /**
   * Reserves the key, as a majority holds; of several at the same time one wins. Safe to repeat.
   * @returns what stands now: what was wanted, or what somebody had reserved before
   * @throws OperationalError when nothing can have been written
   * @throws OutcomeUnknownError when the write was sent and never confirmed; it names the action that was wanted
   */
  reserve(caller: Caller, key: string, wanted: Reservation): Promise<Reservation>;
}

/** "Look at action X." Losing one costs time, never an action. */
export interface Hint {
  readonly actionId: string;
  readonly tenantId: string;
  readonly instance: string;
  readonly lane: Lane;
  /** The action's name, so that operators can read the dashboard. */
  readonly actionName: string;
  readonly epoch: number;
  /** True when the vendor is to be asked how far it is, rather than to be given something. Default false. */
  readonly polls?: boolean;
  /**
   * When the vendor is to be told to stop it: at its deadline, or since somebody wished it. Null: it was told. Default
   * null.
   */
  readonly stopAt?: Date | null;
  /**
   * A cancel hints under an id of its own, so that no waiting job swallows it; `again` does, too, for a job that is
   * there and is not taken (one that a wrong clock delayed, or that a frozen worker holds).
   */
  readonly kind?: 'cancel' | 'again';
}

/** When an action is to be looked at: the database's time, and how long that is from now. */
export interface DueTime {
  readonly at: Date;
  readonly inMs: number;
}

/**
 * What a consumer answers: done with the hint; look again later; or nothing of this instance can be started for so
 * long, and the hint keeps its place.
 */
export type HintAnswer = { readonly lookAgainMs: number } | { readonly holdMs: number } | undefined;

/** A hint as a dashboard shows it. */
export interface HintPlace {
  readonly queue: string;
  readonly id: string;
}

/** Where an action stands that waits for its turn. */
export interface QueuePlaces {
  /**
   * How many of its instance's actions are to be started before this one; null where that cannot be said. Never throws.
   */
  ahead(instance: string, actionId: string): Promise<number | null>;
  /** The hint of the action that is there now; null: none is, or nobody can say. Never throws. */
  hintOf(action: Pick<SecurityAction, 'id' | 'instance' | 'epoch'>): Promise<HintPlace | null>;
}

/**
 * Best-effort hints. `hint` and `hintMany` neither throw nor wait longer than a fraction of a second:
 * false means that the sweep will have to do it.
 */
export interface ActionQueue {
  /** At once, or at a due time, by whatever clock this process has. */
  hint(hint: Hint, due?: DueTime): Promise<boolean>;
  hintMany(hints: readonly Hint[]): Promise<boolean>;
  /**
   * Names the data that Redis holds: another value than before means that hints were lost (a restart with empty
   * data, FLUSHALL, a failover that lost it). Null: Redis does not answer. Never throws.
   */
  incarnation(): Promise<string | null>;
  /** Tells every worker at once that a running action should be looked at for a cancel wish. */
  announceCancel(actionId: string): Promise<boolean>;
}
