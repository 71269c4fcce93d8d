import { STATUSES, UserError, isGuid } from '#domain';
import type { OrderKey } from '#odata';
import type { ActionDocument } from './action-document.js';
import { allOf, anyOf, type Condition } from './condition.js';
import { ENTITY_SCOPE, fieldOf, isNullable } from './graph-fields.js';
import { uuidOf } from './uuid.js';

/** Where a page ended: the values of the order's keys (of the time where no order was asked for), then the id. */
export interface SearchPosition {
  readonly values: readonly (string | number | boolean | Date | null)[];
  readonly id: string;
}

/** One key of a sort that no two actions share: the last is the id. */
interface SortKey {
  readonly field: string;
  readonly descending: boolean;
  /** Its place in a position's values; null for the id, which stands by itself. */
  readonly place: number | null;
  /** False where what is listed has a value always. */
  readonly hasNulls: boolean;
}

/** An order of a tenant's actions, as the database sorts. */
export interface SearchOrder {
  readonly keys: readonly SortKey[];
  /** How many values a position has. */
  readonly values: number;
}

/** The field a status' place among the members is put into, to sort by: its name would sort by the alphabet. */
export const STATUS_RANK = 'statusRank';

/** That place. */
export const statusRank = { $indexOfArray: [STATUSES, '$status'] } as const;

/**
 * The keys as asked for, then the id in the direction of the last. A key that decides nothing is left out: the
 * tenant, one that was there before, and all behind the id.
 *
 * @param order none: by `newest`, descending
 */
export function searchOrder(
  order: readonly OrderKey[],
  newest: 'createdAt' | 'completedAt' = 'createdAt',
): SearchOrder {
  if (order.length === 0) {
    return {
      keys: [
        // Only what has ended is listed by its end.
        { field: newest, descending: true, place: 0, hasNulls: false },
        { field: '_id', descending: true, place: null, hasNulls: false },
      ],
      values: 1,
    };
  }
  const keys: SortKey[] = [];
  for (const [place, { property, descending }] of order.entries()) {
    const field = fieldOf(property, ENTITY_SCOPE);
    if (field === 'tenantId' || keys.some((key) => key.field === field)) continue;
    keys.push({ field, descending, place: field === '_id' ? null : place, hasNulls: isNullable(field) });
    if (field === '_id') break;
  }
  if (keys.at(-1)?.field !== '_id')
    keys.push({ field: '_id', descending: order.at(-1)?.descending ?? true, place: null, hasNulls: false });
  return { keys, values: order.length };
}

/** The keys as the database's sort has them. */
export function sortOf({ keys }: SearchOrder): Record<string, 1 | -1> {
  return Object.fromEntries(
    keys.map(({ field, descending }) => [field === 'status' ? STATUS_RANK : field, descending ? -1 : 1]),
  );
}

/** True when the database has to compute what it sorts by. */
export function needsRank({ keys }: SearchOrder): boolean {
  return keys.some(({ field }) => field === 'status');
}

/** The position of an action in an order. */
export function positionOf({ keys, values }: SearchOrder, document: ActionDocument): SearchPosition {
  const found: SearchPosition['values'][number][] = Array.from({ length: values }, () => null);
  for (const { field, place } of keys) {
    if (place !== null) found[place] = valueAt(document, field);
  }
  const { _id } = document;
  return { values: found, id: _id.toString() };
}

function valueAt(document: ActionDocument, field: string): SearchPosition['values'][number] {
  let value: unknown = document;
  for (const name of field.split('.')) value = (value as Readonly<Record<string, unknown>> | null)?.[name];
  return (value ?? null) as SearchPosition['values'][number];
}

/**
 * What comes behind a position. Each key bounds what comes at all before what it leaves equal is told apart, so
 * that an index of the first is entered at the position.
 *
 * @throws UserError `invalidRequest` for a position of another order
 */
export function beyond({ keys, values }: SearchOrder, position: SearchPosition): Condition {
  if (position.values.length !== values || !isGuid(position.id))
    throw new UserError(
      'invalidRequest',
      'The position is not one of this order: begin with the first page.',
    );
  return keys.reduceRight<Condition>((behind, key) => {
    const { field, descending, place } = key;
    const value = place === null ? uuidOf(position.id) : (position.values[place] ?? null);
    const { here, after } = field === 'status' ? byRank(value, descending) : byValue(key, value);
    return allOf([here, anyOf([after, behind])]);
  }, false);
}

interface Step {
  /** At the value or behind it. */
  readonly here: Condition;
  /** Behind it. */
  readonly after: Condition;
}

/** Null comes before every value. */
function byValue({ field, descending, hasNulls }: SortKey, value: unknown): Step {
  if (value === null) {
    return descending
      ? { here: { [field]: { $eq: null } }, after: false }
      : { here: true, after: { [field]: { $ne: null } } };
  }
  if (!descending) return { here: { [field]: { $gte: value } }, after: { [field]: { $gt: value } } };
  const nulls: Condition = hasNulls && { [field]: { $eq: null } };
  return {
    here: anyOf([{ [field]: { $lte: value } }, nulls]),
    after: anyOf([{ [field]: { $lt: value } }, nulls]),
  };
}

function byRank(value: unknown, descending: boolean): Step {
  const members = descending ? STATUSES.toReversed() : STATUSES;
  const place = members.findIndex((member) => member === value);
  const from = (index: number): Condition =>
    index < members.length && { status: { $in: members.slice(index) } };
  return { here: from(place), after: from(place + 1) };
}
