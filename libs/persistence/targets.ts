import type mongoose from 'mongoose';
import { TARGET_INDEX, type ActionDocument, type Uuid } from './action-document.js';

/**
 * Who is at a target and who waits for it. That one at a time is there is not decided here but by a unique index over
 * those that are Running; this is for the order.
 */
export class Targets<Due extends { readonly _id: Uuid }> {
  readonly #actions: mongoose.mongo.Collection<ActionDocument>;
  readonly #fields: object;

  /** @param fields what is read of an action that is woken */
  constructor(actions: mongoose.mongo.Collection<ActionDocument>, fields: object) {
    this.#actions = actions;
    this.#fields = fields;
  }

  /** The action that was asked for before this one at the same target and has not ended; null: none. */
  async aheadOf(id: Uuid): Promise<Uuid | null> {
    const own = await this.#actions.findOne(
      { _id: id, open: true, status: 'NotStarted' },
      { projection: { mutexKey: 1, createdAt: 1 } },
    );
    if (own?.mutexKey == null) return null;
    const first = await this.#actions
      .find({ open: true, mutexKey: own.mutexKey })
      .sort({ createdAt: 1, _id: 1 })
      .hint(TARGET_INDEX)
      .limit(1)
      .project<{ _id: Uuid }>({ _id: 1 })
      .next();
    if (first === null) return null;
    const { _id: firstId } = first;
    return firstId.equals(id) ? null : firstId;
  }

  /** The action that is Running at the target of this one; null: none any more. */
  async holderAt(id: Uuid): Promise<Uuid | null> {
    const own = await this.#actions.findOne({ _id: id }, { projection: { mutexKey: 1 } });
    if (own?.mutexKey == null) return null;
    const holder = await this.#actions.findOne({ mutexHeld: own.mutexKey }, { projection: { _id: 1 } });
    if (holder === null) return null;
    const { _id: holderId } = holder;
    return holderId;
  }

  /** Makes the one due that was asked for first of those that wait; null: none waits, or one is Running. */
  async wakeNext(mutexKey: string): Promise<Due | null> {
    return this.#actions.findOneAndUpdate(
      { open: true, mutexKey, status: 'NotStarted' },
      [{ $set: { nextAt: { $min: ['$nextAt', '$$NOW'] } } }],
      {
        sort: { createdAt: 1, _id: 1 },
        hint: TARGET_INDEX,
        projection: this.#fields,
        returnDocument: 'after',
      },
    ) as unknown as Promise<Due | null>;
  }
}
