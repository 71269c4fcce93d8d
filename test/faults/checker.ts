import { isFinal, isLegalHistory, phaseFits, type SecurityAction } from '#domain';
import type {
  CancelAnswered,
  Creation,
  Effect,
  Evidence,
  FaultKind,
  FaultRecord,
  FinalView,
} from './evidence.js';

/** One thing that should not have happened. */
export interface Finding {
  readonly id: string;
  readonly why: string;
}

/** The verdict. Each list is empty in a campaign that passes. */
export interface Verdict {
  readonly acknowledged: number;
  /** Acknowledged, and not on record. */
  readonly lost: readonly Finding[];
  /** Carried out more than once, by the vendor's own ledger. */
  readonly duplicated: readonly Finding[];
  /** On record and without an end. */
  readonly stuck: readonly Finding[];
  /** A history that no transition allows, or an end that changed. */
  readonly illegal: readonly Finding[];
  /** An answer or an end that says what did not happen. */
  readonly untrue: readonly Finding[];
  /** An outcome unknown that no fault and no unanswered call explains. */
  readonly unexplained: readonly Finding[];
  /** A tenant saw another's. */
  readonly leaked: readonly Finding[];
  /** A history that is not in the audit record, or a chain of it that is broken. */
  readonly unaudited: readonly Finding[];
  readonly outcomeUnknown: number;
  readonly ends: Readonly<Record<string, number>>;
}

/** Milliseconds after a fault in which a call it hit may still end. */
const AFTERMATH_MS = 2000;
/** Faults that reach no call of a vendor, and so explain no outcome unknown. */
const HARMLESS_KINDS: ReadonlySet<FaultKind> = new Set(['redis', 'api', 'client']);
/** Phases that say: nothing was done. `cancelledAtProvider` and `timedOut` say so of what the vendor stopped. */
const NOTHING_DONE = ['failed', 'expired', 'cancelled', 'timedOut', 'cancelledAtProvider'];
const DEFECT = 500;
const CANCELLED = 499;

/** Whether what the clients were told, the records and the vendors' ledgers agree. */
export function check(evidence: Evidence): Verdict {
  const { creations, cancels, records, faults, firstFinals, leaked, auditBreaks } = evidence;
  const byId = new Map(records.map((record) => [record.id, record]));
  const created = new Map(creations.flatMap((one) => (one.id === null ? [] : [[one.id, one] as const])));
  const effects = groupedBy(evidence.ledger, ({ key }) => key);
  const answers = groupedBy(cancels, ({ id }) => id);
  const found = {
    lost: [] as Finding[],
    duplicated: [] as Finding[],
    stuck: [] as Finding[],
    illegal: [] as Finding[],
    untrue: [] as Finding[],
    unexplained: [] as Finding[],
  };
  for (const id of created.keys())
    if (!byId.has(id)) found.lost.push({ id, why: 'acknowledged, not on record' });
  for (const [key, entries] of effects) {
    const executed = entries.filter(({ event }) => event === 'executed').length;
    if (executed > 1) found.duplicated.push({ id: key, why: `carried out ${executed} times` });
    if (executed > 0 && !byId.has(key)) found.lost.push({ id: key, why: 'carried out, not on record' });
  }
  for (const record of records) {
    const entries = effects.get(record.id) ?? [];
    const add = (list: Finding[], why: string | null): void => {
      if (why !== null) list.push({ id: record.id, why });
    };
    add(found.illegal, illegalOf(record));
    if (!isFinal(record.status)) {
      add(
        found.stuck,
        `${record.status}/${record.phase}, due ${record.nextAt?.toISOString()}, owner ${record.owner}`,
      );
      continue;
    }
    add(found.illegal, changedEnd(record, firstFinals.get(record.id)));
    // What crashes on purpose never reaches the vendor.
    if (record.actionName !== 'Crash') add(found.untrue, untrueEnd(record, entries));
    for (const answer of answers.get(record.id) ?? []) add(found.untrue, untrueCancel(record, answer));
    if (record.errorInfo?.code === CANCELLED && record.cancel === null)
      add(found.untrue, 'ended as cancelled and nobody asked for it');
    if (record.phase === 'outcomeUnknown') add(found.unexplained, unexplained(record, entries, faults));
  }
  for (const { id, status } of cancels)
    if (status === 200 && !byId.has(id)) found.untrue.push({ id, why: 'cancel of what is not on record' });
  return {
    acknowledged: created.size,
    ...found,
    leaked: leaked.map((id) => ({ id, why: 'shown to another tenant' })),
    unaudited: auditBreaks,
    outcomeUnknown: records.filter(({ phase }) => phase === 'outcomeUnknown').length,
    ends: counts(records.map(({ status, phase }) => `${status}/${phase}`)),
  };
}

