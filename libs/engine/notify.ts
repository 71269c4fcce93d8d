import { createHmac } from 'node:crypto';
import {
  UnsealError,
  type LifecycleEvent,
  type Notification,
  type SecretSeal,
  type SharedLease,
  type Subscription,
  type SubscriptionSecrets,
  type SubscriptionStore,
} from '#domain';
import { ProviderError, type NetworkPolicy } from '#provider-sdk';
import { NO_METRICS, type Logger, type Metrics } from '#telemetry';
import { receiverHttp } from './receiver-http.js';
import { openSubscription } from './subscription-secrets.js';

export interface NotifyOptions {
  readonly store: SubscriptionStore;
  /** On the finding of changes, which one worker does for all. */
  readonly lease: SharedLease;
  /** This worker, as the lease knows it. */
  readonly owner: string;
  readonly seal: SecretSeal;
  /** Where notifications may go. */
  readonly network: NetworkPolicy;
  /** Milliseconds after which a notification is given up that could not be delivered. */
  readonly giveUpAfterMs: number;
  readonly log: Logger;
  /** Default: nothing is counted. */
  readonly metrics?: Metrics;
}

const PERIOD_MS = 1000;
const COLLECT_LEASE_MS = 15_000;
/** Milliseconds between two looks far back. */
const THOROUGH_EVERY_MS = 60_000;
const BATCH = 200;
const TOGETHER = 20;
const ANSWERED_WITHIN_MS = 10_000;
/** Milliseconds a notification is one worker's: longer than a delivery takes. */
const TURN_MS = 30_000;
const MOST_ANSWER_BYTES = 65_536;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 600_000;
/** A subscription is told of its end when a fifth of its time is left, and no sooner than a day before. */
const WARNED_MOST_MS = 86_400_000;

/**
 * Tells subscribers what changed. What is to be told is found in the actions' own histories and put on record before
 * anything is sent, so that neither Redis nor a change stream nor the life of a process decides whether it is. Every
 * worker delivers; of an action and subscription, one notification at a time and in order.
 */
export class Notify {
  readonly #options: NotifyOptions;
  #thoroughAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #pass: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(options: NotifyOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(
      () => {
        this.#pass = this.pass()
          .catch((error: unknown) =>
            this.#options.log.warn({ error: String(error) }, 'notifications were not looked at'),
          )
          .then(() => this.start());
      },
      PERIOD_MS * (0.7 + 0.6 * Math.random()),
    );
  }

  /** Ends after what is being delivered. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#pass;
    await this.#options.lease.giveBack(this.#options.owner);
  }

  /** Finds what is to be told, and delivers what is due. */
  async pass(): Promise<void> {
    const { store, lease, owner } = this.#options;
    const standing = await store.standing();
    // Where nobody has subscribed it costs no write.
    if (standing.length > 0 && (await lease.take(owner, COLLECT_LEASE_MS))) await this.#collect(standing);
    for (;;) {
      const due = await store.take(BATCH, TURN_MS);
      for (let at = 0; at < due.length; at += TOGETHER)
        await Promise.all(due.slice(at, at + TOGETHER).map((one) => this.#deliver(one)));
      if (due.length === 0 || this.#stopped) return;
    }
  }

  async #collect(standing: readonly Subscription[]): Promise<void> {
    const { store } = this.#options;
    const isThorough = performance.now() >= this.#thoroughAt;
    for (const subscription of standing) {
      const { createdAt, renewedAt, expiresAt, hasLifecycleUrl } = subscription;
      // Read before its history: what changed until then is told, too.
      const now = store.now();
      const isOver = expiresAt <= now;
      await store.collect(subscription, isThorough || isOver);
      if (isOver) {
        if (hasLifecycleUrl) await store.addLifecycle(subscription, 'subscriptionRemoved', 'end');
        await store.end(subscription);
        continue;
      }
      const lastsMs = expiresAt.getTime() - Math.max(createdAt.getTime(), renewedAt.getTime());
      const warnAt = expiresAt.getTime() - Math.min(WARNED_MOST_MS, lastsMs / 5);
      if (hasLifecycleUrl && now.getTime() >= warnAt)
        await store.addLifecycle(subscription, 'reauthorizationRequired', String(expiresAt.getTime()));
    }
    if (isThorough) this.#thoroughAt = performance.now() + THOROUGH_EVERY_MS;
  }

  async #deliver(notification: Notification): Promise<void> {
    const { store, seal, giveUpAfterMs, log, metrics = NO_METRICS } = this.#options;
    const subscription = await store.byId(notification.subscriptionId);
    // It was removed meanwhile, with all that waited for it.
    if (subscription === null) return store.delivered(notification);
    const facts = { notification: notification.id, tenant: notification.tenantId };
    let problem: string;
    let retryAfterMs = 0;
    try {
      await this.#send(notification, subscription, await openSubscription(seal, subscription));
      metrics.notifications.add(1, 'delivered');
      return await store.delivered(notification);
    } catch (error) {
      if (error instanceof ProviderError) {
        problem = problemOf(error);
        retryAfterMs = error.retryAfterMs ?? 0;
      } else if (error instanceof UnsealError) problem = error.message;
      else throw error;
    }
    metrics.notifications.add(1, 'failed');
    const ageMs = store.now().getTime() - notification.createdAt.getTime();
    if (ageMs < giveUpAfterMs) {
      const backoffMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 3 ** Math.min(notification.tries, 10));
      const inMs = Math.max(retryAfterMs, backoffMs * (0.5 + Math.random() / 2));
      log.warn({ ...facts, problem, tries: notification.tries + 1 }, 'a notification was not delivered');
      return store.postpone(notification, inMs, problem);
    }
    if (!(await store.bury(notification, problem))) return;
    metrics.notifications.add(1, 'dead');
    log.error({ ...facts, problem }, 'a notification was given up; it is a dead letter now');
    if (notification.actionId !== null && subscription.hasLifecycleUrl)
      // Once a minute, however many there were.
      await store.addLifecycle(subscription, 'missed', String(Math.floor(store.now().getTime() / 60_000)));
  }

  /** @throws ProviderError where it was not taken by a 2xx in time */
  async #send(
    notification: Notification,
    subscription: Subscription,
    secrets: SubscriptionSecrets,
  ): Promise<void> {
    const url = notification.actionId === null ? secrets.lifecycleNotificationUrl : secrets.notificationUrl;
    if (url === null) return;
    const body = JSON.stringify({ value: [contentOf(notification, subscription, secrets)] });
    const t = String(Math.floor(this.#options.store.now().getTime() / 1000));
    const v1 = createHmac('sha256', secrets.signingSecret).update(`${t}.${body}`).digest('hex');
    const told = [url, secrets.clientState ?? '', secrets.signingSecret];
    await receiverHttp(this.#options.network, ANSWERED_WITHIN_MS, told).request({
      method: 'POST',
      url,
      headers: {
        'content-type': 'application/json',
        'x-riposte-signature': `t=${t},v1=${v1}`,
      },
      body,
      timeoutMs: ANSWERED_WITHIN_MS,
      maxBytes: MOST_ANSWER_BYTES,
    });
  }
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

/** Of the receiver's own words nothing: they are a stranger's. */
function problemOf(error: ProviderError): string {
  if (error.httpStatus !== undefined) return `The receiver answered with HTTP ${error.httpStatus}.`;
  if (error.errorClass === 'permanent') return 'The address may not be called (notifications.network).';
  return error.errorClass === 'unreachable'
    ? 'The receiver cannot be reached.'
    : 'The receiver did not answer in time, or broke the connection.';
}
