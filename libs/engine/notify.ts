import { setTimeout as sleep } from 'node:timers/promises';
import type {
  ActionStore,
  Delivery,
  LifecycleEvent,
  Notification,
  SecretSeal,
  SharedLease,
  Standing,
  Subscription,
  SubscriptionSecrets,
  SubscriptionStore,
  Webhook,
  WebhookSecrets,
} from '#domain';
import { ProviderError } from '#provider-sdk';
import { Rounds } from '#rounds';
import { NO_METRICS, type Logger, type Metrics } from '#telemetry';
import type { Told } from './messages/message.js';
import { PAUSE_MS, tellWebhook } from './messages/tell-webhook.js';
import { toldChange } from './messages/told-change.js';
import { deliver, problemOf, type ReceiverNetwork } from './receiver-http.js';
import { opened } from './recipient-secrets.js';

export interface NotifyOptions {
  readonly store: SubscriptionStore;
  /** What people are told of. */
  readonly actions: Pick<ActionStore, 'find'>;
  /** On the finding of changes, which one worker does for all. */
  readonly lease: SharedLease;
  /** This worker, as the lease knows it. */
  readonly owner: string;
  readonly seal: SecretSeal;
  /** Where notifications may go. */
  readonly network: ReceiverNetwork;
  /** Milliseconds after which a notification is given up that could not be delivered. */
  readonly giveUpAfterMs: number;
  /** Where the console is, for links; null: nobody knows. */
  readonly publicUrl: string | null;
  readonly log: Logger;
  /** Default: nothing is counted. */
  readonly metrics?: Metrics;
}

const PERIOD_MS = 1000;
const COLLECT_LEASE_MS = 15_000;
/** Milliseconds between two looks far back. */
const THOROUGH_EVERY_MS = 60_000;
/** Deliveries of a worker at the same time. */
const TOGETHER = 20;
/** Of these at one recipient: one that takes its time is to leave places to others. */
const TOGETHER_AT_ONE = 5;
/** Milliseconds a notification is one worker's: longer than a delivery takes. */
const TURN_MS = 30_000;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 600_000;
/** A subscription is told of its end when a fifth of its time is left, and no sooner than a day before. */
const WARNED_MOST_MS = 86_400_000;

/**
 * Tells subscribers and webhooks what changed. What is to be told is found in the actions' own histories and put on record
 * before anything is sent, so that neither Redis nor a change stream nor the life of a process decides whether it is.
 * Every worker delivers; of an action and subscription, one notification at a time and in order; to a webhook one message.
 */
export class Notify {
  readonly #options: NotifyOptions;
  readonly #rounds: readonly Rounds[];
  #thoroughAt = 0;
  #stopped = false;

