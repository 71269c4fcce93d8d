import type mongoose from 'mongoose';
import type { DueLift, EffectLifts } from '#domain';
import { ACTIONS, LIFT_INDEX, type ActionDocument, type Uuid } from './action-document.js';
import { NOW, type Expression } from './pipeline.js';
import type { ServerClock } from './server-clock.js';
import { uuidOf } from './uuid.js';
import { DEFAULT_RETRY_BUDGET_MS, repeatedRead, repeatedWrite } from './write-retry.js';

type Filter = mongoose.mongo.Filter<ActionDocument>;

/** Milliseconds until it is looked at what became of a revert that is under way. */
export const LIFT_WATCHED_MS = 30_000;

export const ONE_MORE_TRY: Expression = { $add: [{ $ifNull: ['$liftTries', 0] }, 1] };

interface LiftFields extends Omit<DueLift, 'id' | 'dueAt' | 'readAt' | 'revertedBy'> {
  readonly _id: Uuid;
  readonly liftAt: Date;
  readonly revertedBy?: string | null;
}

/**
 * `EffectLifts` on MongoDB: two fields of the action's own document, of which `liftAt` is there from its completion until
 * the effect was lifted, with an index of those that have it.
 */
export class MongoEffectLifts implements EffectLifts {
  readonly #actions: mongoose.mongo.Collection<ActionDocument>;
  readonly #clock: ServerClock;
  readonly #budgetMs: number;

  /** @param retryBudgetMs milliseconds a call may go on repeating through an election; default 12,000 */
  constructor(db: mongoose.mongo.Db, clock: ServerClock, retryBudgetMs = DEFAULT_RETRY_BUDGET_MS) {
    this.#actions = db.collection<ActionDocument>(ACTIONS);
    this.#clock = clock;
    this.#budgetMs = retryBudgetMs;
  }

  async due(limit: number): Promise<readonly DueLift[]> {
    const readAt = this.#clock.now();
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#actions
        .find({ liftAt: { $lte: readAt } })
        .project<LiftFields>({
          tenantId: 1,
          appId: 1,
          instance: 1,
          effectUntil: 1,
          revertedBy: 1,
          liftAt: 1,
          isOver: { $lte: ['$effectUntil', NOW] },
          tries: { $ifNull: ['$liftTries', 0] },
        })
        .sort({ liftAt: 1, _id: 1 })
        .hint(LIFT_INDEX)
        .limit(limit)
        .toArray(),
    );
    return found.map(({ _id, liftAt, revertedBy = null, ...rest }) => ({
      id: _id.toString(),
      dueAt: liftAt,
      readAt,
      revertedBy,
      ...rest,
    }));
  }

  async postpone({ id, dueAt }: DueLift, until: Date | null, tried = false): Promise<void> {
    const asItWasRead: Filter = { _id: uuidOf(id), liftAt: dueAt };
    const changes = { liftAt: until ?? '$$REMOVE', ...(tried ? { liftTries: ONE_MORE_TRY } : {}) };
    await repeatedWrite(this.#budgetMs, () => this.#actions.updateOne(asItWasRead, [{ $set: changes }]));
  }
}
