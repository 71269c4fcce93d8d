import { request } from 'undici';
import {
  ProviderError,
  Type,
  compileSchema,
  type CallContext,
  type CancelOutcome,
  type HealthReport,
  type InstanceContext,
  type Json,
  type ObservedState,
  type ReconcileOutcome,
  type Static,
  type StepOutcome,
  type VendorOperation,
} from '#provider-sdk';
import type { MockSettings } from './settings.js';

/** The HTTP client of the mock vendor. See test/simulators/mock-vendor/README.md for the protocol. */

type Context = CallContext<MockSettings>;

const TIMEOUT_MS = 10_000;
const MOST_BYTES = 1_048_576;

const operationSchema = Type.Object({
  operationId: Type.String(),
  status: Type.Union([Type.Literal('running'), Type.Literal('completed'), Type.Literal('cancelled')]),
  remainingMs: Type.Optional(Type.Number()),
  progress: Type.Optional(Type.Number()),
  changed: Type.Optional(Type.Boolean()),
});
type Operation = Static<typeof operationSchema>;
const isOperation = compileSchema(operationSchema);
const isUndone = compileSchema(Type.Object({ changed: Type.Boolean() }));
const isEffect = compileSchema(Type.Object({ inPlace: Type.Boolean() }));

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

/** Takes the effect of an action away; a repeat by the same key, or of what is gone, changes nothing. */
export async function undo(context: Context, action: string, parameters: object): Promise<StepOutcome> {
  const body = { key: context.idempotencyKey, action, target: JSON.stringify(parameters) };
  const answer = await call(context, 'POST', '/undo', body);
  if (!isUndone(answer.body)) throw garbage('unknownOutcome', answer.status);
  return { kind: 'completed', effect: answer.body as { readonly changed: boolean } };
}

export async function observe(context: Context, action: string, parameters: object): Promise<ObservedState> {
  const query = new URLSearchParams({ action, target: JSON.stringify(parameters) });
  const answer = await call(context, 'GET', `/effects?${query.toString()}`);
  if (!isEffect(answer.body)) throw garbage('transient', answer.status);
  const { inPlace } = answer.body as { readonly inPlace: boolean };
  return { inPlace, message: inPlace ? `${action} is in place.` : `${action} is not in place.` };
}

export async function health(context: InstanceContext<MockSettings>): Promise<HealthReport> {
  const { status } = await call(context, 'GET', '/health');
  return { ok: status === 200, message: `The mock vendor answers ${status}.` };
}

function outcomeOf({ operationId, status, remainingMs, progress, changed }: Operation): StepOutcome {
  switch (status) {
    case 'completed':
      return {
        kind: 'completed',
        result: { operationId },
        ...(changed === undefined ? {} : { effect: { changed, ids: [operationId] } }),
      };
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

function operationOf({ status, body }: Answer, otherwise: 'unknownOutcome' | 'transient'): Operation {
  if (isOperation(body)) return body as Operation;
  throw garbage(otherwise, status);
}

function garbage(errorClass: 'unknownOutcome' | 'transient', httpStatus: number): ProviderError {
  return new ProviderError(errorClass, 'The vendor answered with something that is not its protocol.', {
    httpStatus,
  });
}

async function call(
  context: Context | InstanceContext<MockSettings>,
  method: 'GET' | 'POST',
  path: string,
  body?: Json,
): Promise<Answer> {
  const issues = method === 'POST';
  const url = new URL(path, context.settings.baseUrl);
  let response: Awaited<ReturnType<typeof request>>;
  try {
    response = await request(url, {
      method,
      signal: AbortSignal.any([context.signal, AbortSignal.timeout(TIMEOUT_MS)]),
      headers: {
        'content-type': 'application/json',
        ...('idempotencyKey' in context ? { 'idempotency-key': context.idempotencyKey } : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (cause) {
    throw connectionError(cause, issues, context.signal);
  }
  const { statusCode, headers } = response;
  const text = await textOf(response, issues, context.signal);
  if (statusCode === 429 || (statusCode === 503 && headers['retry-after'] !== undefined)) {
    throw new ProviderError(
      statusCode === 429 ? 'rateLimited' : 'transient',
      'The vendor asks to come back later.',
      {
        httpStatus: statusCode,
        retryAfterMs: retryAfterMs(headers['retry-after']),
      },
    );
  }
  if (statusCode >= 500 || (statusCode >= 300 && statusCode < 400)) {
    throw new ProviderError(
      issues ? 'unknownOutcome' : 'transient',
      `The vendor failed with HTTP ${statusCode}.`,
      { httpStatus: statusCode },
    );
  }
  const failed = {
    400: 'invalidInput',
    401: 'auth',
    403: 'permission',
    422: 'invalidInput',
    507: 'capacity',
  } as const;
  if (statusCode in failed) {
    throw new ProviderError(
      failed[statusCode as keyof typeof failed],
      `The vendor refused it with HTTP ${statusCode}.`,
      { httpStatus: statusCode },
    );
  }
  // A tombstoned key: it was cancelled before, and will never be carried out.
  if (statusCode === 410 && 'idempotencyKey' in context)
    return { status: statusCode, body: { operationId: context.idempotencyKey, status: 'cancelled' } };
  return { status: statusCode, body: parsed(text) };
}

function connectionError(cause: unknown, issues: boolean, signal: AbortSignal): Error {
  if (signal.aborted) return signal.reason as Error;
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : '';
  if (
    [
      'ECONNREFUSED',
      'ENOTFOUND',
      'EAI_AGAIN',
      'EHOSTUNREACH',
      'ENETUNREACH',
      'UND_ERR_CONNECT_TIMEOUT',
    ].includes(code)
  ) {
    return new ProviderError('unreachable', `The vendor cannot be reached (${code}); nothing was sent.`, {
      cause,
    });
  }
  return new ProviderError(
    issues ? 'unknownOutcome' : 'transient',
    'The connection broke before the vendor answered.',
    { cause },
  );
}

async function textOf(
  response: Awaited<ReturnType<typeof request>>,
  issues: boolean,
  signal: AbortSignal,
): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body) {
      size += (chunk as Buffer).byteLength;
      if (size > MOST_BYTES) {
        response.body.destroy();
        break;
      }
      chunks.push(chunk as Buffer);
    }
  } catch (cause) {
    throw connectionError(cause, issues, signal);
  }
  return size > MOST_BYTES ? '' : Buffer.concat(chunks).toString('utf8');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** `Retry-After` in seconds or as a date. */
function retryAfterMs(header: string | string[] | undefined): number {
  const text = String(header ?? '');
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : 1000;
}
