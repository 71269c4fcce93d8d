import type { EffectRecord, HealthReport, HeartbeatReport, Json, Maintained, VendorOperation } from '#domain';
import {
  PluginDefect,
  type CancelAnswer,
  type ObservedState,
  type Plan,
  type ReconcileOutcome,
  type StepOutcome,
} from '#provider-sdk';

/** Bytes of JSON that are kept of what a plugin reports. */
const RESULT_LIMIT = 256 * 1024;
const PROGRESS_LIMIT = 16 * 1024;
const OPERATION_LIMIT = 16 * 1024;
const EFFECT_LIMIT = 64 * 1024;
/** Characters of a text for people, and how many of them, in what a plugin says of itself or of a target. */
const TEXT_LIMIT = 1000;
const LINES_LIMIT = 100;
/** Levels of what is kept: MongoDB refuses a document of 200, and it stands within one. */
const LEVELS_LIMIT = 100;

const CANCEL_OUTCOMES: ReadonlySet<unknown> = new Set<CancelAnswer>([
  'cancelled',
  'requested',
  'tooLate',
  'notSupported',
  'unknown',
  'neverSent',
]);

/**
 * What a plugin's `execute`, `poll` or `reconcile` answered, as plain and bounded JSON: nothing it returns may
 * keep an end from being recorded. A result that is too large, or nothing that can be kept, is replaced by a note that
 * says so.
 *
 * @throws TypeError when it is no outcome at all, or its operation cannot be kept
 */
export function checkedOutcome<T extends StepOutcome | ReconcileOutcome>(outcome: T): T;
export function checkedOutcome(outcome: StepOutcome | ReconcileOutcome): StepOutcome | ReconcileOutcome {
  const { kind } = (outcome ?? {}) as { readonly kind?: unknown };
  switch (outcome?.kind) {
    case 'completed': {
      const { effect: given, ...completed } = outcome;
      const effect = checkedEffect(given);
      return {
        ...completed,
        result: bounded('result', outcome.result, RESULT_LIMIT),
        ...(effect === null ? {} : { effect }),
      };
    }
    case 'pending': {
      const { nextPollMs, ...pending } = outcome;
      return {
        ...pending,
        // Anything else would leave it without a time to be looked at again.
        ...(typeof nextPollMs === 'number' && !Number.isNaN(nextPollMs) ? { nextPollMs } : {}),
        operation: checkedOperation(outcome.operation),
        progress: bounded('progress', outcome.progress, PROGRESS_LIMIT),
      };
    }
    case 'failed':
    case 'stopped':
    case 'notFound':
    case 'cannotTell':
    case 'neverSent':
      return outcome;
    default:
      throw new TypeError(`the plugin's answer is no outcome: kind ${String(kind)}`);
  }
}

/** @throws PluginDefect when it has no text id, is over 16 KiB, or is no JSON that can be kept */
export function checkedOperation(operation: VendorOperation): VendorOperation {
  const kept = keepable(operation, OPERATION_LIMIT);
  if ('problem' in kept) throw new PluginDefect(`the plugin's operation ${kept.problem}`);
  const { json } = kept;
  if (typeof (json as Partial<VendorOperation> | null)?.id !== 'string')
    throw new PluginDefect("the plugin's operation has to have a text id");
  return json as unknown as VendorOperation;
}

/**
 * What a plugin says it changed, or null where it is no such thing, over 64 KiB, or cannot be kept. Never a part of it:
 * what is put back has to be what was there.
 */
