import { randomUUID } from 'node:crypto';
import type mongoose from 'mongoose';
import type { LifecycleEvent, Notification, Subscriber, Subscription, SubscriptionStore } from '#domain';
import { ACTIONS, CHANGED_INDEX, type ActionDocument, type Uuid } from './action-document.js';
import { indexesOf } from './index-declaration.js';
import { NOW, inMs, wholeMs } from './pipeline.js';
import type { ServerClock } from './server-clock.js';
import { uuidOf } from './uuid.js';
import { DEFAULT_RETRY_BUDGET_MS, repeatable, repeatedRead, repeatedWrite } from './write-retry.js';

type SubscriptionDocument = Omit<Subscription, 'id'> & {
  readonly _id: string;
  /** The newest change of an action that was seen for it. */
  readonly seenAt: Date;
  /** Absent until it has expired and its history is on record. */
  readonly endedAt?: Date;
};

type NotificationDocument = Omit<Notification, 'id'> & {
  readonly _id: string;
  /** Which of the action's changes; 0 for a lifecycle event. */
  readonly step: number;
  readonly state: 'waiting' | 'delivered' | 'dead';
  /** Who may write what became of it: another one each time it is taken. */
  readonly turn: string | null;
  readonly nextAt: Date;
  /** When the record goes. */
  readonly purgeAt: Date | null;
};

const SUBSCRIPTIONS = 'subscriptions';
const NOTIFICATIONS = 'notifications';
export const SUBSCRIPTION_INDEXES = indexesOf(SUBSCRIPTIONS, {
  key: { tenantId: 1, appId: 1, createdAt: 1 },
});
const WAITING = { state: 'waiting' } as const;
/** MongoDB removes a record some time after it was delivered. */
export const NOTIFICATION_INDEXES = indexesOf(
  NOTIFICATIONS,
  { key: { nextAt: 1, _id: 1 }, partialFilterExpression: WAITING },
  { key: { subscriptionId: 1, actionId: 1, step: 1 }, partialFilterExpression: WAITING },
  { key: { tenantId: 1, deadAt: -1 }, partialFilterExpression: { state: 'dead' } },
  { key: { purgeAt: 1 }, expireAfterSeconds: 0 },
);

const COLLECTED_AT_ONCE = 500;
/**
 * Milliseconds that are looked at again before the newest change seen. A change is stamped before it is written, so that
 * one with an earlier stamp may be seen later: as a rule by milliseconds; through an election by what a write may
 * repeat itself (some 20 s) and what the clocks of two primaries differ.
 */
const LOOK_BACK_MS = 5000;
const THOROUGH_LOOK_BACK_MS = 900_000;
/** Milliseconds that a delivered notification stays on record: longer than anything is looked back. */
const DELIVERED_KEPT_MS = 7_200_000;
const DEAD_KEPT_MS = 30 * 86_400_000;
const MOST_DEAD_LETTERS = 1000;

/**
 * `SubscriptionStore` on MongoDB. A notification has the id of its subscription, action and the change's place in the
 * action's own history: whoever finds a change puts it on record at most once, and wherever a process dies the next one
 * finds what it had not.
 */
export class MongoSubscriptionStore implements SubscriptionStore {
  readonly #subscriptions: mongoose.mongo.Collection<SubscriptionDocument>;
  readonly #notifications: mongoose.mongo.Collection<NotificationDocument>;
  readonly #actions: mongoose.mongo.Collection<ActionDocument>;
  readonly #clock: ServerClock;
  readonly #budgetMs: number;

  /** @param retryBudgetMs milliseconds a call may go on repeating through an election; default 12,000 */
  constructor(db: mongoose.mongo.Db, clock: ServerClock, retryBudgetMs = DEFAULT_RETRY_BUDGET_MS) {
    this.#subscriptions = db.collection<SubscriptionDocument>(SUBSCRIPTIONS);
    this.#notifications = db.collection<NotificationDocument>(NOTIFICATIONS);
    this.#actions = db.collection<ActionDocument>(ACTIONS);
    this.#clock = clock;
    this.#budgetMs = retryBudgetMs;
  }

  now(): Date {
    return this.#clock.now();
  }

