import mongoose from 'mongoose';
import type { ClaimedAction, Json, SecurityAction } from '#domain';
import { indexesOf, type IndexDeclaration } from './index-declaration.js';

export type Uuid = mongoose.mongo.UUID;

/**
 * An action as MongoDB holds it. Two fields are there only while they are true, and carry partial indexes: `open`
 * until the action is final, `unresolved` from an end of unknown outcome until somebody has resolved it.
 */
export type ActionDocument = Omit<SecurityAction, 'id' | AddedLater> &
  Partial<Pick<SecurityAction, AddedLater>> & {
    readonly _id: Uuid;
    readonly open?: true;
    readonly unresolved?: true;
    /** What a plugin noted last in an attempt that was not applied, for the next one. Absent where there is none. */
    readonly checkpoint?: Json;
    /** Its `mutexKey` while it is Running. */
    readonly mutexHeld?: string;
    /** Who held it last, while nobody does. Absent before the first time. */
    readonly lastOwner?: string;
    /** In which order the progress, checkpoint and operation that are there were given. Absent while none was. */
    readonly progressOrder?: number;
    readonly checkpointOrder?: number;
    readonly operationOrder?: number;
    /** When the lifting of its effect is looked at. Absent unless it is completed and its effect has an end ahead. */
    readonly liftAt?: Date;
    /** How often the engine has tried to lift it. Absent before the first time. */
    readonly liftTries?: number;
    /** Until then retention leaves it: an idempotency key may lead to it, or its revert is being recorded. Absent where neither is so. */
    readonly keptUntil?: Date;
  };

/** Records of the time before there was such a thing have none; nor has one without secrets or a trace what is for these. */
type AddedLater =
  | 'resolution'
  | 'lane'
  | 'mutexKey'
  | 'reverts'
  | 'waiting'
  | 'effect'
  | 'effectUntil'
  | 'revertedBy'
  | 'sealed'
  | 'traceparent';

/** The collection of the actions. */
export const ACTIONS = 'actions';
/** The collection of the records of provider instances. */
export const INSTANCES = 'instances';

const text = { type: String, default: null };
const json = { type: mongoose.Schema.Types.Mixed, default: null };

/** A tenant's list, newest first. */
export const CREATED_INDEX = { tenantId: 1, createdAt: -1, _id: -1 } as const;
/** The same of a status. */
export const STATUS_INDEX = { tenantId: 1, status: 1, createdAt: -1, _id: -1 } as const;
/** A tenant's actions by their last change: what somebody asks who wants to hear of every change. */
export const CHANGED_INDEX = { tenantId: 1, lastActionAt: -1, _id: -1 } as const;
/** The index of what nobody has resolved yet. */
export const UNRESOLVED_INDEX = { tenantId: 1, completedAt: -1, _id: -1 } as const;

/** Actions by when somebody said what became of them: few ever are. */
export const RESOLVED_INDEX = { 'resolution.at': 1, _id: 1, tenantId: 1 } as const;

/** The index of open actions at a target, in the order they were asked for. */
export const TARGET_INDEX = { mutexKey: 1, createdAt: 1, _id: 1 } as const;
/** The index of open actions in the order in which they are due. */
export const DUE_INDEX = { nextAt: 1, _id: 1 } as const;
/** The index of effects that are to be lifted. */
export const LIFT_INDEX = { liftAt: 1, _id: 1 } as const;
/** The index of what was not started yet. */
export const WAITING_INDEX = { instance: 1, status: 1 } as const;

/**
 * The collection's shape and indexes. Every write goes through `MongoActionStore`, whose conditional
 * pipeline updates use the driver under Mongoose's connection; the schema documents, and declares the indexes.
 */
const actionSchema = new mongoose.Schema(
  {
    _id: { type: mongoose.Schema.Types.UUID, required: true },
    tenantId: { type: String, required: true },
    appId: { type: String, required: true },
    user: text,
    name: { type: String, required: true },
    actionReason: text,
    clientContext: text,
    parameters: [{ _id: false, name: String, value: String }],
    sealed: String,
    traceparent: String,
    vendorInformation: {
      _id: false,
      vendor: String,
      provider: String,
      providerVersion: String,
      subProvider: String,
    },
    instance: { type: String, required: true },
    actionName: { type: String, required: true },
    providerVersion: { type: String, required: true },
    idempotency: { type: String, required: true },
    status: { type: String, required: true },
    phase: { type: String, required: true },
    lane: { type: String, default: 'routine' },
    mutexKey: text,
    reverts: text,
    waiting: json,
    states: [{ _id: false, status: String, updatedAt: Date, appId: String, user: String }],
    createdAt: { type: Date, required: true },
    lastActionAt: { type: Date, required: true },
    completedAt: Date,
    errorInfo: json,
    result: json,
    effect: json,
    progress: json,
    deadlineAt: { type: Date, required: true },
    startBefore: Date,
    effectUntil: Date,
    epoch: { type: Number, required: true },
    owner: text,
    leaseUntil: Date,
    nextAt: Date,
    crashes: { type: Number, required: true },
    intent: json,
    attempts: [json],
    cancel: json,
    resolution: json,
    revertedBy: text,
    open: Boolean,
    mutexHeld: String,
    unresolved: Boolean,
    checkpoint: mongoose.Schema.Types.Mixed,
    lastOwner: String,
    progressOrder: Number,
    checkpointOrder: Number,
    operationOrder: Number,
    liftAt: Date,
    liftTries: Number,
    keptUntil: Date,
  },
  { collection: ACTIONS, versionKey: false, autoIndex: false, autoCreate: false },
);
// Status and last change move at every transition: each of these is paid for by every write.
actionSchema.index(CREATED_INDEX);
actionSchema.index(STATUS_INDEX);
actionSchema.index(CHANGED_INDEX);
// What waits for somebody to find out, last ended first.
actionSchema.index(UNRESOLVED_INDEX, { partialFilterExpression: { unresolved: true } });
// What an audit finds findings by: they change nothing else of the record, its last change included.
actionSchema.index(RESOLVED_INDEX, { partialFilterExpression: { 'resolution.at': { $exists: true } } });
// The sweep: work proportional to open actions, not to history.
actionSchema.index(DUE_INDEX, { partialFilterExpression: { open: true } });

