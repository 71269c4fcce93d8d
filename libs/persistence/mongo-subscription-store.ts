import { randomUUID } from 'node:crypto';
import type mongoose from 'mongoose';
import type {
  Delivery,
  LifecycleEvent,
  Notification,
  Recipient,
  Standing,
  Subscriber,
  Subscription,
  SubscriptionStore,
  Unsealed,
  Webhook,
} from '#domain';
import { ACTIONS, CHANGED_INDEX, type ActionDocument, type Uuid } from './action-document.js';
import { indexesOf } from './index-declaration.js';
import { NOW, inMs, wholeMs } from './pipeline.js';
import type { ServerClock } from './server-clock.js';
import { uuidOf } from './uuid.js';
import { DEFAULT_RETRY_BUDGET_MS, repeatable, repeatedRead, repeatedWrite } from './write-retry.js';

/** The collection of subscriptions and webhooks. */
export const RECIPIENTS = 'subscriptions';

interface Progress {
  readonly seenAt: Date;
  /** Absent until it has expired and its history is on record. */
  readonly endedAt?: Date;
  /** Until then it is told of no change: it could not be reached, or a webhook is being told, or was just now. */
  readonly heldUntil?: Date | null;
  /** Who holds a webhook: another one each time. */
  readonly turn?: string;
}

/** A recipient as it is stored. */
type Stored<R extends Unsealed> = Omit<R, 'id'> & Progress & { readonly _id: string };
type SubscriptionDocument = Stored<Subscription>;
type WebhookDocument = Stored<Webhook>;
type RecipientDocument = SubscriptionDocument | WebhookDocument;

/** What is read every second: no secrets. */
type UnsealedDocument = Stored<Unsealed<Subscription>> | Stored<Unsealed<Webhook>>;
const UNSEALED = { sealed: 0 } as const;

/** What was taken, before the secrets of the recipient are read. */
interface Taken {
  readonly recipient: Unsealed;
  readonly notifications: readonly Notification[];
}

type NotificationDocument = Omit<Notification, 'id'> & {
  readonly _id: string;
  /** When what it tells of happened: the order in which a recipient is told. */
  readonly at: Date;
  readonly state: 'waiting' | 'delivered' | 'dead';
  /** Who may write what became of it, or has: another one each time it is taken. */
  readonly turn: string | null;
  readonly nextAt: Date;
  /** When the record goes. */
  readonly purgeAt: Date | null;
};

const NOTIFICATIONS = 'notifications';
/**
 * Seconds that a subscription stays on record after its end: a notification may be tried for a week, and be a dead letter
 * that can be replayed for 30 days then.
 */
const ENDED_KEPT_SECONDS = 40 * 86_400;
export const SUBSCRIPTION_INDEXES = indexesOf(
  RECIPIENTS,
  { key: { tenantId: 1, appId: 1, createdAt: 1 } },
  { key: { endedAt: 1 }, expireAfterSeconds: ENDED_KEPT_SECONDS },
);
const WAITING = { state: 'waiting' } as const;
/** MongoDB removes a record some time after it was delivered. */
export const NOTIFICATION_INDEXES = indexesOf(
  NOTIFICATIONS,
  // Who has something waiting, and what of it comes first.
  { key: { state: 1, subscriptionId: 1, at: 1, step: 1 }, partialFilterExpression: WAITING },
  { key: { subscriptionId: 1, actionId: 1, step: 1 }, partialFilterExpression: WAITING },
  { key: { tenantId: 1, deadAt: -1 }, partialFilterExpression: { state: 'dead' } },
  { key: { purgeAt: 1 }, expireAfterSeconds: 0 },
);

const STANDING = { endedAt: { $exists: false } } as const;
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
/** The same of a lifecycle event: longer than the day for which a subscription may be near its end. */
const LIFECYCLE_KEPT_MS = 2 * 86_400_000;
const DEAD_KEPT_MS = 30 * 86_400_000;
const MOST_DEAD_LETTERS = 1000;
/** Changes that a webhook is told of with one message: people would not read each by itself. */
const TOLD_TOGETHER = 10;
/** Recipients that are looked at together for what is to be delivered. */
const LOOKED_TOGETHER = 10;
/** Per notification that may be taken, how many are looked at: later ones of the same action are not to be taken. */
const LOOKED_PER_PLACE = 4;

