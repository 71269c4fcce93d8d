import type { Comparison, Filter, FilterValue, Operand, OrderKey, Property } from '#odata';

/**
 * What a filter and an order mean, said over again from their definition alone, over entities as the API shows
 * them: names as Graph spells them, times as `Date` or as text, null or nothing for what is not there.
 */

type Entity = Readonly<Record<string, unknown>>;
type Value = string | number | boolean | null;

const MEMBERS = ['NotStarted', 'Running', 'Completed', 'Failed'];

/** True when the filter holds for the entity. */
export function holds(filter: Filter, entity: Entity): boolean {
  switch (filter.kind) {
    case 'constant':
      return filter.value;
    case 'not':
      return !holds(filter.operand, entity);
    case 'and':
      return filter.operands.every((operand) => holds(operand, entity));
    case 'or':
      return filter.operands.some((operand) => holds(operand, entity));
    case 'any':
      return itemsOf(filter.collection, entity).some(
        (item) => filter.predicate === null || holds(filter.predicate, item),
      );
    case 'all':
      return itemsOf(filter.collection, entity).every(
        (item) => filter.predicate === null || holds(filter.predicate, item),
      );
    case 'compare':
      return compared(filter.operator, filter.left, filter.value, entity);
    case 'in':
      return filter.values.some((value) => compared('eq', filter.left, value, entity));
    case 'match': {
      const text = operandOf(filter.left, entity);
      if (typeof text !== 'string') return false;
      const [points, sought] = [Array.from(text), Array.from(filter.value)];
      const isAt = (start: number): boolean =>
        sought.every((point, index) => points[start + index] === point);
      switch (filter.how) {
        case 'startswith':
          return isAt(0);
        case 'endswith':
          return points.length >= sought.length && isAt(points.length - sought.length);
        case 'contains':
          return Array.from({ length: points.length + 1 }, (_, start) => start).some(isAt);
      }
    }
  }
}

/** Which of two entities comes first: negative for the first. The id decides last, in the direction of the last key. */
export function inOrder(order: readonly OrderKey[], one: Entity, other: Entity): number {
  for (const { property, descending } of order) {
    const difference = differenceOf(valueOf(property, one), valueOf(property, other));
    if (difference !== 0) return descending ? -difference : difference;
  }
  const byId = differenceOf(one['id'] as string, other['id'] as string);
  return order.at(-1)?.descending === true ? -byId : byId;
}

/** Less than, equal to or greater than 0. Null is less than everything. */
function differenceOf(one: Value, other: Value): number {
  if (one === other) return 0;
  if (one === null) return -1;
  if (other === null) return 1;
  if (typeof one !== 'string') return Number(one) - Number(other);
  const [points, others] = [Array.from(one), Array.from(other as string)];
  for (let index = 0; index < Math.min(points.length, others.length); index += 1) {
    const difference = (points[index]?.codePointAt(0) ?? 0) - (others[index]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return points.length - others.length;
}

function compared(operator: Comparison, left: Operand, literal: FilterValue, entity: Entity): boolean {
  const value = operandOf(left, entity);
  const other = comparable(left.property, literal);
  if (operator === 'eq') return value === other;
  if (operator === 'ne') return value !== other;
  if (value === null || other === null) return false;
  const difference = differenceOf(value, other);
  switch (operator) {
    case 'gt':
      return difference > 0;
    case 'ge':
      return difference >= 0;
    case 'lt':
      return difference < 0;
    case 'le':
      return difference <= 0;
  }
}

function operandOf({ property, fold }: Operand, entity: Entity): Value {
  const value = valueOf(property, entity);
  if (fold === 'none' || typeof value !== 'string') return value;
  return Array.from(value, (letter) => foldedLetter(letter, fold)).join('');
}

function foldedLetter(letter: string, fold: 'lower' | 'upper'): string {
  const [from, to] = fold === 'lower' ? (['A', 'a'] as const) : (['a', 'A'] as const);
  const place = letter.charCodeAt(0) - from.charCodeAt(0);
  return letter.length === 1 && place >= 0 && place < 26
    ? String.fromCharCode(to.charCodeAt(0) + place)
    : letter;
}

function itemsOf(collection: Property, entity: Entity): readonly Entity[] {
  return (at(collection, entity) ?? []) as readonly Entity[];
}

function valueOf(property: Property, entity: Entity): Value {
  return comparable(property, at(property, entity));
}

function at({ path }: Property, entity: Entity): unknown {
  return path.reduce<unknown>((value, name) => (value as Entity | null | undefined)?.[name], entity);
}

/** A value as it compares: a time by its milliseconds, an enum's member by its place, a GUID whatever its case. */
function comparable({ type }: Property, value: unknown): Value {
  if (value === null || value === undefined) return null;
  switch (type) {
    case 'dateTime':
      return new Date(value as string).getTime();
    case 'enum':
      return MEMBERS.indexOf(value as string);
    case 'guid':
      return (value as string).toLowerCase();
    case 'complex':
      return 'not null';
    case 'string':
    case 'int32':
    case 'boolean':
    case 'collection':
      return value as Value;
  }
}