  constructor(options: NotifyOptions) {
    this.#options = options;
    const { log } = options;
    // Each by itself: a receiver that takes its time keeps nobody's changes from being found.
    this.#rounds = [
      new Rounds({
        periodMs: PERIOD_MS,
        round: () => this.#collect(),
        failed: 'changes to tell were not looked for',
        log,
      }),
      new Rounds({
        periodMs: PERIOD_MS,
        round: () => this.#deliverDue(),
        failed: 'notifications were not looked at',
        log,
      }),
    ];
  }

  start(): void {
    for (const rounds of this.#rounds) rounds.start();
  }

  /** Ends after what is being delivered. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#rounds.map((rounds) => rounds.stop()));
    await this.#options.lease.giveBack(this.#options.owner);
  }

  /** Finds what is to be told, and delivers what is due. */
  async pass(): Promise<void> {
    await this.#collect();
    await this.#deliverDue();
  }

  async #collect(): Promise<void> {
    const { store, lease, owner } = this.#options;
    // Where nobody has subscribed it costs no write.
    if (!(await store.isAnyStanding()) || !(await lease.take(owner, COLLECT_LEASE_MS))) return;
    const isThorough = performance.now() >= this.#thoroughAt;
    for (const recipient of await store.standing()) {
      if (recipient.kind === 'webhook') await store.collect(recipient, isThorough);
      else await this.#collectOf(recipient, isThorough);
    }
    if (isThorough) this.#thoroughAt = performance.now() + THOROUGH_EVERY_MS;
  }

  async #collectOf(subscription: Standing<Subscription>, isThorough: boolean): Promise<void> {
    const { store } = this.#options;
    const { createdAt, renewedAt, expiresAt, hasLifecycleUrl } = subscription;
    // Read before its history: what changed until then is told, too.
    const now = store.now();
    const isOver = expiresAt <= now;
    await store.collect(subscription, isThorough || isOver);
    if (isOver) {
      if (hasLifecycleUrl) await store.addLifecycle(subscription, 'subscriptionRemoved', 'end');
      return store.end(subscription);
    }
    const lastsMs = expiresAt.getTime() - Math.max(createdAt.getTime(), renewedAt.getTime());
    const warnAt = expiresAt.getTime() - Math.min(WARNED_MOST_MS, lastsMs / 5);
    if (hasLifecycleUrl && now.getTime() >= warnAt)
      await store.addLifecycle(subscription, 'reauthorizationRequired', String(expiresAt.getTime()));
  }

  /** Until nothing is due. One that takes its time keeps a place, and no other delivery waiting. */
  async #deliverDue(): Promise<void> {
    const { store, log } = this.#options;
    const running = new Map<Promise<void>, string>();
    const leftOf = (recipientId: string): number =>
      TOGETHER_AT_ONE - [...running.values()].filter((id) => id === recipientId).length;
    try {
      for (;;) {
        const free = this.#stopped ? 0 : TOGETHER - running.size;
        for (const delivery of free > 0 ? await store.take(free, TURN_MS, leftOf) : []) {
          const one = this.#deliver(delivery)
            .catch((error: unknown) =>
              // Its turn ends, and it is taken again.
              log.warn({ error: String(error) }, 'what became of a notification is not on record'),
            )
            .finally(() => running.delete(one));
          running.set(one, delivery.recipient.id);
        }
        if (running.size === 0) return;
        await Promise.race([...running.keys(), sleep(PERIOD_MS, undefined, { ref: false })]);
      }
    } finally {
      // What was begun is part of this round, also where no more could be taken.
      await Promise.allSettled(running.keys());
    }
  }

  async #deliver(delivery: Delivery): Promise<void> {
    const { store, giveUpAfterMs, log, metrics = NO_METRICS } = this.#options;
    const { recipient, notifications } = delivery;
    let failure: Failure;
    try {
      await this.#send(delivery);
      metrics.notifications.add(notifications.length, 'delivered');
      return await store.delivered(
        delivery,
        recipient.kind === 'webhook' ? PAUSE_MS[recipient.form.template] : 0,
      );
    } catch (error) {
      failure = failureOf(error);
    }
    metrics.notifications.add(notifications.length, 'failed');
    const { problem, retryAfterMs } = failure;
    const facts = { recipient: recipient.id, tenant: recipient.tenantId };
    const now = store.now().getTime();
    const isOld = ({ createdAt }: Notification): boolean => now - createdAt.getTime() >= giveUpAfterMs;
    const [old, young] = [notifications.filter(isOld), notifications.filter((one) => !isOld(one))];
    if (old.length > 0) {
      const isMissed = recipient.kind === 'subscription' && recipient.hasLifecycleUrl;
      // First: who dies in between leaves nobody to tell of it. Once a minute, however many there were.
      if (isMissed && old.some(({ actionId }) => actionId !== null))
        await store.addLifecycle(recipient, 'missed', String(Math.floor(now / 60_000)));
      // Others that are as old get their try, too, but none before the receiver wants one.
      const holdMs = Math.max(retryAfterMs, FIRST_RETRY_MS);
      const buried = await store.bury({ recipient, notifications: old }, holdMs, problem);
      if (buried > 0) {
        metrics.notifications.add(buried, 'dead');
        const letters = old.map(({ id }) => id);
        log.error({ ...facts, letters, problem }, 'notifications were given up; they are dead letters now');
      }
    }
    if (young.length === 0) return;
    const tries = Math.max(...young.map((one) => one.tries));
    const backoffMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 3 ** Math.min(tries, 10));
    const inMs = Math.max(retryAfterMs, backoffMs * (0.5 + Math.random() / 2));
    log.warn({ ...facts, problem, tries: tries + 1 }, 'a notification was not delivered');
    await store.postpone({ recipient, notifications: young }, inMs, problem);
  }

  /** @throws ProviderError where it was not taken by a 2xx in time, NotTellable where it cannot be told */
  async #send({ recipient, notifications }: Delivery): Promise<void> {
    const { seal } = this.#options;
    if (recipient.kind === 'webhook') {
      const { secrets, problem } = await opened(seal, recipient);
      if (secrets === null) throw new NotTellable(problem);
      return this.#tell(recipient, secrets, notifications);
    }
    const { secrets, problem } = await opened(seal, recipient);
    if (secrets === null) throw new NotTellable(problem);
    for (const notification of notifications) await this.#notify(recipient, secrets, notification);
  }

  async #notify(
    subscription: Subscription,
    secrets: SubscriptionSecrets,
    notification: Notification,
  ): Promise<void> {
    const url = notification.actionId === null ? secrets.lifecycleNotificationUrl : secrets.notificationUrl;
    if (url === null) return;
    const { clientState, signingSecret } = secrets;
    const body = JSON.stringify({ value: [contentOf(notification, subscription, secrets)] });
    const hidden = clientState === null ? [] : [clientState];
    const { network, store } = this.#options;
    await deliver(network, { url, body, signingSecret, secrets: hidden }, store.now());
  }

  async #tell(
    webhook: Webhook,
    secrets: WebhookSecrets,
    notifications: readonly Notification[],
  ): Promise<void> {
    const { actions, network, store, publicUrl } = this.#options;
    const found = await Promise.all(
      notifications.map(async ({ actionId, step }): Promise<Told | null> => {
        const action = actionId === null ? null : await actions.find(webhook.tenantId, actionId);
        return action === null ? null : toldChange(action, step, publicUrl);
      }),
    );
    // What the retention has removed meanwhile is nothing that people can be told of.
    const told = found.filter((one) => one !== null);
    if (told.length > 0) await tellWebhook(network, webhook.form, secrets, told, store.now());
  }
}

