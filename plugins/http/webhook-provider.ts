import { createHmac, randomUUID } from 'node:crypto';
import {
  ProviderError,
  defineProvider,
  type CallContext,
  type CancelOutcome,
  type Json,
  type Provider,
  type StepOutcome,
  type VendorOperation,
  type VendorResponse,
} from '#provider-sdk';
import type { WebhookDefinition } from './definition.js';
import { manifestOf, objectSchema } from './manifest.js';

/** The signed webhook: one contract for whatever a receiver does. docs/plugins/webhook.md has it. */

type Event = 'execute' | 'status' | 'cancel' | 'revert';
interface Settings {
  readonly url: string;
}
interface Request {
  readonly action: string;
  readonly parameters: unknown;
  readonly effectUntil?: Date;
}

const MOST_BYTES = 1_048_576;
const TIMEOUT_MS = 30_000;
const DEFAULT_POLL_MS = 5000;
const LONGEST_POLL_MS = 3_600_000;

/** The provider of a `kind: webhook` definition. */
export function webhookProvider(definition: WebhookDefinition): Provider {
  const settings = objectSchema(
    {
      url: {
        type: 'string',
        pattern: '^https?://[^\\s#]+$',
        description: 'Where deliveries go.',
        examples: ['https://soar.example.com/riposte'],
      },
    },
    ['url'],
  );
  const secrets = { required: ['signingSecret'], optional: ['previousSigningSecret'] };
  const abilities = Object.fromEntries(
    Object.entries(definition.actions).map(([name, { cancellable, revertible, supportsExpiry }]) => [
      name,
      { idempotency: 'key' as const, cancellable, revertible, supportsExpiry, observable: false, calls: 1 },
    ]),
  );

  const deliver = (
    context: CallContext,
    event: Event,
    request: Request,
    more: { readonly id?: string; readonly operation?: VendorOperation | null } = {},
  ): Promise<VendorResponse> => {
    const { url } = context.settings as Settings;
    const target = definition.actions[request.action]?.target;
    const parameters = request.parameters as Readonly<Record<string, Json>>;
    const body = JSON.stringify({
      specVersion: '1',
      id: more.id ?? context.actionId,
      event,
      action: request.action,
      parameters,
      target: target === undefined ? null : (parameters[target] ?? null),
      tenant: context.tenantId,
      requestedAt: new Date().toISOString(),
      deadline: context.deadlineAt.toISOString(),
      ...(request.effectUntil === undefined ? {} : { effectUntil: request.effectUntil.toISOString() }),
      ...(more.operation ? { operationId: more.operation.id } : {}),
    });
    if (Buffer.byteLength(body) > MOST_BYTES)
      return Promise.reject(
        new ProviderError('invalidInput', 'The parameters are more than the 1 MB of a delivery.'),
      );
    const delivery = deliveryOf(event, context.idempotencyKey, more.operation);
    return context.http.request({
      method: 'POST',
      url: event === 'status' ? pollUrlOf(more.operation, url) : url,
      body,
      headers: { 'content-type': 'application/json', ...signed(body, context.secrets, delivery) },
      changes: event !== 'status',
      accept: [409],
      timeoutMs: TIMEOUT_MS,
      maxBytes: MOST_BYTES,
      classify: ({ status }) => {
        if (status === 408 || status === 425) return { errorClass: 'transient' };
        // It knows deliveries by their id, so that to send one again is safe whatever became of it.
        return status >= 500 && event === 'status' ? { errorClass: 'transient' } : undefined;
      },
    });
  };

  return defineProvider({
    manifest: manifestOf(definition, settings, secrets, abilities),

    async execute(context, request) {
      const outcome = outcomeOf(await deliver(context, 'execute', request), context, 'unknownOutcome');
      if (outcome.kind === 'pending') await context.saveOperation(outcome.operation);
      return outcome;
    },

    async poll(context, operation, request) {
      return outcomeOf(
        await deliver(context, 'status', request, { operation }),
        context,
        'transient',
        operation,
      );
    },

    async cancel(context, operation, request): Promise<CancelOutcome> {
      const { body, status } = await deliver(context, 'cancel', request, { operation });
      const said = fieldsOf(body)['status'];
      if (said === 'cancelled') return 'cancelled';
      if (said === 'completed' || status === 409) return 'tooLate';
      return said === 'running' ? 'requested' : 'unknown';
    },

    async revert(context, done) {
      if (done.effect?.changed === false) return { kind: 'completed', effect: { changed: false } };
      const outcome = outcomeOf(
        await deliver(context, 'revert', done, { id: done.actionId }),
        context,
        'unknownOutcome',
      );
      if (outcome.kind === 'pending') await context.saveOperation(outcome.operation);
      return outcome;
    },
  });
}

