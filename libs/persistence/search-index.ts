import { PHASES, STATUSES, isFinal, type ActionFilter, type ActionPhase, type ActionStatus } from '#domain';
import type { Filter, FilterValue } from '#odata';
import { CHANGED_INDEX, CREATED_INDEX, STATUS_INDEX, UNRESOLVED_INDEX } from './action-document.js';
import { allOf, type Condition } from './condition.js';
import { ENTITY_SCOPE, fieldOf } from './graph-fields.js';
import { statusesOf } from './odata-filter.js';
import type { SearchOrder } from './search-order.js';

/** How a list is read. */
export interface SearchPlan {
  /** The index to read it by, given to the database so that its choice does not depend on what it tried last. */
  readonly hint: Readonly<Record<string, 1 | -1>>;
  /** What is asked for besides the filter, and what follows from it, said so that the index is bounded by it. */
  readonly implied: Condition;
  /** True when nothing is read that is not shown: all of the filter bounds the index, which has the order. */
  readonly exact: boolean;
}

/**
 * The lists that an index answers without sorting and, where there is no `rest`, without reading anything in vain.
 * Everything else is looked for among the tenant's actions within a bound of time.
 */
export const INDEXED_LISTS = [
  { filter: '', orderby: 'createdDateTime', index: 'created' },
  { filter: 'createdDateTime ge T', orderby: 'createdDateTime', index: 'created' },
  { filter: "status eq 'Running'", orderby: 'createdDateTime', index: 'status' },
  { filter: "status in ('Completed','Failed')", orderby: 'createdDateTime', index: 'status' },
  { filter: "status ne 'Completed'", orderby: 'createdDateTime', index: 'status' },
  { filter: "status eq 'Failed' and createdDateTime ge T", orderby: 'createdDateTime', index: 'status' },
  { filter: '', orderby: 'lastActionDateTime', index: 'changed' },
  { filter: 'lastActionDateTime gt T', orderby: 'lastActionDateTime', index: 'changed' },
] as const;

/** What the conjuncts of a filter say of the fields that are indexed. */
interface Facts {
  readonly ids: boolean;
  readonly statuses: ReadonlySet<string> | null;
  readonly created: Range;
  readonly changed: Range;
  /** The earliest time that anything of the action can be known to have changed. */
  readonly changedFrom: Date | null;
  /** True when there are other conjuncts. */
  readonly rest: boolean;
}

interface Range {
  readonly from: Date | null;
  readonly to: boolean;
}

/**
 * Chooses the index. Each begins with the tenant, but for that of the ids where the filter names them.
 * Of a phase the index is that of its statuses: it changes too often to be worth one of its own.
 *
 * @param order null: the actions are only counted
 */
export function planOf(
  filter: Filter | null,
  order: SearchOrder | null,
  { phase, unresolved }: ActionFilter = {},
): SearchPlan {
  const inPhase = phase === undefined || { status: { $in: statusesOfPhase(phase) }, phase };
  const plan = planOfFacts(withPhase(factsOf(filter), phase), order);
  if (unresolved !== true) return { ...plan, implied: allOf([plan.implied, inPhase]) };
  // Few are unresolved: whatever else is asked for is looked for among them.
  return {
    hint: plan.hint === BY_ID ? BY_ID : UNRESOLVED_INDEX,
    implied: allOf([{ unresolved: true }, inPhase]),
    exact: filter === null && phase === undefined && (order === null || isInOrder(order, 'completedAt')),
  };
}

const BY_ID = { _id: 1 } as const;

function statusesOfPhase(phase: ActionPhase): readonly ActionStatus[] {
  return STATUSES.filter((status) => (PHASES[status] as readonly ActionPhase[]).includes(phase));
}

/** A phase narrows the statuses, and has to be looked for among what is of them, but for the one that is all of a status. */
function withPhase(facts: Facts, phase: ActionPhase | undefined): Facts {
  if (phase === undefined) return facts;
  const before = facts.statuses;
  const statuses = new Set(statusesOfPhase(phase).filter((status) => before?.has(status) ?? true));
  return { ...facts, statuses, rest: facts.rest || phase !== 'done' };
}