/** What is sealed of a recipient can never be had again. */
class NotTellable extends Error {}

interface Failure {
  readonly problem: string;
  /** What the receiver asked for. */
  readonly retryAfterMs: number;
}

/** @throws what is none of the receiver's */
function failureOf(error: unknown): Failure {
  if (error instanceof ProviderError)
    return { problem: problemOf(error), retryAfterMs: error.retryAfterMs ?? 0 };
  if (error instanceof NotTellable) return { problem: error.message, retryAfterMs: 0 };
  throw error;
}

const LIFECYCLE: ReadonlySet<string> = new Set([
  'reauthorizationRequired',
  'missed',
  'subscriptionRemoved',
] satisfies LifecycleEvent[]);

/** Graph's changeNotification: https://learn.microsoft.com/graph/api/resources/changenotification. */
function contentOf(
  { id, actionId, event }: Notification,
  subscription: Subscription,
  { clientState }: SubscriptionSecrets,
): object {
  const about = {
    id,
    subscriptionId: subscription.id,
    subscriptionExpirationDateTime: subscription.expiresAt.toISOString(),
    clientState,
    tenantId: subscription.tenantId,
  };
  const resource = resourceOf(actionId ?? subscription.actionId);
  if (LIFECYCLE.has(event)) return { ...about, lifecycleEvent: event, resource };
  const resourceData = {
    '@odata.type': '#microsoft.graph.securityAction',
    '@odata.id': resource,
    id: actionId,
  };
  return { ...about, changeType: event, resource, resourceData };
}

/** Graph's path of an action, or of all. */
export function resourceOf(actionId: string | null): string {
  return actionId === null ? 'security/securityActions' : `security/securityActions/${actionId}`;
}
