/** What a change notification can tell of an action. Actions are never deleted by callers, so that is not among it. */
export const CHANGE_TYPES = ['created', 'updated'] as const;
export type ChangeType = (typeof CHANGE_TYPES)[number];

/** What a lifecycle notification tells of a subscription (Graph's `lifecycleEvent`). */
export type LifecycleEvent = 'reauthorizationRequired' | 'missed' | 'subscriptionRemoved';

/** Whose subscriptions: an application's in a tenant. */
export interface Subscriber {
  readonly tenantId: string;
  readonly appId: string;
}

/** An application's wish to be told of changes. */
export interface Subscription extends Subscriber {
  readonly id: string;
  /** Null: of every action of the tenant. */
  readonly actionId: string | null;
  readonly changeTypes: readonly ChangeType[];
  readonly hasLifecycleUrl: boolean;
  /** `SubscriptionSecrets` as JSON, sealed. */
  readonly sealed: string;
  readonly createdAt: Date;
  /** When it began, or was renewed last. */
  readonly renewedAt: Date;
  readonly expiresAt: Date;
}

/** What of a subscription is not for everybody who reads the database: addresses may have credentials in them. */
export interface SubscriptionSecrets {
  readonly notificationUrl: string;
  readonly lifecycleNotificationUrl: string | null;
  readonly clientState: string | null;
  /** What deliveries are signed with. */
  readonly signingSecret: string;
}

/** A notification that is to be delivered, or could not be. */
export interface Notification extends Subscriber {
  /** The same for the same change, however often it is delivered. */
  readonly id: string;
  readonly subscriptionId: string;
  /** Null for a lifecycle event. */
  readonly actionId: string | null;
  readonly event: ChangeType | LifecycleEvent;
  /** Deliveries that were tried in vain. */
  readonly tries: number;
  readonly createdAt: Date;
  /** When it was given up; null: it is to be delivered. */
  readonly deadAt: Date | null;
  /** What the last try came to; null: there was none in vain. */
  readonly problem: string | null;
}

/** Subscriptions and their notifications, on record. Times are the database's. */
export interface SubscriptionStore {
  /** Now, by the database's clock. */
  now(): Date;
  /** @throws OperationalError when the database did not confirm it */
  create(subscription: Omit<Subscription, 'createdAt' | 'renewedAt'>): Promise<Subscription>;
  /** An application's that have not expired, oldest first. */
  of(subscriber: Subscriber): Promise<readonly Subscription[]>;
  /** Null: the application has none of this id that has not expired. */
  find(subscriber: Subscriber, id: string): Promise<Subscription | null>;
  /** Null: as `find`. */
  renew(subscriber: Subscriber, id: string, expiresAt: Date): Promise<Subscription | null>;
  /** With what is to be delivered for it still. False: as `find` where that is null. */
  remove(subscriber: Subscriber, id: string): Promise<boolean>;

  /** All that have not ended, those that have expired included. */
  standing(): Promise<readonly Subscription[]>;
  /** The subscription of a notification, also one that has ended; null: it was removed. */
  byId(id: string): Promise<Subscription | null>;
  /** Puts on record what the actions' histories have since the last time. Safe to repeat, and at several places at once. */
  collect(subscription: Subscription, isThorough: boolean): Promise<number>;
  /** Puts a lifecycle event on record. Safe to repeat with the same key. */
  addLifecycle(subscription: Subscription, event: LifecycleEvent, key: string): Promise<void>;
  /** It has expired, and all its history is on record. */
  end(subscription: Subscription): Promise<void>;
  /** Takes notifications whose time has come for `leaseMs`: at most one of an action and subscription, the oldest. */
  take(limit: number, leaseMs: number): Promise<readonly Notification[]>;
  delivered(notification: Notification): Promise<void>;
  /** Tries it, and with it all of its subscription, again in so many milliseconds. */
  postpone(notification: Notification, inMs: number, problem: string): Promise<void>;
  /** Gives it up. False: somebody has delivered it meanwhile. */
  bury(notification: Notification, problem: string): Promise<boolean>;
  /** A tenant's notifications that were given up, last first; at most 1000. */
  deadLetters(tenantId: string): Promise<readonly Notification[]>;
  /** Delivers it again from the beginning. False: the tenant has no dead letter of this id, or its subscription is gone. */
  replay(tenantId: string, id: string): Promise<boolean>;
}
