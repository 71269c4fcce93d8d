import { randomBytes, randomUUID } from 'node:crypto';
import {
  UserError,
  type ChangeType,
  type SecretSeal,
  type Subscriber,
  type Subscription,
  type SubscriptionStore,
} from '#domain';
import { ProviderError } from '#provider-sdk';
import type { Logger } from '#telemetry';
import { isRefusedAsWritten, receiverHttp, refusalOf, type ReceiverNetwork } from './receiver-http.js';
import { opened, placeOf, type Opened } from './recipient-secrets.js';

/** Graph's limit for security alerts, in minutes: https://learn.microsoft.com/graph/api/resources/subscription. */
const LONGEST_MINUTES = 43_200;
/** Milliseconds in which an address has to prove itself, as Graph gives. */
const VALIDATED_WITHIN_MS = 10_000;
const MOST_VALIDATION_BYTES = 4096;
/** Subscriptions of one application in a tenant. */
const MOST_SUBSCRIPTIONS = 100;

/** What an application asks to be told of. */
export interface SubscriptionWish {
  /** Of the subscription that is to be: a new UUID. */
  readonly id: string;
  /** Null: every action of the tenant. */
  readonly actionId: string | null;
  readonly changeTypes: readonly ChangeType[];
  readonly notificationUrl: string;
  readonly lifecycleNotificationUrl: string | null;
  readonly clientState: string | null;
  readonly expiresAt: Date;
}

/** A subscription with what of it is sealed. */
export type OpenedSubscription = Opened<Subscription>;

/** A subscription that was just made. */
export type NewSubscription = Extract<OpenedSubscription, { readonly problem: null }>;

/** Makes, shows, renews and removes subscriptions of an application. */
export class ManageSubscriptions {
  readonly #store: SubscriptionStore;
  readonly #seal: SecretSeal;
  readonly #network: ReceiverNetwork;
  readonly #log: Logger;

  /** @param parts `network`: where notifications may go; `log`: is told why an address was refused */
  constructor(parts: {
    readonly store: SubscriptionStore;
    readonly seal: SecretSeal;
    readonly network: ReceiverNetwork;
    readonly log: Logger;
  }) {
    this.#store = parts.store;
    this.#seal = parts.seal;
    this.#network = parts.network;
    this.#log = parts.log;
  }

  /**
   * Asks the addresses to prove that they want notifications, then records the subscription. Not safe to repeat.
   * @throws UserError `invalidRequest` where it lasts too long or is over, or an address did not prove itself;
   *   `notAllowed` beyond 100 of an application
   */
  async create(subscriber: Subscriber, wish: SubscriptionWish): Promise<NewSubscription> {
    const { id, notificationUrl, lifecycleNotificationUrl, clientState, ...rest } = wish;
    this.#requireLifetime(wish.expiresAt);
    if ((await this.#store.of(subscriber)).length >= MOST_SUBSCRIPTIONS)
      throw new UserError(
        'notAllowed',
        `The application has ${MOST_SUBSCRIPTIONS} subscriptions; delete one first.`,
      );
    await this.#requireProof(subscriber, { notificationUrl, lifecycleNotificationUrl });
    const signingSecret = randomBytes(32).toString('base64url');
    const secrets = { notificationUrl, lifecycleNotificationUrl, clientState, signingSecret };
    const { tenantId, appId } = subscriber;
    const made = { kind: 'subscription', id, tenantId, appId } as const;
    const recipient = await this.#store.create({
      ...made,
      ...rest,
      hasLifecycleUrl: lifecycleNotificationUrl !== null,
      sealed: await this.#seal.seal(JSON.stringify(secrets), placeOf(made)),
    });
    return { recipient, secrets, problem: null };
  }

