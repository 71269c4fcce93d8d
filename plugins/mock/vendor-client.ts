import {
  ProviderError,
  Type,
  compileSchema,
  type CallContext,
  type CancelOutcome,
  type Json,
  type ReconcileOutcome,
  type Static,
  type StepOutcome,
  type VendorOperation,
} from '#provider-sdk';
import type { MockSettings } from './settings.js';

/** The HTTP client of the mock vendor. See test/simulators/mock-vendor/README.md for the protocol. */

type Context = CallContext<MockSettings & { readonly baseUrl: string }> | CallContext<MockSettings>;

const TIMEOUT_MS = 10_000;

const operationSchema = Type.Object({
  operationId: Type.String(),
  status: Type.Union([Type.Literal('running'), Type.Literal('completed'), Type.Literal('cancelled')]),
  remainingMs: Type.Optional(Type.Number()),
  progress: Type.Optional(Type.Number()),
});
type Operation = Static<typeof operationSchema>;
const isOperation = compileSchema(operationSchema);

/** Sends the action. In mode `key` the vendor deduplicates by our key; in all it is the correlation tag. */
export async function submit(
  context: Context,
  action: string,
  parameters: object,
  durationMs: number,
): Promise<StepOutcome> {
  const { key, target } = { key: context.idempotencyKey, target: JSON.stringify(parameters) };
  const answer = await call(context, 'POST', '/operations', { key, action, target, durationMs });
  return outcomeOf(operationOf(answer, 'unknownOutcome'));
}

export async function poll(context: Context, operation: VendorOperation): Promise<StepOutcome> {
  const answer = await call(context, 'GET', `/operations/${encodeURIComponent(operation.id)}`);
  return outcomeOf(operationOf(answer, 'transient'));
}

/** Looks for a request by its correlation tag, which only mode `lookup` offers. */
export async function reconcile(context: Context, action: string): Promise<ReconcileOutcome> {
  if (context.settings.mode !== 'lookup') return { kind: 'cannotTell' };
  const query = new URLSearchParams({ tag: context.idempotencyKey, action });
  const answer = await call(context, 'GET', `/operations?${query.toString()}`);
  if (answer.status === 404) return { kind: 'notFound' };
  return outcomeOf(operationOf(answer, 'transient'));
}

/** Cancels by operation or, where its id never came back, by key: a cancelled key is refused ever after. */
export async function cancel(context: Context, operation: VendorOperation | null): Promise<CancelOutcome> {
  const answer = await call(
    context,
    'POST',
    '/cancel',
    operation === null ? { key: context.idempotencyKey } : { operationId: operation.id },
  );
  switch (answer.status) {
    case 200:
      return 'cancelled';
    case 409:
      return 'tooLate';
    default:
      return 'unknown';
  }
}

function outcomeOf({ operationId, status, remainingMs, progress }: Operation): StepOutcome {
  switch (status) {
    case 'completed':
      return { kind: 'completed', result: { operationId } };
    case 'cancelled':
      return { kind: 'stopped' };
    case 'running':
      return {
        kind: 'pending',
        operation: { id: operationId },
        nextPollMs: Math.max(50, Math.min(remainingMs ?? 1000, 1000)),
        ...(progress === undefined ? {} : { progress }),
      };
  }
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

function operationOf({ status, body }: Answer, garbage: 'unknownOutcome' | 'transient'): Operation {
  if (isOperation(body)) return body as Operation;
  throw new ProviderError(garbage, 'The vendor answered with something that is not its protocol.', {
    httpStatus: status,
  });
}

/** Statuses with a meaning of their own here: not found, too late, and a key that was cancelled before. */
const ANSWERS = [404, 409, 410];

async function call(context: Context, method: 'GET' | 'POST', path: string, json?: Json): Promise<Answer> {
  const answer = await context.http.request({
    method,
    url: new URL(path, context.settings.baseUrl),
    headers: { 'idempotency-key': context.idempotencyKey },
    ...(json === undefined ? {} : { json }),
    accept: ANSWERS,
    timeoutMs: TIMEOUT_MS,
  });
  // A tombstoned key: it was cancelled before, and will never be carried out.
  return answer.status === 410
    ? { status: 410, body: { operationId: context.idempotencyKey, status: 'cancelled' } }
    : answer;
}
