import { randomBytes } from 'node:crypto';
import {
  UserError,
  type ChangeFilter,
  type MessageForm,
  type SecretSeal,
  type Subscriber,
  type SubscriptionStore,
  type Webhook,
  type WebhookSecrets,
} from '#domain';
import { ProviderError } from '#provider-sdk';
import type { Told } from './messages/message.js';
import { IS_SIGNED, PAUSE_MS, tellWebhook } from './messages/tell-webhook.js';
import { plainLine } from './plain-text.js';
import { refusalOf, type ReceiverNetwork } from './receiver-http.js';
import { opened, placeOf, type Opened } from './recipient-secrets.js';
import type { ProviderRegistry } from './registry.js';

/** Webhooks of a tenant: each is looked at every second. */
const MOST_WEBHOOKS = 50;
const MOST_NAME = 100;

/** What an operator sets up. */
export interface WebhookWish {
  /** Of the webhook that is to be: a new UUID. */
  readonly id: string;
  readonly name: string;
  readonly form: MessageForm;
  readonly filter: ChangeFilter;
  readonly url: string;
  /** The value of the header `Authorization`; null: none is sent. */
  readonly authorization: string | null;
}

/** A webhook with what of it is sealed. */
export type OpenedWebhook = Opened<Webhook>;

/** A webhook that was just made, or has another address. */
export type MadeWebhook = Extract<OpenedWebhook, { readonly problem: null }>;

/**
 * Makes, shows, moves and removes the webhooks of a tenant. Slack, Teams and services that send mail know no handshake: an
 * address proves itself by taking a first message.
 */
export class ManageWebhooks {
  readonly #store: SubscriptionStore;
  readonly #seal: SecretSeal;
  readonly #network: ReceiverNetwork;
  readonly #registry: ProviderRegistry;

  /** @param parts `network`: where messages may go; `registry`: tells which providers the tenant has */
  constructor(parts: {
    readonly store: SubscriptionStore;
    readonly seal: SecretSeal;
    readonly network: ReceiverNetwork;
    readonly registry: ProviderRegistry;
  }) {
    this.#store = parts.store;
    this.#seal = parts.seal;
    this.#network = parts.network;
    this.#registry = parts.registry;
  }

  /**
   * Sends the first message, then records the webhook. Not safe to repeat.
   * @throws UserError `invalidRequest` where the message was not taken, or for a provider that the tenant does not have;
   *   `notAllowed` beyond 50 of a tenant
   */
  async create({ tenantId, appId }: Subscriber, wish: WebhookWish): Promise<MadeWebhook> {
    const { id, name, form, filter, url, authorization } = wish;
    this.#requireProviders(tenantId, filter.providers);
    if ((await this.#store.webhooksOf(tenantId)).length >= MOST_WEBHOOKS)
      throw new UserError('notAllowed', `The tenant has ${MOST_WEBHOOKS} webhooks; delete one first.`);
    const secrets = { url, authorization, signingSecret: newSigningSecret(form) };
    await this.#greet(name, form, secrets);
    const made = { kind: 'webhook', id, tenantId, appId } as const;
    const sealed = await this.#seal.seal(JSON.stringify(secrets), placeOf(made));
    const webhook = { ...made, name, form, filter, sealed };
    const recipient = await this.#store.createWebhook(webhook, PAUSE_MS[form.template]);
    return { recipient, secrets, problem: null };
  }

  /** Those of the tenant, oldest first; also such as cannot be opened any more. */
  async list(tenantId: string): Promise<readonly OpenedWebhook[]> {
    return Promise.all((await this.#store.webhooksOf(tenantId)).map((one) => opened(this.#seal, one)));
  }

  /** @throws UserError `itemNotFound` */
  async get(tenantId: string, id: string): Promise<OpenedWebhook> {
    return opened(this.#seal, await this.#found(tenantId, id));
  }

  /**
   * Gives it another address, which proves itself as a new one does. What waits goes there. Its signing secret stays, unless
   * it cannot be opened any more: then it has a new one.
   * @param authorization null: none is sent any more
   * @throws UserError `itemNotFound`; `invalidRequest` where the message was not taken
   */
  async move(tenantId: string, id: string, url: string, authorization: string | null): Promise<MadeWebhook> {
    const webhook = await this.#found(tenantId, id);
    const { secrets: before } = await opened(this.#seal, webhook);
    const signingSecret = before === null ? newSigningSecret(webhook.form) : before.signingSecret;
    const secrets = { url, authorization, signingSecret };
    await this.#greet(webhook.name, webhook.form, secrets);
    const sealed = await this.#seal.seal(JSON.stringify(secrets), placeOf(webhook));
    const moved = await this.#store.moveWebhook(tenantId, id, sealed, PAUSE_MS[webhook.form.template]);
    if (moved === null) throw notFound();
    return { recipient: moved, secrets, problem: null };
  }

  /** @throws UserError `itemNotFound` */
  async remove(tenantId: string, id: string): Promise<void> {
    if (!(await this.#store.removeWebhook(tenantId, id))) throw notFound();
  }

  async #found(tenantId: string, id: string): Promise<Webhook> {
    const webhook = await this.#store.findWebhook(tenantId, id);
    if (webhook === null) throw notFound();
    return webhook;
  }

  #requireProviders(tenantId: string, wanted: readonly string[] | null): void {
    const served = this.#registry.instances.filter((one) => one.serves(tenantId)).map(({ id }) => id);
    const unknown = (wanted ?? []).filter((id) => !served.includes(id));
    if (unknown.length > 0)
      throw new UserError(
        'invalidRequest',
        `providers: the tenant has no ${unknown.join(', ')}; it has ${served.join(', ') || 'none'}.`,
      );
  }

  async #greet(name: string, form: MessageForm, secrets: WebhookSecrets): Promise<void> {
    const told: Told = {
      name: plainLine(name, MOST_NAME),
      outcome: 'is told of security actions here from now on',
      tone: 'neutral',
      facts: [],
      link: null,
    };
    try {
      await tellWebhook(this.#network, form, secrets, [told], this.#store.now());
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      throw new UserError(
        'invalidRequest',
        `The address did not take a first message, so nothing was recorded. ${refusalOf(error)}`,
      );
    }
  }
}

function newSigningSecret({ template }: MessageForm): string | null {
  return IS_SIGNED[template] ? randomBytes(32).toString('base64url') : null;
}

function notFound(): UserError {
  return new UserError('itemNotFound', 'The tenant has no such webhook.');
}
