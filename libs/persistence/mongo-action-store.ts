import { randomUUID } from 'node:crypto';
import type mongoose from 'mongoose';
import {
  ERROR_INFO_CODES,
  LANES,
  TRANSITIONS,
  OperationalError,
  OutcomeUnknownError,
  errorInfo,
  isFinal,
  isGuid,
  type ActionStatus,
  type ActionStore,
  type Caller,
  type CancelAnswer,
  type CancelOutcome,
  type ClaimAnswer,
  type ClaimOptions,
  type ClaimedAction,
  type DueAction,
  type DueList,
  type DuePosition,
  type EffectRecord,
  type ErrorInfo,
  type FinalFailure,
  type Finding,
  type HeartbeatReport,
  type Json,
  type Lane,
  type Lease,
  type NewAction,
  type Release,
  type ResolveAnswer,
  type SecurityAction,
  type TransitionName,
  type VendorOperation,
  type Waiting,
  type WaitingCounter,
} from '#domain';
import { grouped } from '#grouping';
import {
  CLAIM,
  CLOSE_OVERDUE,
  COMPLETE,
  DEADLINE_PASSED,
  PARK,
  RECORD_INTENT,
  SAVE_OPERATION,
  START_BEFORE_PASSED,
  UNISSUED_AND_UNWANTED,
  dueAgain,
  failing,
} from './action-writes.js';
import {
  ACTIONS,
  CLAIMED_FIELDS,
  DUE_INDEX,
  STATUS_INDEX,
  UNRESOLVED_INDEX,
  WAITING_INDEX,
  toAction,
  toClaimed,
  type ActionDocument,
  type ClaimedDocument,
  type Uuid,
} from './action-document.js';
import { LIFT_WATCHED_MS, ONE_MORE_TRY } from './mongo-effect-lifts.js';
import { KEYED_ACTION_STAYS_MS } from './idempotency-store.js';
import {
  NOW,
  RELEASED,
  STAMP,
  attemptsAfter,
  heldBy,
  inMs,
  wholeMs,
  latest,
  latestOrder,
  literal,
  phaseAfter,
  startsFrom,
  statesAfter,
} from './pipeline.js';
import { resolveOutcome } from './resolving.js';
import type { ServerClock } from './server-clock.js';
import { Targets, type Ahead } from './targets.js';
import { Together, isDuplicateKey, type Changes, type GuardedWrite, type WriteKind } from './together.js';
import { uuidOf } from './uuid.js';
import {
  DEFAULT_RETRY_BUDGET_MS,
  WriteUnconfirmedError,
  repeatable,
  repeatedRead,
  repeatedWrite,
  type Within,
} from './write-retry.js';

type Filter = mongoose.mongo.Filter<ActionDocument>;

/** A write whose success shows in the record as it is read after it. */
interface ShownWrite {
  readonly write: GuardedWrite;
  readonly shows: (found: ClaimedDocument) => boolean;
}

/**
 * Milliseconds a write goes on repeating that says what a vendor did, or that it was sent nothing: if it is given up, nobody knows it any more, and
 * where the vendor cannot be asked the outcome is unknown. It does no harm: it is refused once somebody took over.
 */
const KNOWLEDGE_BUDGET_MS = 600_000;
/** Milliseconds the database may count what waits. A hundred thousand took it 200 on a machine with much else to do. */
const COUNT_MS = 1000;
/** Milliseconds in which a tenant's own backlog is counted, for people. */
const OWN_AHEAD_MS = 300;
/** Milliseconds until an action looks again whether its target is free, should nobody wake it. */
const TARGET_BUSY_MS = 15_000;
/** More values than lease holders give to one process, so that the order of a later claim is after all of an earlier's. */
const GIVEN_MOST = 2 ** 32;
const KNOWN_HERE_ALONE: ReadonlySet<TransitionName> = new Set(['takeBack', 'noteCancelOutcome', 'retry']);
/** Milliseconds a new action counts as due before it was made: a claim by `$$NOW` may be quicker than clocks agree. */
const CLOCK_DOUBT_MS = 100;
/** Milliseconds that retention leaves an action for its revert to be recorded, with all repeats. */
const REVERT_RECORDED_WITHIN_MS = 3_600_000;

