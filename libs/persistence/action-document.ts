import mongoose from 'mongoose';
import type { Resolution, SecurityAction } from '#domain';

export type Uuid = mongoose.mongo.UUID;

/**
 * An action as MongoDB holds it. Two fields are there only while they are true, and carry partial indexes: `open`
 * until the action is final, `unresolved` from an end of unknown outcome until somebody has resolved it.
 */
export type ActionDocument = Omit<SecurityAction, 'id' | 'resolution'> & {
  readonly _id: Uuid;
  readonly open?: true;
  readonly unresolved?: true;
  /** Until then retention leaves it, because an idempotency key may lead to it. Absent where none does. */
  readonly keptUntil?: Date;
  /** Records of the time before there were resolutions have none. */
  readonly resolution?: Resolution | null;
};

/** The collection of the actions. */
export const ACTIONS = 'actions';

const text = { type: String, default: null };
const json = { type: mongoose.Schema.Types.Mixed, default: null };

/** The index of what nobody has resolved yet. */
export const UNRESOLVED_INDEX = { tenantId: 1, completedAt: -1, _id: -1 } as const;

/** The index of what was not started yet. */
export const WAITING_INDEX = { instance: 1, status: 1 } as const;

/**
 * The collection's shape and indexes. Every write goes through `MongoActionStore`, whose conditional
 * pipeline updates use the driver under Mongoose's connection; the schema documents, and makes the indexes.
 */
export const actionSchema = new mongoose.Schema(
  {
    _id: { type: mongoose.Schema.Types.UUID, required: true },
    tenantId: { type: String, required: true },
    appId: { type: String, required: true },
    user: text,
    name: { type: String, required: true },
    actionReason: text,
    clientContext: text,
    parameters: [{ _id: false, name: String, value: String }],
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
    states: [{ _id: false, status: String, updatedAt: Date, appId: String, user: String }],
    createdAt: { type: Date, required: true },
    lastActionAt: { type: Date, required: true },
    completedAt: Date,
    errorInfo: json,
    result: json,
    progress: json,
    deadlineAt: { type: Date, required: true },
    startBefore: Date,
    epoch: { type: Number, required: true },
    owner: text,
    leaseUntil: Date,
    nextAt: Date,
    crashes: { type: Number, required: true },
    intent: json,
    attempts: [json],
    cancel: json,
    resolution: json,
    open: Boolean,
    unresolved: Boolean,
    keptUntil: Date,
  },
  { collection: ACTIONS, versionKey: false, autoIndex: false, autoCreate: false },
);
// A tenant's list, newest first.
actionSchema.index({ tenantId: 1, createdAt: -1, _id: -1 });
// What waits for somebody to find out, last ended first.
actionSchema.index(UNRESOLVED_INDEX, { partialFilterExpression: { unresolved: true } });
// The sweep: work proportional to open actions, not to history.
actionSchema.index({ nextAt: 1, _id: 1 }, { partialFilterExpression: { open: true } });

// How many wait per instance: the status is in it so that a count reads the index alone.
actionSchema.index(WAITING_INDEX, { partialFilterExpression: { status: 'NotStarted' } });

/** The record as the rest of the product sees it. */
export function toAction(document: ActionDocument): SecurityAction {
  const {
    _id,
    open: _open,
    unresolved: _unresolved,
    keptUntil: _keptUntil,
    resolution = null,
    ...rest
  } = document;
  return { id: _id.toString(), ...rest, resolution };
}