  async create({ id, ...given }: Omit<Subscription, 'createdAt' | 'renewedAt'>): Promise<Subscription> {
    const now = this.now();
    const document = { _id: id, ...given, createdAt: now, renewedAt: now, seenAt: now };
    await repeatedWrite(this.#budgetMs, () =>
      this.#subscriptions.updateOne({ _id: id }, { $setOnInsert: document }, { upsert: true }),
    );
    return toSubscription(document);
  }

  async of(subscriber: Subscriber): Promise<readonly Subscription[]> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#subscriptions.find(this.#ofThe(subscriber)).sort({ createdAt: 1 }).toArray(),
    );
    return found.map(toSubscription);
  }

  async find(subscriber: Subscriber, id: string): Promise<Subscription | null> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#subscriptions.findOne({ ...this.#ofThe(subscriber), _id: id.toLowerCase() }),
    );
    return found && toSubscription(found);
  }

  async renew(subscriber: Subscriber, id: string, expiresAt: Date): Promise<Subscription | null> {
    const renewed = await repeatedWrite(this.#budgetMs, () =>
      this.#subscriptions.findOneAndUpdate(
        { ...this.#ofThe(subscriber), _id: id.toLowerCase() },
        [{ $set: { expiresAt, renewedAt: NOW } }],
        { returnDocument: 'after' },
      ),
    );
    return renewed && toSubscription(renewed);
  }

  async remove(subscriber: Subscriber, id: string): Promise<boolean> {
    const subscriptionId = id.toLowerCase();
    const removed = await repeatedWrite(this.#budgetMs, () =>
      this.#subscriptions.findOneAndDelete({ ...this.#ofThe(subscriber), _id: subscriptionId }),
    );
    if (removed === null) return false;
    await repeatedWrite(this.#budgetMs, () =>
      this.#notifications.deleteMany({ subscriptionId, state: 'waiting' }),
    );
    return true;
  }

  async standing(): Promise<readonly Subscription[]> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#subscriptions.find({ endedAt: { $exists: false } }).toArray(),
    );
    return found.map(toSubscription);
  }

  async byId(id: string): Promise<Subscription | null> {
    const found = await repeatedRead(this.#budgetMs, () => this.#subscriptions.findOne({ _id: id }));
    return found && toSubscription(found);
  }

  async collect(subscription: Subscription, isThorough: boolean): Promise<number> {
    const { id, tenantId, actionId, createdAt } = subscription;
    const document = await repeatedRead(this.#budgetMs, () => this.#subscriptions.findOne({ _id: id }));
    if (document === null) return 0;
    const backMs = isThorough ? THOROUGH_LOOK_BACK_MS : LOOK_BACK_MS;
    let from = new Date(Math.max(createdAt.getTime(), document.seenAt.getTime() - backMs));
    let after: Uuid | null = null;
    let collected = 0;
    for (;;) {
      const position: object =
        after === null
          ? { lastActionAt: { $gte: from } }
          : { $or: [{ lastActionAt: { $gt: from } }, { lastActionAt: from, _id: { $lt: after } }] };
      const one = actionId === null ? {} : { _id: uuidOf(actionId) };
      const page = await repeatedRead(this.#budgetMs, () =>
        this.#actions
          .find({ $and: [{ tenantId }, one, position] })
          .project<Pick<ActionDocument, '_id' | 'lastActionAt' | 'states'>>({ lastActionAt: 1, states: 1 })
          .sort({ lastActionAt: 1, _id: -1 })
          .hint(actionId === null ? CHANGED_INDEX : { _id: 1 })
          .limit(COLLECTED_AT_ONCE)
          .toArray(),
      );
      const last = page.at(-1);
      if (last === undefined) return collected;
      const { _id: lastId, lastActionAt } = last;
      collected += await this.#record(subscription, page);
      // Not before they are on record: who dies between is followed by one that finds them again.
      await repeatable(this.#budgetMs, () =>
        this.#subscriptions.updateOne({ _id: id }, { $max: { seenAt: lastActionAt } }),
      );
      if (page.length < COLLECTED_AT_ONCE) return collected;
      from = lastActionAt;
      after = lastId;
    }
  }

  async addLifecycle(subscription: Subscription, event: LifecycleEvent, key: string): Promise<void> {
    const id = `${subscription.id}.${event}.${key}`;
    await this.#add([this.#notification(subscription, { id, actionId: null, event, step: 0 })]);
  }

  async end({ id }: Subscription): Promise<void> {
    await repeatable(this.#budgetMs, () =>
      // Not one that was renewed meanwhile.
      this.#subscriptions.updateOne({ _id: id, $expr: { $lte: ['$expiresAt', NOW] } }, [
        { $set: { endedAt: NOW } },
      ]),
    );
  }

  async take(limit: number, leaseMs: number): Promise<readonly Notification[]> {
    const now = this.now();
    const due = await repeatedRead(this.#budgetMs, () =>
      this.#notifications
        .find({ state: 'waiting', nextAt: { $lte: now } })
        .sort({ nextAt: 1, _id: 1 })
        .limit(limit)
        .project<Pick<NotificationDocument, 'subscriptionId' | 'actionId'>>({
          subscriptionId: 1,
          actionId: 1,
        })
        .toArray(),
    );
    const places = new Map(
      due.map(({ subscriptionId, actionId }) => [
        `${subscriptionId}/${actionId}`,
        { subscriptionId, actionId },
      ]),
    );
    const taken = await Promise.all([...places.values()].map((place) => this.#takeFirst(place, leaseMs)));
    return taken.filter((one) => one !== null);
  }

  async delivered(notification: Notification): Promise<void> {
    await this.#write(notification, {
      state: 'delivered',
      purgeAt: inMs(DELIVERED_KEPT_MS),
    });
    // What waited because of it does so no longer.
    if (notification.tries > 0)
      await repeatable(this.#budgetMs, () =>
        this.#notifications.updateMany(
          { subscriptionId: notification.subscriptionId, state: 'waiting', turn: null },
          [{ $set: { nextAt: NOW } }],
        ),
      );
  }

  async postpone(notification: Notification, ms: number, problem: string): Promise<void> {
    const nextAt = inMs(wholeMs(ms));
    await this.#write(notification, {
      nextAt,
      tries: { $add: ['$tries', 1] },
      problem: { $literal: problem },
    });
    // The receiver is away for all of them; and what comes after it of its action has to wait for it.
    await repeatable(this.#budgetMs, () =>
      this.#notifications.updateMany(
        { subscriptionId: notification.subscriptionId, state: 'waiting', turn: null },
        [{ $set: { nextAt: { $max: ['$nextAt', nextAt] } } }],
      ),
    );
  }

  bury(notification: Notification, problem: string): Promise<boolean> {
    return this.#write(notification, {
      state: 'dead',
      deadAt: NOW,
      tries: { $add: ['$tries', 1] },
      problem: { $literal: problem },
      purgeAt: inMs(DEAD_KEPT_MS),
    });
  }

  async deadLetters(tenantId: string): Promise<readonly Notification[]> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#notifications
        .find({ tenantId, state: 'dead' })
        .sort({ deadAt: -1 })
        .limit(MOST_DEAD_LETTERS)
        .toArray(),
    );
    return found.map((document) => toNotification(document));
  }

  async replay(tenantId: string, id: string): Promise<boolean> {
    const letter = await repeatedRead(this.#budgetMs, () =>
      this.#notifications.findOne({ tenantId, state: 'dead', _id: id }),
    );
    if (letter === null || (await this.byId(letter.subscriptionId)) === null) return false;
    await repeatedWrite(this.#budgetMs, () =>
      this.#notifications.updateOne({ tenantId, state: 'dead', _id: id }, [
        {
          $set: {
            state: 'waiting',
            deadAt: null,
            purgeAt: null,
            tries: 0,
            createdAt: NOW,
            nextAt: NOW,
            turn: null,
          },
        },
      ]),
    );
    return true;
  }

  #ofThe({ tenantId, appId }: Subscriber): mongoose.mongo.Filter<SubscriptionDocument> {
    return { tenantId, appId, $expr: { $gt: ['$expiresAt', NOW] } };
  }

  async #record(
    subscription: Subscription,
    actions: readonly Pick<ActionDocument, '_id' | 'states'>[],
  ): Promise<number> {
    const { id, changeTypes, createdAt, expiresAt } = subscription;
    const wanted = actions.flatMap(({ _id, states }) =>
      states.flatMap(({ updatedAt }, step) => {
        const event = step === 0 ? ('created' as const) : ('updated' as const);
        const actionId = _id.toString();
        const isWanted = changeTypes.includes(event) && updatedAt >= createdAt && updatedAt <= expiresAt;
        return isWanted ? [{ id: `${id}.${actionId}.${step}`, actionId, event, step }] : [];
      }),
    );
    if (wanted.length === 0) return 0;
    const there = await repeatedRead(this.#budgetMs, () =>
      this.#notifications
        .find({ _id: { $in: wanted.map((one) => one.id) } })
        .project<{ readonly _id: string }>({ _id: 1 })
        .toArray(),
    );
    const known = new Set(there.map(({ _id }) => _id));
    const fresh = wanted.filter((one) => !known.has(one.id));
    await this.#add(fresh.map((one) => this.#notification(subscription, one)));
    return fresh.length;
  }

  async #add(documents: readonly NotificationDocument[]): Promise<void> {
    if (documents.length === 0) return;
    await repeatable(this.#budgetMs, () =>
      this.#notifications.bulkWrite(
        documents.map(({ _id, ...document }) => ({
          updateOne: { filter: { _id }, update: { $setOnInsert: document }, upsert: true },
        })),
        { ordered: true },
      ),
    );
  }

  #notification(
    { id: subscriptionId, tenantId, appId }: Subscription,
    { id, ...what }: Pick<Notification, 'id' | 'actionId' | 'event'> & { readonly step: number },
  ): NotificationDocument {
    const now = this.now();
    const begun = {
      tries: 0,
      deadAt: null,
      problem: null,
      state: 'waiting',
      turn: null,
      purgeAt: null,
    } as const;
    return { _id: id, subscriptionId, tenantId, appId, ...what, ...begun, createdAt: now, nextAt: now };
  }

  /** The oldest of its action, if its time has come and nobody else has it. */
  async #takeFirst(
    place: Pick<NotificationDocument, 'subscriptionId' | 'actionId'>,
    leaseMs: number,
  ): Promise<Notification | null> {
    const first = await repeatedRead(this.#budgetMs, () =>
      this.#notifications.findOne({ ...place, state: 'waiting' }, { sort: { step: 1 } }),
    );
    if (first === null) return null;
    const { _id } = first;
    const turn = randomUUID();
    const isTaken = await repeatable(this.#budgetMs, () =>
      this.#notifications.findOneAndUpdate(
        {
          _id,
          state: 'waiting',
          $expr: { $or: [{ $lte: ['$nextAt', NOW] }, { $eq: ['$turn', turn] }] },
        },
        [{ $set: { turn, nextAt: inMs(leaseMs) } }],
        { returnDocument: 'after' },
      ),
    );
    if (isTaken !== null) return toNotification(isTaken);
    // It would be in the way of others again at once.
    await repeatable(this.#budgetMs, () =>
      this.#notifications.updateMany({ ...place, state: 'waiting', turn: null, step: { $gt: first.step } }, [
        { $set: { nextAt: { $max: ['$nextAt', first.nextAt] } } },
      ]),
    );
    return null;
  }

  /** Of whoever had the last turn alone. */
  async #write(notification: Notification, changes: Readonly<Record<string, unknown>>): Promise<boolean> {
    const turn = turns.get(notification) ?? null;
    const { matchedCount } = await repeatable(this.#budgetMs, () =>
      this.#notifications.updateOne({ _id: notification.id, state: 'waiting', turn }, [
        { $set: { ...changes, turn: null } },
      ]),
    );
    return matchedCount > 0;
  }
}

/** The turn in which a notification was taken. */
const turns = new WeakMap<Notification, string>();

function toSubscription({
  _id,
  seenAt: _seenAt,
  endedAt: _endedAt,
  ...rest
}: SubscriptionDocument): Subscription {
  return { id: _id, ...rest };
}

function toNotification(document: NotificationDocument): Notification {
  const { _id, step: _step, state: _state, turn, nextAt: _nextAt, purgeAt: _purgeAt, ...rest } = document;
  const notification = { id: _id, ...rest };
  if (turn !== null) turns.set(notification, turn);
  return notification;
}
