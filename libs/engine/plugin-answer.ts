import type { CancelOutcome, HeartbeatReport, Json, VendorOperation } from '#domain';
import type { ReconcileOutcome, StepOutcome } from '#provider-sdk';

/** Bytes of JSON that are kept of what a plugin reports. */
const RESULT_LIMIT = 256 * 1024;
const PROGRESS_LIMIT = 16 * 1024;
const OPERATION_LIMIT = 16 * 1024;

const CANCEL_OUTCOMES: ReadonlySet<unknown> = new Set<CancelOutcome>([
  'cancelled',
  'requested',
  'tooLate',
  'notSupported',
  'unknown',
]);

/**
 * What a plugin's `execute`, `poll` or `reconcile` answered, as plain and bounded JSON: nothing it returns may
 * keep an end from being recorded. A result that is too large or no JSON is replaced by a note that says so.
 *
 * @throws TypeError when it is no outcome at all, or its operation cannot be kept
 */
export function checkedOutcome<T extends StepOutcome | ReconcileOutcome>(outcome: T): T;
export function checkedOutcome(outcome: StepOutcome | ReconcileOutcome): StepOutcome | ReconcileOutcome {
  const { kind } = (outcome ?? {}) as { readonly kind?: unknown };
  switch (outcome?.kind) {
    case 'completed':
      return { ...outcome, result: bounded('result', outcome.result, RESULT_LIMIT) };
    case 'pending':
      return {
        ...outcome,
        operation: checkedOperation(outcome.operation),
        progress: bounded('progress', outcome.progress, PROGRESS_LIMIT),
      };
    case 'failed':
    case 'stopped':
    case 'notFound':
    case 'cannotTell':
      return outcome;
    default:
      throw new TypeError(`the plugin's answer is no outcome: kind ${String(kind)}`);
  }
}

/** @throws TypeError when it has no text id, is no JSON, or is over 16 KiB */
export function checkedOperation(operation: VendorOperation): VendorOperation {
  const text = jsonOf(operation);
  if (text === null || typeof operation?.id !== 'string')
    throw new TypeError("the plugin's operation has to be JSON with a text id");
  if (Buffer.byteLength(text) > OPERATION_LIMIT)
    throw new TypeError(`the plugin's operation is over ${OPERATION_LIMIT} bytes`);
  return JSON.parse(text) as VendorOperation;
}

/** A heartbeat's report, as plain and bounded JSON. */
export function checkedReport({ progress, checkpoint }: HeartbeatReport): HeartbeatReport {
  return {
    ...(progress === undefined ? {} : { progress: bounded('progress', progress, PROGRESS_LIMIT) }),
    ...(checkpoint === undefined ? {} : { checkpoint: bounded('checkpoint', checkpoint, PROGRESS_LIMIT) }),
  };
}

/** @throws TypeError for anything but a CancelOutcome */
export function checkedCancelOutcome(outcome: CancelOutcome): CancelOutcome {
  if (CANCEL_OUTCOMES.has(outcome)) return outcome;
  throw new TypeError(`the plugin's answer to a cancel is no outcome: ${outcome}`);
}

function bounded(what: string, value: Json | undefined, limit: number): Json {
  if (value === null || value === undefined) return null;
  const text = jsonOf(value);
  if (text === null) return { omitted: `The plugin's ${what} was no JSON.` };
  const bytes = Buffer.byteLength(text);
  if (bytes > limit)
    return { omitted: `The plugin's ${what} of ${bytes} bytes is over the limit of ${limit}.` };
  return JSON.parse(text) as Json;
}

function jsonOf(value: unknown): string | null {
  try {
    return JSON.stringify(value) ?? null;
  } catch {
    return null;
  }
}