function planOfFacts(
  { ids, statuses, created, changed, changedFrom, rest }: Facts,
  order: SearchOrder | null,
): SearchPlan {
  if (ids) return { hint: BY_ID, implied: true, exact: true };
  const first = order?.keys[0]?.field;
  const byStatus: SearchPlan = {
    hint: STATUS_INDEX,
    implied: true,
    exact: !rest && !hasBound(changed) && (order === null || isInOrder(order, 'createdAt')),
  };
  const byCreation: SearchPlan = {
    hint: CREATED_INDEX,
    implied: true,
    exact:
      !rest && statuses === null && !hasBound(changed) && (order === null || isInOrder(order, 'createdAt')),
  };
  const byChange: SearchPlan = {
    hint: CHANGED_INDEX,
    implied: changedFrom === null || { lastActionAt: { $gte: changedFrom } },
    exact:
      !rest &&
      statuses === null &&
      !hasBound(created) &&
      (order === null || isInOrder(order, 'lastActionAt')),
  };
  // Few actions are open at a time, however many there were.
  if (statuses !== null && [...statuses].every((status) => !isFinal(status as ActionStatus))) return byStatus;
  if (first === 'lastActionAt') return byChange;
  if (changedFrom !== null && created.from === null) return byChange;
  return statuses === null ? byCreation : byStatus;
}

function hasBound({ from, to }: Range): boolean {
  return from !== null || to;
}

/** True when an index that ends with the time and the id, newest first, has the order, forwards or backwards. */
function isInOrder({ keys }: SearchOrder, field: string): boolean {
  return keys.length === 2 && keys[0]?.field === field && keys[0].descending === keys[1]?.descending;
}

function factsOf(filter: Filter | null): Facts {
  let ids = false;
  let rest = false;
  let statuses = null as ReadonlySet<string> | null;
  let created: Range = { from: null, to: false };
  let changed: Range = { from: null, to: false };
  let ended: Range = { from: null, to: false };
  for (const conjunct of filter === null ? [] : conjunctsOf(filter)) {
    const asked = questionOf(conjunct);
    if (asked === null) {
      rest = true;
      continue;
    }
    switch (asked.field) {
      case '_id':
        ids ||= asked.operators.every((operator) => operator === 'eq');
        rest = true;
        break;
      case 'status': {
        const holds = new Set(
          asked.values.flatMap((value, index) => statusesOf(asked.operators[index] ?? 'eq', value)),
        );
        const before = statuses;
        statuses = before === null ? holds : new Set([...holds].filter((status) => before.has(status)));
        break;
      }
      case 'createdAt': {
        const before = created;
        created = narrowed(before, asked);
        rest ||= created === before;
        break;
      }
      case 'lastActionAt': {
        const before = changed;
        changed = narrowed(before, asked);
        rest ||= changed === before;
        break;
      }
      case 'completedAt':
        ended = narrowed(ended, asked);
        rest = true;
        break;
      default:
        rest = true;
    }
  }
  // An action changes for the first time when it is created, and for the last when it ends.
  const changedFrom = latest([changed.from, ended.from, created.from]);
  return { ids, statuses, created, changed, changedFrom, rest };
}

function conjunctsOf(filter: Filter): readonly Filter[] {
  return filter.kind === 'and' ? filter.operands.flatMap(conjunctsOf) : [filter];
}

interface Question {
  readonly field: string;
  readonly operators: readonly ('eq' | 'ne' | 'gt' | 'ge' | 'lt' | 'le')[];
  readonly values: readonly FilterValue[];
}

/** A comparison with values as they are; null for anything else. */
function questionOf(filter: Filter): Question | null {
  if (filter.kind !== 'compare' && filter.kind !== 'in') return null;
  if (filter.left.fold !== 'none') return null;
  const field = fieldOf(filter.left.property, ENTITY_SCOPE);
  return filter.kind === 'compare'
    ? { field, operators: [filter.operator], values: [filter.value] }
    : { field, operators: filter.values.map(() => 'eq'), values: filter.values };
}

/** The range as it is where nothing follows from the question, as from one with null: that is looked for. */
function narrowed(range: Range, { operators, values }: Question): Range {
  const [operator] = operators;
  const times = values.filter((value) => value instanceof Date);
  if (operator === undefined || operator === 'ne' || times.length === 0 || times.length < values.length)
    return range;
  const from = operator === 'lt' || operator === 'le' ? null : earliest(times);
  return {
    from: latest([range.from, from]),
    to: range.to || operator === 'lt' || operator === 'le' || operator === 'eq',
  };
}

function earliest(times: readonly Date[]): Date {
  return times.reduce((one, other) => (other < one ? other : one));
}

function latest(times: readonly (Date | null)[]): Date | null {
  return times.reduce((one, other) => (one === null || (other !== null && other > one) ? other : one), null);
}