/**
 * The delivery's id. Receivers answer a known one as they did before, so each event is another delivery, each question
 * is one of its own, and a cancel that names the work is not the one that came too early to name it.
 */
function deliveryOf(event: Event, key: string, operation: VendorOperation | null | undefined): string {
  switch (event) {
    case 'execute':
    case 'revert':
      return key;
    case 'status':
      return `${key}:status:${randomUUID()}`;
    case 'cancel':
      return operation ? `${key}:cancel` : `${key}:cancel:early`;
  }
}

/**
 * `t=<unix s>,v1=<hex>` over `t + "." + body`. While a secret is exchanged there are two `v1`, so that a receiver may
 * hold either.
 */
function signed(
  body: string,
  secrets: Readonly<Record<string, string>>,
  delivery: string,
): Record<string, string> {
  const t = String(Math.floor(Date.now() / 1000));
  const values = [secrets['signingSecret'], secrets['previousSigningSecret']]
    .filter((secret) => secret !== undefined)
    .map((secret) => `v1=${createHmac('sha256', secret).update(`${t}.${body}`).digest('hex')}`);
  return {
    'x-riposte-timestamp': t,
    'x-riposte-delivery': delivery,
    'idempotency-key': delivery,
    'x-riposte-signature': [`t=${t}`, ...values].join(','),
  };
}

function outcomeOf(
  { status, body }: VendorResponse,
  { settings }: CallContext,
  unclear: 'unknownOutcome' | 'transient',
  known?: VendorOperation,
): StepOutcome {
  const { status: said, operationId, pollUrl, retryAfter, result, message, changed } = fieldsOf(body);
  if (said === 'completed' && status === 200)
    return { kind: 'completed', result: (result ?? null) as Json, effect: { changed: changed !== false } };
  if (said === 'cancelled' && status === 200) return { kind: 'stopped' };
  if (said === 'failed' && status === 200) {
    const why = typeof message === 'string' ? message.slice(0, 500) : 'no reason given';
    return { kind: 'failed', error: new ProviderError('permanent', `The receiver failed: ${why}`) };
  }
  const id = typeof operationId === 'string' && operationId !== '' ? operationId : known?.id;
  if (id !== undefined && (status === 409 || said === 'running')) {
    const next = pollUrl ?? stateOf(known)['pollUrl'];
    if (typeof next === 'string') requireSameOrigin(next, (settings as Settings).url, unclear);
    return {
      kind: 'pending',
      operation: { id, ...(typeof next === 'string' ? { state: { pollUrl: next } } : {}) },
      nextPollMs:
        typeof retryAfter === 'number' && retryAfter >= 0
          ? Math.min(retryAfter * 1000, LONGEST_POLL_MS)
          : DEFAULT_POLL_MS,
    };
  }
  if (status === 409)
    throw new ProviderError('conflict', 'The receiver answered 409 without an operationId.', {
      httpStatus: 409,
    });
  throw new ProviderError(unclear, 'The receiver answered with something that is not the contract.', {
    httpStatus: status,
  });
}

function pollUrlOf(operation: VendorOperation | null | undefined, url: string): string {
  const { pollUrl } = stateOf(operation);
  return typeof pollUrl === 'string' ? pollUrl : url;
}

/** Deliveries hold parameters and are signed: they go to the receiver that was configured, and to no other. */
function requireSameOrigin(pollUrl: string, url: string, unclear: 'unknownOutcome' | 'transient'): void {
  if (URL.canParse(pollUrl) && new URL(pollUrl).origin === new URL(url).origin) return;
  throw new ProviderError(
    unclear,
    'The receiver gave a pollUrl of another origin than its own, which is not called.',
  );
}

const stateOf = (operation: VendorOperation | null | undefined): Readonly<Record<string, unknown>> =>
  fieldsOf(operation?.state);

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