/**
 * `SubscriptionStore` on MongoDB. A notification has the id of its recipient, action and the change's place in the
 * action's own history: whoever finds a change puts it on record at most once, and wherever a process dies the next one
 * finds what it had not.
 */
export class MongoSubscriptionStore implements SubscriptionStore {
  readonly #recipients: mongoose.mongo.Collection<RecipientDocument>;
  readonly #subscriptions: mongoose.mongo.Collection<SubscriptionDocument>;
  readonly #webhooks: mongoose.mongo.Collection<WebhookDocument>;
  readonly #notifications: mongoose.mongo.Collection<NotificationDocument>;
  readonly #actions: mongoose.mongo.Collection<ActionDocument>;
  readonly #clock: ServerClock;
  readonly #budgetMs: number;

  /** @param retryBudgetMs milliseconds a call may go on repeating through an election; default 12,000 */
  constructor(db: mongoose.mongo.Db, clock: ServerClock, retryBudgetMs = DEFAULT_RETRY_BUDGET_MS) {
    this.#recipients = db.collection<RecipientDocument>(RECIPIENTS);
    this.#subscriptions = db.collection<SubscriptionDocument>(RECIPIENTS);
    this.#webhooks = db.collection<WebhookDocument>(RECIPIENTS);
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
    await this.#insert(document);
    return recipientOf(document);
  }