// One at a time is Running at a target. Only actions that name one are in these two.
actionSchema.index(
  { mutexHeld: 1 },
  { unique: true, partialFilterExpression: { mutexHeld: { $exists: true } } },
);
actionSchema.index(TARGET_INDEX, { partialFilterExpression: { open: true, mutexKey: { $type: 'string' } } });

// Only actions whose effect has an end are in it, until it was lifted.
actionSchema.index(LIFT_INDEX, { partialFilterExpression: { liftAt: { $exists: true } } });

// How many wait per instance: the status is in it so that a count reads the index alone.
actionSchema.index(WAITING_INDEX, { partialFilterExpression: { status: 'NotStarted' } });

/** What the schema declares, without what Mongoose adds to it. */
export const ACTION_INDEXES = indexesOf(
  ACTIONS,
  ...actionSchema
    .indexes()
    .map(([key, { background: _background, ...options }]) => ({ key, ...options }) as IndexDeclaration),
);

const NONE_OF_THESE = {
  resolution: null,
  lane: 'routine',
  mutexKey: null,
  reverts: null,
  waiting: null,
  effect: null,
  effectUntil: null,
  revertedBy: null,
  sealed: null,
  traceparent: null,
} as const;

/** The record as the rest of the product sees it. */
export function toAction(document: ActionDocument): SecurityAction {
  const {
    _id,
    open: _open,
    unresolved: _unresolved,
    checkpoint: _checkpoint,
    keptUntil: _keptUntil,
    liftAt: _liftAt,
    liftTries: _liftTries,
    mutexHeld: _mutexHeld,
    lastOwner: _lastOwner,
    progressOrder: _progressOrder,
    checkpointOrder: _checkpointOrder,
    operationOrder: _operationOrder,
    ...rest
  } = document;
  return { id: _id.toString(), ...NONE_OF_THESE, ...rest };
}

/** What a claim reads of a record, besides its id. */
export const CLAIMED_FIELDS = {
  tenantId: 1,
  instance: 1,
  actionName: 1,
  parameters: 1,
  sealed: 1,
  lane: 1,
  mutexKey: 1,
  reverts: 1,
  progress: 1,
  createdAt: 1,
  deadlineAt: 1,
  effectUntil: 1,
  open: 1,
  epoch: 1,
  owner: 1,
  leaseUntil: 1,
  nextAt: 1,
  crashes: 1,
  intent: 1,
  attempts: 1,
  cancel: 1,
  traceparent: 1,
} as const satisfies Readonly<Record<Exclude<keyof ClaimedAction, 'id'> | 'open', 1>>;

/** A record as it is read by {@link CLAIMED_FIELDS}. */
export type ClaimedDocument = Pick<ActionDocument, '_id' | keyof typeof CLAIMED_FIELDS>;

/** As {@link toAction}, for who carries it out. */
export function toClaimed({ _id, ...document }: ClaimedDocument): ClaimedAction {
  return {
    id: _id.toString(),
    tenantId: document.tenantId,
    instance: document.instance,
    actionName: document.actionName,
    parameters: document.parameters,
    sealed: document.sealed ?? null,
    lane: document.lane ?? 'routine',
    mutexKey: document.mutexKey ?? null,
    reverts: document.reverts ?? null,
    progress: document.progress,
    createdAt: document.createdAt,
    deadlineAt: document.deadlineAt,
    effectUntil: document.effectUntil ?? null,
    epoch: document.epoch,
    owner: document.owner,
    leaseUntil: document.leaseUntil,
    nextAt: document.nextAt,
    crashes: document.crashes,
    intent: document.intent,
    attempts: document.attempts,
    cancel: document.cancel,
    traceparent: document.traceparent ?? null,
  };
}