/**
 * `ActionStore` on MongoDB. Each change is one conditional update by an aggregation pipeline, so that its
 * condition, its clock (`$$NOW`) and its history entry are one atomic, majority-acknowledged step. The three of
 * the common case (create, claim, end) go in groups: concurrent ones share a command and its majority wait.
 */
export class MongoActionStore implements ActionStore, WaitingCounter {
  readonly #actions: mongoose.mongo.Collection<ActionDocument>;
  readonly #clock: ServerClock;
  readonly #budgetMs: number;
  readonly #targets: Targets<DueFields>;
  readonly #together: Together;
  /** Of this store alone: by it a write that ended a record finds that it did. */
  readonly #name = `sweep/${randomUUID()}`;
  #ends = 0;
  #given = 0;
  readonly #insert: (document: ActionDocument) => Promise<ActionDocument>;
  readonly #take: (claim: ShownWrite) => Promise<ClaimedDocument | null>;
  readonly #write: (write: ShownWrite) => Promise<ClaimedDocument | null>;
  readonly #end: (end: GuardedWrite) => Promise<boolean>;
  readonly #closeLate: (end: GuardedWrite) => Promise<ActionDocument | null>;

  /**
   * @param retryBudgetMs milliseconds a call may go on repeating through an election; default 12,000
   */
  constructor(db: mongoose.mongo.Db, clock: ServerClock, retryBudgetMs = DEFAULT_RETRY_BUDGET_MS) {
    this.#actions = db.collection<ActionDocument>(ACTIONS);
    this.#clock = clock;
    this.#budgetMs = retryBudgetMs;
    this.#targets = new Targets(this.#actions, DUE_FIELDS);
    this.#together = new Together(db, this.#actions);
    this.#insert = this.#grouped((documents, _isRepeat, within) => this.#together.insert(documents, within));
    this.#take = this.#grouped((...group) => this.#writeTogether(...group));
    this.#write = this.#grouped((...group) => this.#writeTogether(...group), KNOWLEDGE_BUDGET_MS);
    this.#end = this.#grouped(
      (ends, _isRepeat, within) => this.#endTogether(ends, within),
      KNOWLEDGE_BUDGET_MS,
    );
    this.#closeLate = this.#grouped((ends, _isRepeat, within) => this.#closeTogether(ends, within));
  }

  async create(action: NewAction): Promise<SecurityAction> {
    const {
      id,
      caller,
      deadlineMs,
      keyed = false,
      lane = 'routine',
      mutexKey = null,
      reverts = null,
      effectUntil = null,
      sealed = null,
      traceparent = null,
      ...given
    } = action;
    const createdAt = this.#clock.now();
    const document: ActionDocument = {
      _id: uuidOf(id),
      ...given,
      ...(sealed === null ? {} : { sealed }),
      ...(traceparent === null ? {} : { traceparent }),
      lane,
      mutexKey,
      reverts,
      effectUntil,
      tenantId: caller.tenantId,
      appId: caller.appId,
      user: caller.user,
      status: 'NotStarted',
      phase: 'queued',
      waiting: null,
      states: [{ status: 'NotStarted', updatedAt: createdAt, appId: caller.appId, user: caller.user }],
      createdAt,
      lastActionAt: createdAt,
      completedAt: null,
      errorInfo: null,
      result: null,
      effect: null,
      progress: null,
      deadlineAt: new Date(createdAt.getTime() + deadlineMs),
      epoch: 0,
      owner: null,
      leaseUntil: null,
      nextAt: new Date(createdAt.getTime() - CLOCK_DOUBT_MS),
      crashes: 0,
      intent: null,
      attempts: [],
      cancel: null,
      resolution: null,
      revertedBy: null,
      open: true,
      ...(keyed ? { keptUntil: new Date(createdAt.getTime() + KEYED_ACTION_STAYS_MS) } : {}),
    };
    try {
      return toAction(await this.#insert(document));
    } catch (cause) {
      if (cause instanceof WriteUnconfirmedError) throw new OutcomeUnknownError(id, { cause });
      throw cause;
    }
  }

  async find(tenantId: string, id: string): Promise<SecurityAction | null> {
    if (!isGuid(id)) return null;
    const document = await this.#read(() => this.#actions.findOne({ _id: uuidOf(id), tenantId }));
    return document === null ? null : toAction(document);
  }

  countWaiting(instance: string, atMost: number): Promise<number> {
    // With the hint it fails where the index is not there, rather than read the whole collection.
    return this.#actions.countDocuments(
      { instance, status: 'NotStarted' },
      { limit: atMost, maxTimeMS: COUNT_MS, hint: WAITING_INDEX },
    );
  }

  /**
   * When the longest waiting of an instance's actions was put on record; null: none waits.
   * @throws the database's error, within about a second
   */
  async oldestWaiting(instance: string): Promise<Date | null> {
    // Entries of an index with the same key lie in the order in which their records were written: the first is the oldest,
    // and no other is read.
    const oldest = await this.#actions.findOne(
      { instance, status: 'NotStarted' },
      { projection: { createdAt: 1 }, maxTimeMS: COUNT_MS, hint: WAITING_INDEX },
    );
    return oldest?.createdAt ?? null;
  }

  /**
   * How many ended actions of each instance nobody has resolved; `atMost` are counted in all.
   * @throws the database's error, within about a second
   */
  async countUnresolved(atMost: number): Promise<ReadonlyMap<string, number>> {
    const counted = await this.#actions
      .aggregate<{ readonly _id: string; readonly count: number }>(
        [
          { $match: { unresolved: true } },
          { $limit: atMost },
          { $group: { _id: '$instance', count: { $sum: 1 } } },
        ],
        { maxTimeMS: COUNT_MS, hint: UNRESOLVED_INDEX },
      )
      .toArray();
    return new Map(counted.map(({ _id, count }) => [_id, count]));
  }

  async claim(
    id: string,
    owner: string,
    leaseMs: number,
    providerVersion: string,
    { inTurn = false }: ClaimOptions = {},
  ): Promise<ClaimAnswer> {
    if (inTurn) {
      const before = await this.#read(() => this.#targets.aheadOf(uuidOf(id)));
      if (before !== null) return this.#targetBusy(id, before);
    }
    let document: ClaimedDocument | null;
    try {
      document = await this.#take({
        write: {
          kind: CLAIM,
          id,
          given: { owner, leaseMs: wholeMs(leaseMs), providerVersion },
          alone: inTurn,
        },
        shows: (found) => found.open === true && found.owner === owner,
      });
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
      return this.#targetBusy(id, await this.#read(() => this.#targets.holderAt(uuidOf(id))));
    }
    if (document === null) return { kind: 'none' };
    const action = toClaimed(document);
    return {
      kind: 'claimed',
      claim: {
        action,
        lease: { actionId: id, epoch: action.epoch, owner },
        freshIntent: action.intent?.epoch === action.epoch,
      },
    };
  }

  renew(lease: Lease, leaseMs: number, report: HeartbeatReport = {}): Promise<ClaimedAction | null> {
    const { progress, checkpoint } = report;
    const order = this.#orderOf(lease);
    return this.#held('renew', lease, {
      leaseUntil: inMs(wholeMs(leaseMs)),
      nextAt: inMs(wholeMs(leaseMs)),
      ...(progress === undefined
        ? {}
        : {
            progress: latest('progressOrder', order, literal(progress), '$progress'),
            progressOrder: latestOrder('progressOrder', order),
          }),
      ...(checkpoint === undefined
        ? {}
        : {
            intent: {
              $cond: [
                { $eq: ['$intent', null] },
                null,
                latest(
                  'checkpointOrder',
                  order,
                  { $mergeObjects: ['$intent', { checkpoint: literal(checkpoint) }] },
                  '$intent',
                ),
              ],
            },
            checkpointOrder: latestOrder('checkpointOrder', order),
          }),
    });
  }

  recordIntent(lease: Lease, providerVersion: string): Promise<ClaimedAction | null> {
    // A cancel that came after it must not hide that it was recorded.
    return this.#step(
      this.#take,
      RECORD_INTENT,
      lease,
      { providerVersion },
      (found) => isHeld(found, lease) && found.intent?.epoch === lease.epoch,
    );
  }

  takeBack(lease: Lease): Promise<ClaimedAction | null> {
    return this.#held(
      'takeBack',
      lease,
      {
        ...RELEASED,
        phase: { $cond: [{ $eq: ['$cancel', null] }, phaseAfter('takeBack', 'retrying'), 'cancelling'] },
        intent: null,
        nextAt: NOW,
      },
      { 'intent.epoch': lease.epoch },
    );
  }

  saveOperation(lease: Lease, operation: VendorOperation): Promise<ClaimedAction | null> {
    return this.#step(
      this.#write,
      SAVE_OPERATION,
      lease,
      { operation, order: this.#orderOf(lease) },
      (found) => isHeld(found, lease) && found.intent !== null,
    );
  }

  noteCancelOutcome(lease: Lease, outcome: CancelOutcome): Promise<ClaimedAction | null> {
    return this.#held(
      'noteCancelOutcome',
      lease,
      { cancel: { $mergeObjects: ['$cancel', { outcome }] } },
      { cancel: { $ne: null } },
    );
  }

  wishCancelAtDeadline(lease: Lease): Promise<ClaimedAction | null> {
    const wish = { at: STAMP, why: 'deadline', appId: '$appId', user: '$user', outcome: null };
    return this.#held('wishCancelAtDeadline', lease, {
      phase: phaseAfter('wishCancelAtDeadline', 'cancelling'),
      cancel: { $ifNull: ['$cancel', wish] },
    });
  }

  park(
    lease: Lease,
    step: Release & { readonly operation: VendorOperation; readonly progress: Json },
  ): Promise<ClaimedAction | null> {
    const { operation, progress, delayMs, sawCancel } = step;
    const phase = phaseAfter('park', step.phase);
    return this.#step(
      this.#write,
      PARK,
      lease,
      { operation, progress, phase, delayMs: wholeMs(delayMs), sawCancel },
      (found) => isReleased(found, lease),
    );
  }

  retry(
    lease: Lease,
    step: Release & { readonly error: ErrorInfo; readonly applied: 'no' | 'unknown' },
  ): Promise<ClaimedAction | null> {
    const attempts = attemptsAfter(step.applied === 'no' ? 'failed' : 'unknown', literal(step.error));
    return this.#held('retry', lease, {
      ...RELEASED,
      phase: { $cond: [{ $eq: ['$cancel', null] }, phaseAfter('retry', step.phase), 'cancelling'] },
      attempts,
      intent:
        step.applied === 'no'
          ? null
          : {
              $mergeObjects: [
                '$intent',
                { attempt: { $add: ['$intent.attempt', 1] }, operation: null, repeatedAt: null },
              ],
            },
      // What the plugin noted outlives an intent that is cleared.
      checkpoint: step.applied === 'no' ? { $ifNull: ['$intent.checkpoint', '$$REMOVE'] } : '$$REMOVE',
      crashes: 0,
      nextAt: dueAgain(wholeMs(step.delayMs), step.sawCancel),
    });
  }

  handOver(lease: Lease): Promise<ClaimedAction | null> {
    return this.#held('handOver', lease, { ...RELEASED, nextAt: NOW });
  }

  complete(lease: Lease, result: Json, effect: EffectRecord | null = null): Promise<boolean> {
    return this.#close(COMPLETE, lease, { result, effect });
  }

  fail(lease: Lease, failure: FinalFailure): Promise<boolean> {
    const { phase, applied = phase === 'outcomeUnknown' ? 'unknown' : 'no' } = failure;
    return this.#close(failing(phase, applied), lease, { errorInfo: failure.errorInfo });
  }

  async throttle(ids: readonly string[], delayMs: number, waiting: Waiting): Promise<void> {
    if (ids.length === 0) return;
    await repeatedWrite(this.#budgetMs, (_isRepeat, within) =>
      this.#actions.updateMany(
        { _id: { $in: ids.map(uuidOf) }, open: true, status: { $in: [...TRANSITIONS.throttle.from] } },
        [
          {
            $set: {
              phase: phaseAfter('throttle', 'throttled'),
              waiting: literal(waiting),
              nextAt: {
                $min: [inMs(wholeMs(delayMs)), '$deadlineAt', { $ifNull: ['$startBefore', '$deadlineAt'] }],
              },
            },
          },
        ],
        within,
      ),
    );
  }

  async wakeNext(mutexKey: string): Promise<DueAction | null> {
    const next = await repeatedWrite(this.#budgetMs, () => this.#targets.wakeNext(mutexKey));
    return next === null ? null : dueOf(next);
  }

  async requestCancel(caller: Caller, id: string): Promise<CancelAnswer> {
    if (!isGuid(id)) return { kind: 'notFound' };
    const unissued = { $eq: ['$intent', null] };
    const who = { appId: literal(caller.appId), user: literal(caller.user) };
    const ended = errorInfo(
      ERROR_INFO_CODES.cancelled,
      'Cancelled before it was issued to the provider; nothing was done.',
    );
    const wish = { at: STAMP, why: 'caller', ...who, outcome: null };
    const changes: Changes = {
      status: { $cond: [unissued, 'Failed', '$status'] },
      phase: {
        $cond: [
          unissued,
          phaseAfter('cancelBeforeIssue', 'cancelled'),
          phaseAfter('wishCancel', 'cancelling'),
        ],
      },
      states: { $cond: [unissued, statesAfter('cancelBeforeIssue', who), '$states'] },
      errorInfo: { $cond: [unissued, literal(ended), null] },
      completedAt: { $cond: [unissued, STAMP, null] },
      open: { $cond: [unissued, '$$REMOVE', true] },
      cancel: { $ifNull: ['$cancel', wish] },
      waiting: { $cond: [unissued, null, '$waiting'] },
      mutexHeld: { $cond: [unissued, '$$REMOVE', '$mutexHeld'] },
      checkpoint: { $cond: [unissued, '$$REMOVE', '$checkpoint'] },
      lastOwner: { $cond: [unissued, '$$REMOVE', '$lastOwner'] },
      progressOrder: { $cond: [unissued, '$$REMOVE', '$progressOrder'] },
      checkpointOrder: { $cond: [unissued, '$$REMOVE', '$checkpointOrder'] },
      operationOrder: { $cond: [unissued, '$$REMOVE', '$operationOrder'] },
      lastActionAt: {
        $cond: [{ $and: [{ $ne: ['$cancel', null] }, { $not: [unissued] }] }, '$lastActionAt', STAMP],
      },
      owner: { $cond: [unissued, null, '$owner'] },
      leaseUntil: { $cond: [unissued, null, '$leaseUntil'] },
      // Whoever holds it is told by message and heartbeat; if nobody does, it is due now.
      nextAt: {
        $cond: [
          unissued,
          null,
          { $cond: [{ $eq: ['$owner', null] }, { $min: ['$nextAt', NOW] }, '$nextAt'] },
        ],
      },
    };
    try {
      return await repeatable(this.#budgetMs, async (_isRepeat, within): Promise<CancelAnswer> => {
        const document = await this.#change(
          { ...startsFrom('cancelBeforeIssue', id), tenantId: caller.tenantId },
          changes,
          within,
        );
        if (document !== null) {
          const action = toAction(document);
          return isFinal(action.status)
            ? { kind: 'cancelled', action, isEnd: true }
            : { kind: 'requested', action };
        }
        const action = await this.#actions.findOne({ _id: uuidOf(id), tenantId: caller.tenantId });
        if (action === null) return { kind: 'notFound' };
        return action.phase === 'cancelled' || action.phase === 'cancelledAtProvider'
          ? { kind: 'cancelled', action: toAction(action), isEnd: false }
          : { kind: 'tooLate', status: action.status };
      });
    } catch (cause) {
      if (cause instanceof WriteUnconfirmedError) throw new OutcomeUnknownError(id, { cause });
      throw cause;
    }
  }

  resolve(caller: Caller, id: string, finding: Finding): Promise<ResolveAnswer> {
    return resolveOutcome(this.#actions, this.#budgetMs, caller, id, finding);
  }

  async reserveRevert(
    tenantId: string,
    id: string,
    revertId: string,
    inPlaceOf: string | null,
    isLift = false,
  ): Promise<SecurityAction | null> {
    if (!isGuid(id)) return null;
    const completed: Filter = {
      _id: uuidOf(id),
      tenantId,
      // `tookEffect`, said to the database.
      $or: [{ status: 'Completed' }, { status: 'Failed', 'resolution.verdict': 'applied' }],
    };
    try {
      const document = await repeatable(this.#budgetMs, async (_isRepeat, within) => {
        // Null also finds a record of before there was such a field.
        const changed = await this.#change(
          { ...completed, revertedBy: inPlaceOf },
          {
            revertedBy: literal(revertId),
            keptUntil: { $max: ['$keptUntil', inMs(REVERT_RECORDED_WITHIN_MS)] },
            liftAt: {
              $cond: [{ $ne: [{ $type: '$liftAt' }, 'missing'] }, inMs(LIFT_WATCHED_MS), '$$REMOVE'],
            },
            ...(isLift ? { liftTries: ONE_MORE_TRY } : {}),
          },
          within,
        );
        return changed ?? this.#actions.findOne(completed);
      });
      return document === null ? null : toAction(document);
    } catch (cause) {
      if (cause instanceof WriteUnconfirmedError) throw new OutcomeUnknownError(revertId, { cause });
      throw cause;
    }
  }

  async due(
    list: DueList,
    limit: number,
    graceMs: number,
    after: DuePosition | null,
    fewWait = false,
  ): Promise<readonly DueAction[]> {
    const filter = this.#dueBeyond(STATUS_OF[list], graceMs, after);
    // By the tenants' entries of that status it passes over whatever waits, or has ended.
    const byStatus = list === 'begun' && !fewWait;
    const documents = await this.#read(() =>
      this.#actions
        .find(byStatus ? { ...filter, tenantId: { $gte: '' } } : filter, {
          hint: byStatus ? STATUS_INDEX : DUE_INDEX,
        })
        .project<DueFields>({
          ...DUE_FIELDS,
          overdue: { $or: [DEADLINE_PASSED, START_BEFORE_PASSED, UNISSUED_AND_UNWANTED] },
        })
        .sort({ ...DUE_INDEX })
        .limit(limit)
        .toArray(),
    );
    return documents.map(dueOf);
  }

  async overdue(
    among: number,
    graceMs: number,
    after: DuePosition | null,
  ): Promise<{ readonly ids: readonly string[]; readonly next: DuePosition | null }> {
    const isOver = { $or: [DEADLINE_PASSED, START_BEFORE_PASSED] };
    const [seen] = await this.#read(() =>
      this.#actions
        .aggregate<{
          readonly count: number;
          readonly last: { readonly id: Uuid; readonly nextAt: Date };
          readonly ids: readonly Uuid[];
        }>(
          [
            { $match: this.#dueBeyond(STATUS_OF.waiting, graceMs, after) },
            { $sort: DUE_INDEX },
            { $limit: among },
            {
              $group: {
                _id: null,
                count: { $sum: 1 },
                last: { $last: { id: '$_id', nextAt: '$nextAt' } },
                ids: { $push: { $cond: [isOver, '$_id', '$$REMOVE'] } },
              },
            },
          ],
          { hint: DUE_INDEX },
        )
        .toArray(),
    );
    if (seen === undefined) return { ids: [], next: null };
    const { count, last, ids } = seen;
    return {
      ids: ids.map((id) => id.toString()),
      next: count === among ? { id: last.id.toString(), nextAt: last.nextAt } : null,
    };
  }

  async closeOverdue(id: string, giveUpAfterMs: number): Promise<SecurityAction | null> {
    this.#ends += 1;
    const given = { endedBy: `${this.#name}/end-${this.#ends}`, giveUpAfterMs: wholeMs(giveUpAfterMs) };
    try {
      const document = await this.#closeLate({ kind: CLOSE_OVERDUE, id, given });
      return document === null ? null : toAction(document);
    } catch (cause) {
      if (!(cause instanceof WriteUnconfirmedError)) throw cause;
      const words = 'The database did not confirm the end of an overdue action.';
      throw new OperationalError('serviceNotAvailable', words, 5, { cause });
    }
  }

  /** Later for what is given later under a lease, and under a later one. */
  #orderOf({ epoch }: Lease): number {
    this.#given += 1;
    return epoch * GIVEN_MOST + this.#given;
  }

  /** A lease holder's write that goes with others'. */
  async #step(
    together: (write: ShownWrite) => Promise<ClaimedDocument | null>,
    kind: WriteKind,
    lease: Lease,
    given: GuardedWrite['given'],
    shows: (found: ClaimedDocument) => boolean,
  ): Promise<ClaimedAction | null> {
    const { actionId: id, epoch, owner } = lease;
    const write = { kind, id, given: { ...given, epoch, owner } };
    const document = await together({ write, shows });
    return document === null ? null : toClaimed(document);
  }

  /** A lease holder's write of the less usual kind. On a repeat, an answer that was lost is found by who has the lease. */
  async #held(
    name: TransitionName,
    lease: Lease,
    changes: Changes,
    extra: Filter = {},
  ): Promise<ClaimedAction | null> {
    const filter = { ...heldBy(name, lease), ...extra } as Filter;
    const budgetMs = KNOWN_HERE_ALONE.has(name) ? KNOWLEDGE_BUDGET_MS : this.#budgetMs;
    const document = await repeatable(budgetMs, async (isRepeat, within) => {
      const changed = await this.#changeHeld(filter, changes, within);
      // The first try may have given the lease back with its answer lost.
      if (changed !== null || !isRepeat || changes['owner'] !== null) return changed;
      const found = await this.#actions.findOne<ClaimedDocument>(
        { _id: uuidOf(lease.actionId) },
        { projection: CLAIMED_FIELDS },
      );
      return found !== null && isReleased(found, lease) ? found : null;
    });
    return document === null ? null : toClaimed(document);
  }

  /** Calls in groups; where the database refuses a group as such (too large, say), each by itself. */
  #grouped<Item, Value>(
    together: (
      items: readonly Item[],
      isRepeat: boolean,
      within: Within,
    ) => Promise<readonly (Value | Error)[]>,
    budgetMs = this.#budgetMs,
  ): (item: Item) => Promise<Value> {
    const attempt = (items: readonly Item[], mayBeSent: boolean) =>
      repeatable(budgetMs, (isRepeat, within) => together(items, isRepeat, within), { mayBeSent });
    return grouped(async (items) => {
      try {
        return await attempt(items, false);
      } catch (error) {
        const isUnreachable = error instanceof WriteUnconfirmedError || error instanceof OperationalError;
        if (isUnreachable || items.length === 1) throw error;
        // What failed may have come after the write: of any of them.
        const alone = await Promise.allSettled(items.map((item) => attempt([item], true)));
        return alone.map((one) =>
          one.status === 'fulfilled' ? (one.value[0] as Value | Error) : (one.reason as Error),
        );
      }
    });
  }

  /** @returns in order, the record as the write left it, or later; null where it was refused */
  async #writeTogether(
    writes: readonly ShownWrite[],
    isRepeat: boolean,
    within: Within,
  ): Promise<readonly (ClaimedDocument | Error | null)[]> {
    const [first] = writes;
    if (first !== undefined && writes.length === 1 && !isRepeat)
      return [await this.#together.updateOne(first.write, within)];
    const { errors } = await this.#together.update(
      writes.map(({ write }) => write),
      within,
    );
    const documents = await this.#together.readClaimed(writes.map(({ write }) => uuidOf(write.id)));
    return writes.map(({ write, shows }, index) => {
      const found = documents.get(write.id.toLowerCase());
      return found !== undefined && shows(found) ? found : (errors.get(index) ?? null);
    });
  }

  async aheadAtTarget(id: string): Promise<{ readonly id: string | null } | null> {
    const ahead = await this.#read(
      async () => (await this.#targets.aheadOf(uuidOf(id))) ?? (await this.#targets.holderAt(uuidOf(id))),
    );
    return ahead && { id: ahead.id?.toString() ?? null };
  }

  async ownAhead(
    {
      id,
      tenantId,
      instance,
      lane,
      createdAt,
    }: Pick<SecurityAction, 'id' | 'tenantId' | 'instance' | 'lane' | 'createdAt'>,
    atMost: number,
  ): Promise<number | null> {
    const before = { $or: [{ createdAt: { $lt: createdAt } }, { createdAt, _id: { $lt: uuidOf(id) } }] };
    const moreUrgent = LANES.slice(0, LANES.indexOf(lane));
    return this.#actions
      .countDocuments(
        {
          tenantId,
          status: 'NotStarted',
          instance,
          $or: [{ lane: { $in: moreUrgent } }, { lane, ...before }],
        },
        { limit: atMost, maxTimeMS: OWN_AHEAD_MS, hint: STATUS_INDEX },
      )
      .catch(() => null);
  }

  async #targetBusy(id: string, before: Ahead | null): Promise<ClaimAnswer> {
    await this.throttle([id], TARGET_BUSY_MS, {
      reason: 'targetBusy',
      until: null,
      blockedBy: before?.id?.toString() ?? null,
    });
    return { kind: 'targetBusy' };
  }

  /** A lease holder's last write. Nobody needs the record back. */
  #close(
    kind: WriteKind,
    { actionId: id, epoch, owner }: Lease,
    given: GuardedWrite['given'],
  ): Promise<boolean> {
    this.#ends += 1;
    return this.#end({ kind, id, given: { ...given, epoch, owner, endedBy: `${owner}/end-${this.#ends}` } });
  }

  async #endTogether(ends: readonly GuardedWrite[], within: Within): Promise<readonly (boolean | Error)[]> {
    const { allMatched, errors } = await this.#together.update(ends, within);
    if (allMatched) return ends.map(() => true);
    // Which matched, now or on an earlier try with its answer lost: a record keeps the name of the write that ended it.
    const endedBy = await this.#together.readOwners(ends.map(({ id }) => uuidOf(id)));
    return ends.map(
      ({ id, given }, index) =>
        endedBy.get(id.toLowerCase()) === given['endedBy'] || (errors.get(index) ?? false),
    );
  }

  async #closeTogether(
    ends: readonly GuardedWrite[],
    within: Within,
  ): Promise<readonly (ActionDocument | Error | null)[]> {
    const closed = await this.#endTogether(ends, within);
    const ids = ends.filter((_end, index) => closed[index] === true).map(({ id }) => uuidOf(id));
    const documents = await this.#together.read(ids);
    return ends.map(({ id }, index) => {
      const one = closed[index];
      if (one instanceof Error) return one;
      return one === true ? (documents.get(id.toLowerCase()) ?? null) : null;
    });
  }

  /** Open actions of a status whose time came at least `graceMs` ago, from a place in their order on. */
  #dueBeyond(status: ActionStatus, graceMs: number, after: DuePosition | null): Filter {
    const beyond: Filter =
      after === null
        ? {}
        : {
            $or: [
              { nextAt: { $gt: after.nextAt } },
              { nextAt: after.nextAt, _id: { $gt: uuidOf(after.id) } },
            ],
          };
    const nextAt = { $lte: new Date(this.#clock.now().getTime() - graceMs) };
    return { open: true, status, nextAt, ...beyond };
  }

  #change(filter: Filter, changes: Changes, within: Within): Promise<ActionDocument | null> {
    return this.#actions.findOneAndUpdate(filter, [{ $set: changes }], {
      returnDocument: 'after',
      ...within,
    });
  }

  #changeHeld(filter: Filter, changes: Changes, within: Within): Promise<ClaimedDocument | null> {
    return this.#actions.findOneAndUpdate(filter, [{ $set: changes }], {
      returnDocument: 'after',
      projection: CLAIMED_FIELDS,
      ...within,
    });
  }

  #read<T>(read: () => Promise<T>): Promise<T> {
    return repeatedRead(this.#budgetMs, read);
  }
}