  async of(subscriber: Subscriber): Promise<readonly Subscription[]> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#subscriptions.find(this.#ofThe(subscriber)).sort({ createdAt: 1 }).toArray(),
    );
    return found.map((one) => recipientOf(one));
  }

  async find(subscriber: Subscriber, id: string): Promise<Subscription | null> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#subscriptions.findOne({ ...this.#ofThe(subscriber), _id: id.toLowerCase() }),
    );
    return found && recipientOf(found);
  }

  async renew(subscriber: Subscriber, id: string, expiresAt: Date): Promise<Subscription | null> {
    const renewed = await repeatedWrite(this.#budgetMs, () =>
      this.#subscriptions.findOneAndUpdate(
        { ...this.#ofThe(subscriber), _id: id.toLowerCase() },
        [{ $set: { expiresAt, renewedAt: NOW } }],
        { returnDocument: 'after' },
      ),
    );
    return renewed && recipientOf(renewed);
  }

  async remove(subscriber: Subscriber, id: string): Promise<boolean> {
    return this.#remove(await this.find(subscriber, id));
  }

  async createWebhook({ id, ...given }: Omit<Webhook, 'createdAt'>, pauseMs: number): Promise<Webhook> {
    const now = this.now();
    const heldUntil = new Date(now.getTime() + pauseMs);
    const document = { _id: id, ...given, createdAt: now, seenAt: now, heldUntil };
    await this.#insert(document);
    return recipientOf(document);
  }

  async webhooksOf(tenantId: string): Promise<readonly Webhook[]> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#webhooks.find({ tenantId, kind: 'webhook' }).sort({ createdAt: 1 }).toArray(),
    );
    return found.map((one) => recipientOf(one));
  }

  async findWebhook(tenantId: string, id: string): Promise<Webhook | null> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#webhooks.findOne({ tenantId, kind: 'webhook', _id: id.toLowerCase() }),
    );
    return found && recipientOf(found);
  }

  async moveWebhook(tenantId: string, id: string, sealed: string, pauseMs: number): Promise<Webhook | null> {
    const moved = await repeatedWrite(this.#budgetMs, () =>
      this.#webhooks.findOneAndUpdate(
        { tenantId, kind: 'webhook', _id: id.toLowerCase() },
        [{ $set: { sealed: { $literal: sealed }, heldUntil: inMs(wholeMs(pauseMs)) } }],
        { returnDocument: 'after' },
      ),
    );
    return moved && recipientOf(moved);
  }

  async removeWebhook(tenantId: string, id: string): Promise<boolean> {
    return this.#remove(await this.findWebhook(tenantId, id));
  }

  async isAnyStanding(): Promise<boolean> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#recipients.findOne(STANDING, { projection: { _id: 1 } }),
    );
    return found !== null;
  }

  async standing(): Promise<readonly Standing[]> {
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#recipients.find(STANDING).project<UnsealedDocument>(UNSEALED).toArray(),
    );
    return found.map((document) => ({ ...recipientOf<Unsealed>(document), seenAt: document.seenAt }));
  }

  async collect(recipient: Standing, isThorough: boolean): Promise<number> {
    const { id, tenantId, createdAt, seenAt } = recipient;
    const actionId = recipient.kind === 'subscription' ? recipient.actionId : null;
    const since = (backMs: number): Date =>
      new Date(Math.max(createdAt.getTime(), seenAt.getTime() - backMs));
    // What an action did before it is on record, or was told so long ago that its record is gone.
    const untold = since(THOROUGH_LOOK_BACK_MS);
    let from = isThorough ? untold : since(LOOK_BACK_MS);
    const lookedAt = this.now();
    let after: Uuid | null = null;
    let collected = 0;
    for (;;) {
      const position: object = {
        lastActionAt: { $gte: from },
        ...(after === null ? {} : { $or: [{ lastActionAt: { $gt: from } }, { _id: { $gt: after } }] }),
      };
      const one = actionId === null ? {} : { _id: uuidOf(actionId) };
      const page = await repeatedRead(this.#budgetMs, () =>
        this.#actions
          .find({ $and: [{ tenantId }, one, position] })
          .project<ChangedAction>(CHANGED_FIELDS)
          // The index backwards.
          .sort({ lastActionAt: 1, _id: 1 })
          .hint(actionId === null ? CHANGED_INDEX : { _id: 1 })
          .limit(COLLECTED_AT_ONCE)
          .toArray(),
      );
      const last = page.at(-1);
      if (last === undefined) break;
      const { _id: lastId, lastActionAt } = last;
      collected += await this.#record(recipient, page, untold);
      // Not before they are on record: who dies between is followed by one that finds them again.
      if (lastActionAt > seenAt) await this.#seen(id, lastActionAt);
      if (page.length < COLLECTED_AT_ONCE) break;
      from = lastActionAt;
      after = lastId;
    }
    // Where nothing changes the last change is not looked at for ever: its record goes.
    if (isThorough && lookedAt > seenAt) await this.#seen(id, lookedAt);
    return collected;
  }

  async #seen(id: string, seenAt: Date): Promise<void> {
    await repeatable(this.#budgetMs, () => this.#recipients.updateOne({ _id: id }, { $max: { seenAt } }));
  }

  async addLifecycle(
    subscription: Unsealed<Subscription>,
    event: LifecycleEvent,
    key: string,
  ): Promise<void> {
    const id = `${subscription.id}.${event}.${key}`;
    const what = { id, actionId: null, event, step: 0, at: this.now() };
    await this.#add([this.#notification(subscription, what)]);
  }

  async end({ id }: Unsealed<Subscription>): Promise<void> {
    await repeatable(this.#budgetMs, () =>
      // Not one that was renewed meanwhile.
      this.#recipients.updateOne({ _id: id, $expr: { $lte: ['$expiresAt', NOW] } }, [
        { $set: { endedAt: NOW } },
      ]),
    );
  }

  async take(
    limit: number,
    leaseMs: number,
    mostOf: (recipientId: string) => number,
  ): Promise<readonly Delivery[]> {
    const ids = await repeatedRead(this.#budgetMs, () =>
      this.#notifications.distinct('subscriptionId', { state: 'waiting' }),
    );
    if (ids.length === 0) return [];
    const recipients = await repeatedRead(this.#budgetMs, () =>
      this.#recipients
        .find({ _id: { $in: ids } })
        .project<UnsealedDocument>(UNSEALED)
        .toArray(),
    );
    const known = new Set(recipients.map(({ _id }) => _id));
    // Removed while it was looked for changes of theirs.
    if (known.size < ids.length) await this.#drop(ids.filter((id) => !known.has(id)));
    // So that none is always the last.
    const order = recipients.map((one) => ({ one, at: Math.random() })).toSorted((a, b) => a.at - b.at);
    const taken: Taken[] = [];
    const now = this.now();
    for (let at = 0; at < order.length && taken.length < limit; at += LOOKED_TOGETHER) {
      const group = order.slice(at, at + LOOKED_TOGETHER).map(({ one }) => one);
      const share = Math.ceil((limit - taken.length) / group.length);
      const found = await Promise.all(
        group.map(async (one) => {
          const { _id: id } = one;
          const places = Math.min(share, mostOf(id));
          if (places <= 0) return [];
          const isHeld = one.heldUntil !== undefined && one.heldUntil !== null && one.heldUntil > now;
          if (one.kind === 'subscription')
            return this.#takeOf(recipientOf<Unsealed<Subscription>>(one), isHeld, places, leaseMs);
          return isHeld ? [] : this.#takeTogether(recipientOf<Unsealed<Webhook>>(one), leaseMs);
        }),
      );
      taken.push(...found.flat());
    }
    return this.#withSecrets(taken);
  }

  async delivered({ recipient, notifications }: Delivery, pauseMs: number): Promise<void> {
    const keptMs = { $cond: [{ $eq: ['$actionId', null] }, LIFECYCLE_KEPT_MS, DELIVERED_KEPT_MS] };
    await this.#settle(notifications, { state: 'delivered', purgeAt: inMs(keptMs) });
    const isWebhook = recipient.kind === 'webhook';
    // What waited because of it does so no longer.
    if (isWebhook || notifications.some(({ tries, actionId }) => tries > 0 && actionId !== null))
      await this.#hold(recipient, turnOf(notifications), isWebhook ? inMs(wholeMs(pauseMs)) : null);
  }

  async postpone(delivery: Delivery, ms: number, problem: string): Promise<void> {
    // First: who finds it waiting again has to find that it is held.
    const isHeld = await this.#holdBack(delivery, ms);
    await repeatable(this.#budgetMs, () =>
      this.#notifications.updateMany(takenBy(delivery.notifications), [
        {
          $set: {
            nextAt: isHeld ? NOW : inMs(wholeMs(ms)),
            tries: { $add: ['$tries', 1] },
            problem: { $literal: problem },
            // Its turn is over, so that a repeat counts no second try.
            turn: null,
          },
        },
      ]),
    );
  }

  async bury(delivery: Delivery, holdMs: number, problem: string): Promise<number> {
    await this.#holdBack(delivery, holdMs);
    return this.#settle(delivery.notifications, {
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
    if (letter === null) return false;
    const { subscriptionId } = letter;
    // Whoever replays it knows that the receiver is back. A webhook may be being told, or have been just now.
    const { matchedCount } = await repeatedWrite(this.#budgetMs, () =>
      this.#recipients.updateOne({ _id: subscriptionId }, [
        { $set: { heldUntil: { $cond: [{ $eq: ['$kind', 'webhook'] }, '$heldUntil', null] } } },
      ]),
    );
    if (matchedCount === 0) return false;
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
    return { tenantId, appId, kind: 'subscription', $expr: { $gt: ['$expiresAt', NOW] } };
  }

  async #insert({ _id, ...document }: RecipientDocument): Promise<void> {
    await repeatedWrite(this.#budgetMs, () =>
      this.#recipients.updateOne({ _id }, { $setOnInsert: document }, { upsert: true }),
    );
  }

  /** With what waits for it. False: there was none, or another has removed it since it was found. */
  async #remove(found: Recipient | null): Promise<boolean> {
    if (found === null) return false;
    const { id } = found;
    const isRemoved = await repeatedWrite(this.#budgetMs, async (isRepeat) => {
      const { deletedCount } = await this.#recipients.deleteOne({ _id: id });
      // It was there: by a try before it, with its answer lost, it went.
      return deletedCount > 0 || isRepeat;
    });
    if (isRemoved)
      await repeatedWrite(this.#budgetMs, () =>
        this.#notifications.deleteMany({ subscriptionId: id, state: 'waiting' }),
      );
    return isRemoved;
  }

  /** What waits for recipients that are gone is as good as delivered: a worker may remove nothing. */
  async #drop(ids: readonly string[]): Promise<void> {
    await repeatable(this.#budgetMs, () =>
      this.#notifications.updateMany({ subscriptionId: { $in: [...ids] }, state: 'waiting' }, [
        { $set: { state: 'delivered', purgeAt: NOW } },
      ]),
    );
  }

  /** Holds what is to be told of changes, where one was not taken: the receiver is away for all of them. False: none was. */
  async #holdBack({ recipient, notifications }: Delivery, ms: number): Promise<boolean> {
    if (notifications.every(({ actionId }) => actionId === null)) return false;
    const until = inMs(wholeMs(ms));
    const isWebhook = recipient.kind === 'webhook';
    await this.#hold(recipient, turnOf(notifications), isWebhook ? until : { $max: ['$heldUntil', until] });
    return true;
  }

  /** @param turn whoever tells a webhook holds it: not one whose turn is over */
  async #hold({ id, kind }: Pick<Recipient, 'id' | 'kind'>, turn: string, heldUntil: unknown): Promise<void> {
    const held = kind === 'webhook' ? { _id: id, turn } : { _id: id };
    await repeatable(this.#budgetMs, () => this.#recipients.updateOne(held, [{ $set: { heldUntil } }]));
  }

  /** @param since what was changed before is not told */
  async #record(recipient: Unsealed, actions: readonly ChangedAction[], since: Date): Promise<number> {
    const wanted = actions.flatMap(({ _id, ...action }) =>
      action.states.flatMap(({ updatedAt: at }, step) => {
        if (at < since || !wants(recipient, action, step)) return [];
        const event = step === 0 ? ('created' as const) : ('updated' as const);
        const actionId = _id.toString();
        return [{ id: `${recipient.id}.${actionId}.${step}`, actionId, event, step, at }];
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
    await this.#add(fresh.map((one) => this.#notification(recipient, one)));
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
    { id: subscriptionId, tenantId, appId }: Unsealed,
    {
      id,
      ...what
    }: Pick<NotificationDocument, 'actionId' | 'event' | 'step' | 'at'> & { readonly id: string },
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

  /** Of each action the oldest, if its time has come and nobody else has it. */
  async #takeOf(
    subscription: Unsealed<Subscription>,
    isHeld: boolean,
    limit: number,
    leaseMs: number,
  ): Promise<readonly Taken[]> {
    const due = await repeatedRead(this.#budgetMs, () =>
      this.#notifications
        .find({
          state: 'waiting',
          subscriptionId: subscription.id,
          // What was postponed of them waits by itself: it goes to another address.
          ...(isHeld ? { actionId: null } : {}),
          $expr: { $lte: ['$nextAt', NOW] },
        })
        .sort({ at: 1, step: 1 })
        .limit(limit * LOOKED_PER_PLACE)
        .project<Pick<NotificationDocument, 'actionId'>>({ actionId: 1 })
        .toArray(),
    );
    const places = [...new Set(due.map(({ actionId }) => actionId))].slice(0, limit);
    const taken = await Promise.all(
      places.map((actionId) => this.#takeFirst(subscription.id, actionId, leaseMs)),
    );
    return taken.flatMap((one) => (one === null ? [] : [{ recipient: subscription, notifications: [one] }]));
  }

  async #takeFirst(
    subscriptionId: string,
    actionId: string | null,
    leaseMs: number,
  ): Promise<Notification | null> {
    const first = await repeatedRead(this.#budgetMs, () =>
      this.#notifications.findOne(
        { subscriptionId, actionId, state: 'waiting' },
        // Of lifecycle events, which are no history, the one that waits longest.
        { sort: actionId === null ? { nextAt: 1 } : { step: 1 } },
      ),
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
    return isTaken && toNotification(isTaken);
  }

  /** The oldest there are, of all actions, if nobody else tells it of some. */
  async #takeTogether(webhook: Unsealed<Webhook>, leaseMs: number): Promise<readonly Taken[]> {
    const turn = randomUUID();
    const { matchedCount } = await repeatable(this.#budgetMs, () =>
      this.#recipients.updateOne(
        {
          _id: webhook.id,
          $expr: { $or: [{ $lte: [{ $ifNull: ['$heldUntil', NOW] }, NOW] }, { $eq: ['$turn', turn] }] },
        },
        [{ $set: { turn, heldUntil: inMs(leaseMs) } }],
      ),
    );
    if (matchedCount === 0) return [];
    const oldest = await this.#toTellTogether(webhook.id);
    await repeatable(this.#budgetMs, () =>
      this.#notifications.updateMany(
        { _id: { $in: oldest.map(({ _id }) => _id) }, state: 'waiting' },
        { $set: { turn } },
      ),
    );
    if (oldest.length === 0) await this.#hold(webhook, turn, null);
    return oldest.length === 0
      ? []
      : [{ recipient: webhook, notifications: oldest.map((one) => toNotification({ ...one, turn })) }];
  }

  /** The oldest there are; of what was tried in vain the same once more, so that who took it can know it again. */
  async #toTellTogether(webhookId: string): Promise<readonly NotificationDocument[]> {
    const oldest = (given: object): Promise<readonly NotificationDocument[]> =>
      repeatedRead(this.#budgetMs, () =>
        this.#notifications
          .find({ state: 'waiting', subscriptionId: webhookId, ...given })
          .sort({ at: 1, step: 1 })
          .limit(TOLD_TOGETHER)
          .toArray(),
      );
    const found = await oldest({});
    const tries = found[0]?.tries ?? 0;
    if (tries > 0) return oldest({ tries });
    const tried = found.findIndex((one) => one.tries > 0);
    return tried === -1 ? found : found.slice(0, tried);
  }

  /** Secrets are read of those alone that something goes to now. */
  async #withSecrets(taken: readonly Taken[]): Promise<readonly Delivery[]> {
    if (taken.length === 0) return [];
    const ids = [...new Set(taken.map(({ recipient }) => recipient.id))];
    const found = await repeatedRead(this.#budgetMs, () =>
      this.#recipients.find({ _id: { $in: ids } }).toArray(),
    );
    const recipients = found.map((one) => recipientOf<Recipient>(one));
    const known = new Map(recipients.map((one) => [one.id, one]));
    return taken.flatMap(({ recipient: { id }, notifications }) => {
      // One that was removed since is told nothing more.
      const recipient = known.get(id);
      return recipient === undefined ? [] : [{ recipient, notifications }];
    });
  }

  /** Says for good what became of them, if they are still whose turn it was. Returns of how many it has. */
  async #settle(
    notifications: readonly Notification[],
    changes: Readonly<Record<string, unknown>> & { readonly state: 'delivered' | 'dead' },
  ): Promise<number> {
    const taken = takenBy(notifications);
    return repeatable(this.#budgetMs, async (isRepeat) => {
      const { matchedCount } = await this.#notifications.updateMany(taken, [{ $set: changes }]);
      if (!isRepeat) return matchedCount;
      // All, or some of them, by a try before it with its answer lost: they have kept its turn.
      return this.#notifications.countDocuments({ ...taken, state: changes.state });
    });
  }
}

