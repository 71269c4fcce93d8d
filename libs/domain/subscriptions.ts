import type { ActionStatus, FailedPhase } from './action.js';

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
  readonly kind: 'subscription';
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

/** The forms a message can have: Slack's blocks, a card for Microsoft Teams, or what services that send mail take. */
export const MESSAGE_TEMPLATES = ['slack', 'teams', 'email'] as const;
export type MessageTemplate = (typeof MESSAGE_TEMPLATES)[number];

/** In what form people are told, and for mail also whom. */
export type MessageForm =
  | { readonly template: Exclude<MessageTemplate, 'email'> }
  | {
      readonly template: 'email';
      /** Null: the service that sends it knows. */
      readonly from: string | null;
      readonly to: readonly string[];
    };

/** Which changes of a tenant's actions a webhook is told of. */
export interface ChangeFilter {
  readonly states: readonly ActionStatus[];
  /** Of the changes to `Failed`, those alone that ended so. Null: all. */
  readonly phases: readonly FailedPhase[] | null;
  /** Ids of provider instances. Null: all. */
  readonly providers: readonly string[] | null;
}

/** An address where people are told of changes, in a form of its own. An operator's, of a tenant. */
export interface Webhook extends Subscriber {
  readonly kind: 'webhook';
  readonly id: string;
  readonly name: string;
  readonly form: MessageForm;
  readonly filter: ChangeFilter;
  /** `WebhookSecrets` as JSON, sealed. */
  readonly sealed: string;
  readonly createdAt: Date;
}

/** What of a webhook nobody sees who reads the database. */
export interface WebhookSecrets {
  readonly url: string;
  /** The value of the header `Authorization`. */
  readonly authorization: string | null;
  /** What messages are signed with. Null: the receiver could not check it. */
  readonly signingSecret: string | null;
}

/** Who is told of changes. */
export type Recipient = Subscription | Webhook;

/** A recipient without its secrets. */
export type Unsealed<R extends Recipient = Recipient> = R extends Recipient ? Omit<R, 'sealed'> : never;

/** A recipient that has not ended, as it was read, with how far it has been told. */
export type Standing<R extends Recipient = Recipient> = Unsealed<R> & {
  /** The newest change of an action that was seen for it. */
  readonly seenAt: Date;
};

/** A notification that is to be delivered, or could not be. */
export interface Notification extends Subscriber {
  /** The same for the same change, however often it is delivered. */
  readonly id: string;
  /** Of the subscription or webhook. */
  readonly subscriptionId: string;
  /** Null for a lifecycle event. */
  readonly actionId: string | null;
  readonly event: ChangeType | LifecycleEvent;
  /** Which of the action's changes, from 0; 0 for a lifecycle event. */
  readonly step: number;
  /** Deliveries that were tried in vain. */
  readonly tries: number;
  readonly createdAt: Date;
  /** When it was given up; null: it is to be delivered. */
  readonly deadAt: Date | null;
  /** What the last try came to; null: there was none in vain. */
  readonly problem: string | null;
}

/** What goes to a recipient with one call: a subscription's notification, or some that a webhook is told together. */
export interface Delivery<R extends Recipient = Recipient> {
  readonly recipient: R;
  /** At least one, in order. */
  readonly notifications: readonly Notification[];
}

/** Subscriptions, webhooks and their notifications, on record. Times are the database's. */
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
  /**
   * With what is to be delivered for it still. False: as `find` where that is null. Where the answer to the write was lost, it is
   * true although another may have removed it in the same moment.
   */
  remove(subscriber: Subscriber, id: string): Promise<boolean>;

  /**
   * @param pauseMs milliseconds until it may be told something
   * @throws OperationalError when the database did not confirm it
   */
  createWebhook(webhook: Omit<Webhook, 'createdAt'>, pauseMs: number): Promise<Webhook>;
  /** A tenant's, oldest first. */
  webhooksOf(tenantId: string): Promise<readonly Webhook[]>;
  /** Null: the tenant has none of this id. */
  findWebhook(tenantId: string, id: string): Promise<Webhook | null>;
  /** Gives it another address, where what waits goes as well, after a pause. Null: as `findWebhook`. */
  moveWebhook(tenantId: string, id: string, sealed: string, pauseMs: number): Promise<Webhook | null>;
  /** With what is to be told to it still. False: as `findWebhook` where that is null; true as with `remove`. */
  removeWebhook(tenantId: string, id: string): Promise<boolean>;

  /** Whether there is one that has not ended. */
  isAnyStanding(): Promise<boolean>;
  /** All that have not ended, those that have expired included. */
  standing(): Promise<readonly Standing[]>;
  /** Puts on record what the actions' histories have since the last time. Safe to repeat, and at several places at once. */
  collect(recipient: Standing, isThorough: boolean): Promise<number>;
  /** Puts a lifecycle event on record. Safe to repeat with the same key. */
  addLifecycle(subscription: Unsealed<Subscription>, event: LifecycleEvent, key: string): Promise<void>;
  /** It has expired, and all its history is on record. It is removed 40 days later. */
  end(subscription: Unsealed<Subscription>): Promise<void>;
  /**
   * Takes what is to be delivered now, for `leaseMs`: of an action and subscription the oldest notification; of a webhook,
   * which is told one message after the other, up to ten. No recipient's keep another's waiting.
   * @param limit deliveries; it may be some more
   * @param mostOf deliveries of one recipient at most; 0 or less: none
   */
  take(limit: number, leaseMs: number, mostOf: (recipientId: string) => number): Promise<readonly Delivery[]>;
  /** @param pauseMs milliseconds until a webhook may be told the next */
  delivered(delivery: Delivery, pauseMs: number): Promise<void>;
  /** Tries them again in so many milliseconds. Of changes, no other of the recipient is tried before. */
  postpone(delivery: Delivery, inMs: number, problem: string): Promise<void>;
  /**
   * Gives them up. Returns how many, also where the answer to the write was lost; the others have been another's since.
   * @param holdMs milliseconds in which no other change is tried at the recipient
   */
  bury(delivery: Delivery, holdMs: number, problem: string): Promise<number>;
  /** A tenant's notifications that were given up, last first; at most 1000. */
  deadLetters(tenantId: string): Promise<readonly Notification[]>;
  /**
   * Delivers it again from the beginning: at once, or where a webhook is being told or left alone, when that is over.
   * False: the tenant has no dead letter of this id, or its recipient is gone.
   */
  replay(tenantId: string, id: string): Promise<boolean>;
}