/** What is read of a due action. */
const DUE_FIELDS = {
  tenantId: 1,
  instance: 1,
  actionName: 1,
  lane: 1,
  epoch: 1,
  nextAt: 1,
  polls: { $ne: [{ $ifNull: ['$intent.operation', null] }, null] },
  stopAt: {
    $switch: {
      branches: [
        { case: { $eq: ['$cancel', null] }, then: '$deadlineAt' },
        { case: { $eq: ['$cancel.outcome', null] }, then: '$cancel.at' },
      ],
      default: null,
    },
  },
} as const;

interface DueFields extends Omit<DueAction, 'id' | 'lane' | 'overdue'> {
  readonly _id: Uuid;
  readonly lane?: Lane;
  readonly overdue?: boolean;
}

function dueOf({ _id, lane = 'routine', overdue = false, ...rest }: DueFields): DueAction {
  return { id: _id.toString(), lane, overdue, ...rest };
}

/** In which status the actions of a list of due ones are. */
const STATUS_OF: Readonly<Record<DueList, ActionStatus>> = { begun: 'Running', waiting: 'NotStarted' };

/** The lease is still the one it was: what its holder wrote with it was not refused. */
function isHeld(found: ClaimedDocument, lease: Lease): boolean {
  return found.open === true && found.epoch === lease.epoch && found.owner === lease.owner;
}

/** The lease was given back, which its holder alone can do: whoever takes it over raises the epoch. */
function isReleased(found: ClaimedDocument, lease: Lease): boolean {
  return found.open === true && found.epoch === lease.epoch && found.owner !== lease.owner;
}
