import type mongoose from 'mongoose';
import { TARGET_INDEX, type ActionDocument, type Uuid } from './action-document.js';

interface Known {
  readonly _id: Uuid;
  readonly tenantId: string;
}

/** Somebody is before it at the target. */
export interface Ahead {
  /** Null where that is another tenant's action: targets are shared between tenants, what they do there is not. */
  readonly id: Uuid | null;
}

function shownTo(tenantId: string, { _id: id, tenantId: whose }: Known): Ahead {
  return { id: whose === tenantId ? id : null };
}

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

  /** Who was asked for before this one at the same target and has not ended; null: nobody. */
  async aheadOf(id: Uuid): Promise<Ahead | null> {
    const own = await this.#actions.findOne(
      { _id: id, open: true, status: 'NotStarted' },
      { projection: { mutexKey: 1, tenantId: 1 } },
    );
    if (own?.mutexKey == null) return null;
    const first = await this.#actions
      .find({ open: true, mutexKey: own.mutexKey })
      .sort({ createdAt: 1, _id: 1 })
      .hint(TARGET_INDEX)
      .limit(1)
      .project<Known>({ tenantId: 1 })
      .next();
    if (first === null) return null;
    const { _id: firstId } = first;
    return firstId.equals(id) ? null : shownTo(own.tenantId, first);
  }

  /** Who is Running at the target of this one; null: nobody any more. */
  async holderAt(id: Uuid): Promise<Ahead | null> {
    const own = await this.#actions.findOne({ _id: id }, { projection: { mutexKey: 1, tenantId: 1 } });
    if (own?.mutexKey == null) return null;
    const holder = await this.#actions.findOne<Known>(
      { mutexHeld: own.mutexKey },
      { projection: { tenantId: 1 } },
    );
    return holder === null ? null : shownTo(own.tenantId, holder);
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
