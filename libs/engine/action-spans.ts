import type { ClaimedAction } from '#domain';
import { ProviderError, type StopRequested } from '#provider-sdk';
import { inTraceOf, noteSpan, spanIdOf, withSpan, type LiveSpan } from '#telemetry';
import type { CallResult } from './provider-call.js';

/**
 * The spans of carrying an action out. A claim's, and that of the first call that issues under it, have ids that follow
 * from the action and the epoch: so spans link to those of an earlier claim, in whichever process that was, and nothing
 * has to be written for it.
 */

/** How a plugin is called for a claimed action. */
export type CallName = 'execute' | 'revert' | 'poll' | 'reconcile' | 'cancel';

type TracedAction = Pick<
  ClaimedAction,
  'id' | 'tenantId' | 'instance' | 'actionName' | 'traceparent' | 'intent' | 'attempts' | 'epoch'
>;

/** When an action was looked at and claimed: `performance.now()` of each. */
export interface ClaimTimes {
  readonly lookedAt: number;
  readonly claimedAt: number;
}

/** All that a claim does, from the look at the hint on, in a span; without one where the action is not traced. */
export function withDispatchSpan<T>(
  action: TracedAction,
  why: string,
  { lookedAt, claimedAt }: ClaimTimes,
  run: () => Promise<T>,
): Promise<T> {
  const { traceparent, id, epoch } = action;
  if (traceparent === null) return run();
  const facts = {
    kind: 'consumer',
    parent: traceparent,
    id: dispatchId(id, epoch),
    links: epoch > 1 ? [inTraceOf(traceparent, dispatchId(id, epoch - 1))] : [],
    startedAt: lookedAt,
    attributes: {
      'messaging.system': 'bullmq',
      'messaging.operation.type': 'process',
      'messaging.operation.name': why,
      'messaging.destination.name': action.instance,
      ...factsOf(action),
      'riposte.epoch': epoch,
    },
  } as const;
  return withSpan('dispatch', facts, () => {
    noteSpan('claim', { startedAt: claimedAt });
    return run();
  });
}

/**
 * One call of the plugin in a span that links to what it follows: another attempt to the one before, any other call to
 * the call that issued the action.
 * @param isFirst no other call of this name was made under this claim
 */
export function withCallSpan<T>(
  name: CallName,
  action: TracedAction,
  isFirst: boolean,
  run: () => Promise<CallResult<T>>,
): Promise<CallResult<T>> {
  const { traceparent, id, epoch, intent, attempts } = action;
  if (traceparent === null) return run();
  const issues = name === 'execute' || name === 'revert';
  const isRepeat = intent !== null && intent.epoch !== epoch;
  const follows = !issues || isRepeat ? intent?.epoch : attempts.at(-1)?.epoch;
  const facts = {
    ...(issues && isFirst ? { id: issueId(id, epoch) } : {}),
    links: follows === undefined ? [] : [inTraceOf(traceparent, issueId(id, follows))],
    attributes: { ...factsOf(action), 'riposte.attempt': intent?.attempt ?? attempts.length + 1 },
  };
  return withSpan(`plugin ${name}`, facts, (span) => noted(span, run()));
}

/**
 * One call of the plugin about many actions, in a trace of its own that links to theirs.
 * @param asking the spans of those who ask, as `traceparent`; none: there is no span
 */
export function withGroupSpan<T>(
  asking: readonly string[],
  instance: string,
  run: () => Promise<CallResult<T>>,
): Promise<CallResult<T>> {
  if (asking.length === 0) return run();
  const attributes = { 'riposte.instance': instance };
  return withSpan('plugin pollMany', { parent: null, begins: true, links: asking, attributes }, (span) =>
    noted(span, run()),
  );
}

async function noted<T>(span: LiveSpan, call: Promise<CallResult<T>>): Promise<CallResult<T>> {
  const result = await call;
  switch (result.kind) {
    case 'returned':
      span.set({ 'riposte.outcome': outcomeOf(result.value) });
      if (isFailure(result.value)) span.failed(errorType(result.value.error));
      break;
    case 'threw':
      span.failed(errorType(result.error));
      break;
    case 'stopped':
      span.failed(STOPPED[result.why]);
      break;
  }
  return result;
}

const STOPPED: Readonly<Record<StopRequested['why'], string>> = {
  deadline: 'timeout',
  cancel: 'stopped.cancel',
  leaseLost: 'stopped.leaseLost',
  shutdown: 'stopped.shutdown',
};

function outcomeOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  const kind = (value as { readonly kind?: unknown } | null | undefined)?.kind;
  return typeof kind === 'string' ? kind : undefined;
}

function isFailure(value: unknown): value is { readonly error: unknown } {
  return outcomeOf(value) === 'failed' && typeof value === 'object';
}

function errorType(error: unknown): string {
  return error instanceof ProviderError ? error.errorClass : 'defect';
}

function factsOf({ id, tenantId, instance, actionName }: TracedAction) {
  return {
    'riposte.action.id': id,
    'riposte.action.name': actionName,
    'riposte.instance': instance,
    'riposte.tenant': tenantId,
  };
}

function dispatchId(actionId: string, epoch: number): string {
  return spanIdOf('dispatch', actionId, epoch);
}

function issueId(actionId: string, epoch: number): string {
  return spanIdOf('issue', actionId, epoch);
}
