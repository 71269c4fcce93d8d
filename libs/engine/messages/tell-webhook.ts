import { createHash } from 'node:crypto';
import type { Json, MessageForm, MessageTemplate, WebhookSecrets } from '#domain';
import { deliver, type ReceiverNetwork } from '../receiver-http.js';
import { emailMessage } from './email-message.js';
import type { Told } from './message.js';
import { slackMessage } from './slack-message.js';
import { teamsMessage } from './teams-message.js';

/**
 * Milliseconds between two messages. Slack takes one a second (https://docs.slack.dev/apis/web-api/rate-limits), Teams
 * four; services that send mail two, as a rule.
 */
export const PAUSE_MS: Readonly<Record<MessageTemplate, number>> = { slack: 1000, teams: 250, email: 500 };

/** Whether those who receive it can check a signature: Slack and Teams know the sender by the address alone. */
export const IS_SIGNED: Readonly<Record<MessageTemplate, boolean>> = {
  slack: false,
  teams: false,
  email: true,
};

/**
 * Tells people with one message, in the form of the webhook.
 * @throws ProviderError where it was not taken by a 2xx in 10 seconds
 */
export async function tellWebhook(
  network: ReceiverNetwork,
  form: MessageForm,
  { url, authorization, signingSecret }: WebhookSecrets,
  told: readonly Told[],
  now: Date,
): Promise<void> {
  const body = JSON.stringify(messageIn(form, told));
  const headers = {
    ...(authorization === null ? {} : { authorization }),
    // Of a repeat the same, so that a service that knows it sends one mail.
    ...(form.template === 'email'
      ? { 'idempotency-key': createHash('sha256').update(body).digest('hex') }
      : {}),
  };
  const secrets = authorization === null ? [] : [authorization];
  await deliver(network, { url, body, headers, signingSecret, secrets }, now);
}

function messageIn(form: MessageForm, told: readonly Told[]): Json {
  switch (form.template) {
    case 'slack':
      return slackMessage(told);
    case 'teams':
      return teamsMessage(told);
    case 'email':
      return emailMessage(told, form);
  }
}