/** True when nothing was found. */
export function isClean(verdict: Verdict): boolean {
  const { lost, duplicated, stuck, illegal, untrue, unexplained: unknowns, leaked, unaudited } = verdict;
  return [lost, duplicated, stuck, illegal, untrue, unknowns, leaked, unaudited].every(
    ({ length }) => length === 0,
  );
}

function illegalOf(record: SecurityAction): string | null {
  const statuses = record.states.map(({ status }) => status);
  if (!isLegalHistory(statuses)) return `history ${statuses.join(' → ')}`;
  if (statuses.filter(isFinal).length > 1) return 'more than one end';
  if (statuses.at(-1) !== record.status) return `status ${record.status}, last state ${statuses.at(-1)}`;
  if (!phaseFits(record.status, record.phase)) return `phase ${record.phase} under ${record.status}`;
  if (!isSorted(record.states.map(({ updatedAt }) => updatedAt.getTime())))
    return 'states run backwards in time';
  if (!isSorted(record.attempts.map(({ number }) => number))) return 'attempts out of order';
  if (!isSorted(record.attempts.map(({ epoch }) => epoch))) return 'epochs run backwards';
  if (isFinal(record.status) !== (record.completedAt !== null))
    return 'status and completedDateTime disagree';
  if ((record.status === 'Failed') !== (record.errorInfo !== null)) return 'status and errorInfo disagree';
  return null;
}

function changedEnd(record: SecurityAction, first: FinalView | undefined): string | null {
  if (first === undefined) return null;
  const same =
    first.status === record.status &&
    first.phase === record.phase &&
    first.code === (record.errorInfo?.code ?? null) &&
    first.completedAt === record.completedAt?.getTime();
  return same
    ? null
    : `ended as ${first.status}/${first.phase} (${first.code}), and is ${record.status}/${record.phase} now`;
}

/** An end against what the vendor's ledger says. */
function untrueEnd(record: SecurityAction, entries: readonly Effect[]): string | null {
  const executed = entries.some(({ event }) => event === 'executed');
  const stopped = entries.some(({ event }) => event === 'cancelled');
  if (record.status === 'Completed') {
    if (!executed) return 'Completed, and the vendor never did it';
    return stopped ? 'Completed, and the vendor had stopped it' : null;
  }
  if (record.phase === 'cancelled' && executed) return 'cancelled before issue, and the vendor did it';
  const saysNothingDone = NOTHING_DONE.includes(record.phase) && record.errorInfo?.code !== DEFECT;
  return saysNothingDone && executed && !stopped
    ? `${record.phase} (${record.errorInfo?.code}), and the vendor did it`
    : null;
}

function untrueCancel(record: SecurityAction, { status, answeredAt }: CancelAnswered): string | null {
  const completedAt = record.completedAt?.getTime() ?? Number.POSITIVE_INFINITY;
  switch (status) {
    case 200:
      return record.cancel === null ? 'cancel answered 200, and no wish is on record' : null;
    case 409:
      if (record.errorInfo?.code === CANCELLED) return 'cancel answered 409, and it ended as cancelled';
      return completedAt > answeredAt ? 'cancel answered 409 before the end' : null;
    case 404:
      return 'cancel answered 404, and it is on record';
    default:
      // No answer, or one that says that it is not known (500) or was not recorded (503).
      return null;
  }
}

function unexplained(
  record: SecurityAction,
  entries: readonly Effect[],
  faults: readonly FaultRecord[],
): string | null {
  if (record.idempotency === 'key' || record.idempotency === 'natural')
    return `outcome unknown in mode ${record.idempotency}`;
  const last = record.attempts.at(-1);
  if (last === undefined) return 'outcome unknown without an attempt on record';
  if (record.actionName === 'Crash' || entries.some(({ event }) => event === 'misbehaved')) return null;
  // What stays unknown began with the first of the attempts that nobody could tell the outcome of.
  const settled = record.attempts.findLastIndex(({ outcome }) => outcome !== 'unknown');
  const { startedAt } = record.attempts[settled + 1] ?? last;
  const hit = faults.some(
    ({ kind, beganAt, healedAt }) =>
      !HARMLESS_KINDS.has(kind) &&
      beganAt <= last.endedAt.getTime() &&
      healedAt + AFTERMATH_MS >= startedAt.getTime(),
  );
  return hit ? null : `outcome unknown, with no fault since ${startedAt.toISOString()}`;
}

/** Requests to create that were refused or not answered, by status. */
export function refusals(creations: readonly Creation[]): Readonly<Record<string, number>> {
  return counts(creations.flatMap(({ status, id }) => (id === null ? [String(status || 'no answer')] : [])));
}

function counts(names: readonly string[]): Record<string, number> {
  const result: Record<string, number> = {};
  for (const name of names.toSorted()) result[name] = (result[name] ?? 0) + 1;
  return result;
}

function groupedBy<T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}

function isSorted(values: readonly number[]): boolean {
  return values.every((value, index) => index === 0 || value >= (values[index - 1] ?? value));
}