function checkedEffect(effect: EffectRecord | null | undefined): EffectRecord | null {
  if (effect === null || effect === undefined) return null;
  const kept = keepable(effect, EFFECT_LIMIT);
  if ('problem' in kept || kept.json === null) return null;
  const { changed, previous, ids, expiresAt } = kept.json as Partial<Record<keyof EffectRecord, Json>>;
  if (typeof changed !== 'boolean') return null;
  if (ids !== undefined && !(Array.isArray(ids) && ids.every((id) => typeof id === 'string'))) return null;
  if (expiresAt !== undefined && (typeof expiresAt !== 'string' || Number.isNaN(Date.parse(expiresAt))))
    return null;
  return {
    changed,
    ...(previous === undefined ? {} : { previous }),
    ...(ids === undefined ? {} : { ids }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
}

/**
 * What a `pollMany` answered of one action; undefined where it leaves it out.
 * @throws TypeError when the answer is no map, or what it says of this one is no outcome
 */
export function checkedShare(
  answer: ReadonlyMap<string, StepOutcome>,
  actionId: string,
): StepOutcome | undefined {
  if (!(answer instanceof Map)) throw new TypeError("the plugin's pollMany has to return a Map by action id");
  const share = answer.get(actionId) as StepOutcome | undefined;
  return share === undefined ? undefined : checkedOutcome(share);
}

/** @throws TypeError when it is no plan; what is too long is cut */
export function checkedPlan({ summary, changes, warnings, target }: Plan): Plan {
  return {
    summary: line('plan.summary', summary),
    changes: lines('plan.changes', changes),
    ...(warnings === undefined ? {} : { warnings: lines('plan.warnings', warnings) }),
    ...(target === undefined ? {} : { target: bounded('target', target, PROGRESS_LIMIT) }),
  };
}

/** @throws TypeError when it is no such state; what is too long is cut */
export function checkedObservation({ inPlace, message, details }: ObservedState): ObservedState {
  if (inPlace !== null && typeof inPlace !== 'boolean')
    throw new TypeError("the plugin's observed inPlace has to be true, false or null");
  return {
    inPlace,
    message: line('observed message', message),
    ...(details === undefined ? {} : { details: bounded('details', details, PROGRESS_LIMIT) }),
  };
}

/** @throws TypeError when it is no report; what is too long is cut */
export function checkedHealth({ ok, message, checks }: HealthReport): HealthReport {
  if (checks !== undefined && !Array.isArray(checks))
    throw new TypeError("the plugin's health checks have to be a list");
  return {
    ok: flag('health ok', ok),
    message: line('health message', message),
    ...(checks === undefined
      ? {}
      : {
          checks: checks.slice(0, LINES_LIMIT).map((check: NonNullable<HealthReport['checks']>[number]) => ({
            name: line('health check name', check.name),
            ok: flag('health check ok', check.ok),
            message: line('health check message', check.message),
          })),
        }),
  };
}

/** What a comparison found, as plain and bounded JSON. */
export function checkedMaintained({ checked, added, removed, problems }: Maintained): Maintained {
  if (!Array.isArray(problems)) throw new TypeError("the plugin's problems have to be a list");
  for (const count of [checked, added, removed])
    if (!Number.isInteger(count)) throw new TypeError("the plugin's counts have to be whole numbers");
  return {
    checked,
    added,
    removed,
    problems: problems.slice(0, LINES_LIMIT).map((problem: string) => line('problem', problem)),
  };
}

/** A heartbeat's report, as plain and bounded JSON. */
export function checkedReport({ progress, checkpoint }: HeartbeatReport): HeartbeatReport {
  return {
    ...(progress === undefined ? {} : { progress: bounded('progress', progress, PROGRESS_LIMIT) }),
    ...(checkpoint === undefined ? {} : { checkpoint: bounded('checkpoint', checkpoint, PROGRESS_LIMIT) }),
  };
}

/** @throws TypeError for anything but a CancelAnswer */
export function checkedCancelOutcome(outcome: CancelAnswer): CancelAnswer {
  if (CANCEL_OUTCOMES.has(outcome)) return outcome;
  throw new TypeError(`the plugin's answer to a cancel is no outcome: ${outcome}`);
}

function bounded(what: string, value: Json | undefined, limit: number): Json {
  if (value === null || value === undefined) return null;
  const kept = keepable(value, limit);
  return 'problem' in kept ? { omitted: `The plugin's ${what} ${kept.problem}.` } : kept.json;
}

function flag(what: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw new TypeError(`the plugin's ${what} has to be true or false`);
  return value;
}

function line(what: string, text: unknown): string {
  if (typeof text !== 'string') throw new TypeError(`the plugin's ${what} has to be text`);
  return text.length > TEXT_LIMIT ? `${text.slice(0, TEXT_LIMIT - 1)}…` : text;
}

function lines(what: string, texts: readonly string[]): readonly string[] {
  if (!Array.isArray(texts)) throw new TypeError(`the plugin's ${what} has to be a list of texts`);
  return texts.slice(0, LINES_LIMIT).map((text: unknown) => line(what, text));
}

/**
 * As plain JSON that the database keeps; else why it is not that, to follow "the result".
 * @param limit bytes of JSON
 */
function keepable(value: unknown, limit: number): { readonly json: Json } | { readonly problem: string } {
  const text = jsonOf(value);
  if (text === null) return { problem: 'was no JSON' };
  const bytes = Buffer.byteLength(text);
  if (bytes > limit) return { problem: `of ${bytes} bytes is over the limit of ${limit}` };
  const json = JSON.parse(text) as Json;
  const problem = storageProblem(json, LEVELS_LIMIT);
  return problem === null ? { json } : { problem };
}

function jsonOf(value: unknown): string | null {
  try {
    return JSON.stringify(value) ?? null;
  } catch {
    return null;
  }
}

/** What JSON allows, and BSON does not. */
function storageProblem(value: Json, levels: number): string | null {
  if (typeof value !== 'object' || value === null) return null;
  if (levels === 0) return `is nested deeper than ${LEVELS_LIMIT} levels`;
  for (const [key, item] of Object.entries(value)) {
    const problem = key.includes('\0') ? 'has a key with a NUL' : storageProblem(item, levels - 1);
    if (problem !== null) return problem;
  }
  return null;
}