/** What of an action decides who is told of its changes. */
type ChangedAction = Pick<ActionDocument, '_id' | 'lastActionAt' | 'states' | 'phase' | 'instance'>;
const CHANGED_FIELDS = { lastActionAt: 1, states: 1, phase: 1, instance: 1 } as const;

function wants(
  recipient: Unsealed,
  { states, phase, instance }: Omit<ChangedAction, '_id'>,
  step: number,
): boolean {
  const state = states[step];
  if (state === undefined) return false;
  if (recipient.kind === 'subscription') {
    const { changeTypes, expiresAt } = recipient;
    return changeTypes.includes(step === 0 ? 'created' : 'updated') && state.updatedAt <= expiresAt;
  }
  const { states: wanted, phases, providers } = recipient.filter;
  if (!wanted.includes(state.status) || providers?.includes(instance) === false) return false;
  // It is the last change there is, so that the phase is the one that it ended in.
  return state.status !== 'Failed' || phases === null || phases.some((one) => one === phase);
}

/** The turn in which a notification was taken. */
const turns = new WeakMap<Notification, string>();

/** The turn of a delivery: of all of its notifications the same. */
function turnOf([first]: readonly Notification[]): string {
  return (first && turns.get(first)) ?? '';
}

/** What of these still waits, and is the delivery's that they were taken for. */
function takenBy(notifications: readonly Notification[]) {
  const ids = notifications.map(({ id }) => id);
  return { _id: { $in: ids }, state: 'waiting', turn: turnOf(notifications) } as const;
}

function recipientOf<R extends Unsealed>(document: Stored<R>): R {
  const { _id, seenAt: _seenAt, endedAt: _endedAt, heldUntil: _heldUntil, turn: _turn, ...rest } = document;
  return { id: _id, ...rest } as unknown as R;
}

function toNotification(document: NotificationDocument): Notification {
  const { _id, at: _at, state: _state, turn, nextAt: _nextAt, purgeAt: _purgeAt, ...rest } = document;
  const notification = { id: _id, ...rest };
  if (turn !== null) turns.set(notification, turn);
  return notification;
}