  /** Those of the application that have not expired, oldest first; also such as cannot be opened any more. */
  async list(subscriber: Subscriber): Promise<readonly OpenedSubscription[]> {
    return Promise.all((await this.#store.of(subscriber)).map((one) => this.#opened(one)));
  }

  /** @throws UserError `itemNotFound` */
  async get(subscriber: Subscriber, id: string): Promise<OpenedSubscription> {
    return this.#opened(await this.#store.find(subscriber, id));
  }

  /** @throws UserError `itemNotFound`; `invalidRequest` for a time that is over or too far away */
  async renew(subscriber: Subscriber, id: string, expiresAt: Date): Promise<OpenedSubscription> {
    await this.get(subscriber, id);
    this.#requireLifetime(expiresAt);
    return this.#opened(await this.#store.renew(subscriber, id, expiresAt));
  }

  /** @throws UserError `itemNotFound` */
  async remove(subscriber: Subscriber, id: string): Promise<void> {
    if (!(await this.#store.remove(subscriber, id))) throw notFound();
  }

  async #opened(subscription: Subscription | null): Promise<OpenedSubscription> {
    if (subscription === null) throw notFound();
    return opened(this.#seal, subscription);
  }

  #requireLifetime(expiresAt: Date): void {
    const ms = expiresAt.getTime() - this.#store.now().getTime();
    if (ms <= 0) throw new UserError('invalidRequest', 'expirationDateTime has to be in the future.');
    if (ms > LONGEST_MINUTES * 60_000)
      throw new UserError(
        'invalidRequest',
        `expirationDateTime may be ${LONGEST_MINUTES} minutes from now at most.`,
      );
  }

  /** Of several that did not prove themselves, the first is told of. */
  async #requireProof(
    { tenantId, appId }: Subscriber,
    urls: Readonly<Record<string, string | null>>,
  ): Promise<void> {
    const looked = await Promise.all(
      Object.entries(urls).map(async ([property, url]) => {
        const unproven = url === null ? null : await this.#unproven(url);
        return unproven === null ? [] : [{ property, host: hostOf(url), ...unproven }];
      }),
    );
    const [first] = looked.flat();
    if (first === undefined) return;
    const { property, host, why, problem } = first;
    this.#log.warn(
      { tenant: tenantId, appId, property, host, problem: problem ?? why },
      'the address of a subscription was refused',
    );
    throw new UserError('invalidRequest', `Subscription validation request failed: ${property} ${why}`);
  }

  /** Null: it has proved itself. */
  async #unproven(url: string): Promise<Unproven | null> {
    const token = `Validation: Riposte ${randomUUID()}`;
    const answer = await receiverHttp(this.#network, VALIDATED_WITHIN_MS)
      .request({
        method: 'POST',
        url,
        query: { validationToken: token },
        headers: { accept: 'text/plain', 'content-type': 'text/plain; charset=utf-8' },
        body: '',
        timeoutMs: VALIDATED_WITHIN_MS,
        maxBytes: MOST_VALIDATION_BYTES,
      })
      .catch((error: unknown) => {
        if (!(error instanceof ProviderError)) throw error;
        return error;
      });
    if (answer instanceof ProviderError)
      return {
        why: isRefusedAsWritten(answer)
          ? 'may not be called (notifications.network).'
          : answer.httpStatus === 0
            ? 'did not answer within 10 seconds, cannot be reached, or may not be called (notifications.network).'
            : NOT_200,
        problem: refusalOf(answer),
      };
    if (answer.status !== 200) return { why: NOT_200 };
    if (!/^text\/plain\b/i.test(answer.headers['content-type'] ?? ''))
      return { why: 'has to answer with the content type text/plain.' };
    // oxlint-disable-next-line security/detect-possible-timing-attacks -- the receiver was sent it
    if (answer.text !== token)
      return { why: 'has to answer with the validationToken, decoded, and nothing else.' };
    return null;
  }
}

const NOT_200 = 'has to answer with 200 OK.';

/** Why an address did not prove itself. */
interface Unproven {
  /** For who asks: nothing of an answer, nor for what a name stands, which they may not be allowed to know. */
  readonly why: string;
  /** For who operates it, where there is more to say. */
  readonly problem?: string;
}

/** What of an address is no secret. Null: it has no host. */
function hostOf(url: string | null): string | null {
  return url !== null && URL.canParse(url) ? new URL(url).host : null;
}

function notFound(): UserError {
  return new UserError('itemNotFound', 'The application has no such subscription.');
}
