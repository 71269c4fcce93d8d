import { DefectError, STATUSES } from '#domain';
import { foldText, type Comparison, type Filter, type FilterValue, type Operand } from '#odata';
import { allOf, anyOf, noneOf, type Condition } from './condition.js';
import { ENTITY_SCOPE, fieldOf, itemScope, type Scope } from './graph-fields.js';
import { literal, type Expression } from './pipeline.js';
import { uuidOf } from './uuid.js';

type Compare = Extract<Filter, { kind: 'compare' }>;
type In = Extract<Filter, { kind: 'in' }>;
type Match = Extract<Filter, { kind: 'match' }>;
type Lambda = Extract<Filter, { kind: 'any' | 'all' }>;

/**
 * A checked filter as the database's. Fields come from a fixed list, values stand behind an operator or in a
 * `$literal`, and no value becomes a pattern: what `contains` and its like look for is found by `$indexOfBytes`,
 * and letters are folded by `$toLower`, which knows A to Z only. Both exist as expressions alone, so what needs one
 * is an `$expr`; all else is a plain filter, which can bound an index. Strings compare by their bytes in UTF-8,
 * which is by code point.
 *
 * @param tenantId the tenant whose actions are asked for: what the filter says of it is decided here
 * @throws DefectError for a property that is not known
 */
export function conditionOf(filter: Filter, tenantId: string): Condition {
  const inEntity = (one: Filter): Condition => {
    switch (one.kind) {
      case 'constant':
        return one.value;
      case 'and':
        return allOf(one.operands.map(inEntity));
      case 'or':
        return anyOf(one.operands.map(inEntity));
      case 'not':
        return noneOf(inEntity(one.operand));
      case 'any':
      case 'all':
        return lambda(one);
      case 'compare':
      case 'in':
      case 'match':
        if (fieldOf(one.left.property, ENTITY_SCOPE) === 'tenantId') return holdsFor(tenantId, one);
        return needsExpression(one) ? { $expr: expressionOf(one, ENTITY_SCOPE) } : leaf(one, ENTITY_SCOPE);
    }
  };
  return inEntity(filter);
}

/** A value as BSON has it. */
function bsonOf({ property }: Operand, value: FilterValue): unknown {
  return property.type === 'guid' && typeof value === 'string' ? uuidOf(value) : value;
}

/** The statuses of which a comparison with one holds: by the order of the members. */
export function statusesOf(operator: Comparison, value: FilterValue): readonly string[] {
  const members: readonly string[] = STATUSES;
  if (value === null) return operator === 'ne' ? members : [];
  const place = members.indexOf(String(value));
  return members.filter((_member, index) => compares(operator, index - place));
}

function compares(operator: Comparison, difference: number): boolean {
  switch (operator) {
    case 'eq':
      return difference === 0;
    case 'ne':
      return difference !== 0;
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

const OPERATORS = { eq: '$eq', ne: '$ne', gt: '$gt', ge: '$gte', lt: '$lt', le: '$lte' } as const;

function needsExpression(filter: Filter): boolean {
  switch (filter.kind) {
    case 'constant':
      return false;
    case 'and':
    case 'or':
      return filter.operands.some(needsExpression);
    case 'not':
      return needsExpression(filter.operand);
    case 'any':
    case 'all':
      return filter.predicate !== null && needsExpression(filter.predicate);
    case 'compare':
    case 'in':
      return filter.left.fold !== 'none';
    case 'match':
      return true;
  }
}

/** A comparison that is a plain filter. `$eq`, `$ne` and `$in` take a missing field for null, the others for nothing. */
function leaf(filter: Compare | In | Match, scope: Scope): Condition {
  const { left } = filter;
  const field = fieldOf(left.property, scope);
  switch (filter.kind) {
    case 'compare': {
      const { operator, value } = filter;
      if (left.property.type === 'enum') return among(field, statusesOf(operator, value));
      if (value === null && operator !== 'eq' && operator !== 'ne') return false;
      return { [field]: { [OPERATORS[operator]]: bsonOf(left, value) } };
    }
    case 'in':
      return among(
        field,
        filter.values.map((value) => bsonOf(left, value)),
      );
    case 'match':
      throw new DefectError(`${filter.how} is no plain filter`);
  }
}

function among(field: string, values: readonly unknown[]): Condition {
  return values.length === 0 ? false : { [field]: { $in: values } };
}

function lambda(filter: Lambda): Condition {
  const { kind, collection, predicate } = filter;
  const field = fieldOf(collection, ENTITY_SCOPE);
  const scope = itemScope(collection);
  if (predicate !== null && needsExpression(predicate)) return { $expr: lambdaExpression(filter, scope) };
  // Of `all` there is no item of which it does not hold.
  const wanted = kind === 'any' ? inItem(predicate, scope) : noneOf(inItem(predicate, scope));
  const found: Condition =
    typeof wanted === 'boolean'
      ? wanted && { [`${field}.0`]: { $exists: true } }
      : { [field]: { $elemMatch: wanted } };
  return kind === 'any' ? found : noneOf(found);
}

/** What has to hold of one item; no predicate holds of every. */
function inItem(filter: Filter | null, scope: Scope): Condition {
  if (filter === null) return true;
  switch (filter.kind) {
    case 'constant':
      return filter.value;
    case 'and':
      return allOf(filter.operands.map((operand) => inItem(operand, scope)));
    case 'or':
      return anyOf(filter.operands.map((operand) => inItem(operand, scope)));
    case 'not':
      return noneOf(inItem(filter.operand, scope));
    case 'any':
    case 'all':
      throw nested(filter);
    case 'compare':
    case 'in':
    case 'match':
      return leaf(filter, scope);
  }
}

function nested({ collection }: Lambda): DefectError {
  return new DefectError(`no item of an action has a collection ${collection.path.join('/')}`);
}

/** The filter as an aggregation expression that is true or false. */
function expressionOf(filter: Filter, scope: Scope): Expression {
  switch (filter.kind) {
    case 'constant':
      return literal(filter.value);
    case 'and':
      return { $and: filter.operands.map((operand) => expressionOf(operand, scope)) };
    case 'or':
      return { $or: filter.operands.map((operand) => expressionOf(operand, scope)) };
    case 'not':
      return { $not: [expressionOf(filter.operand, scope)] };
    case 'any':
    case 'all':
      throw nested(filter);
    case 'compare':
      return compareExpression(filter, scope);
    case 'in':
      return {
        $or: filter.values.map((value) =>
          compareExpression({ kind: 'compare', operator: 'eq', left: filter.left, value }, scope),
        ),
      };
    case 'match':
      return matchExpression(filter, scope);
  }
}

function lambdaExpression({ kind, collection, predicate }: Lambda, scope: Scope): Expression {
  const holds = {
    $map: {
      input: { $ifNull: [`$${fieldOf(collection, ENTITY_SCOPE)}`, []] },
      as: 'item',
      in: predicate === null ? literal(true) : expressionOf(predicate, scope),
    },
  };
  return kind === 'any' ? { $anyElementTrue: [holds] } : { $allElementsTrue: [holds] };
}

function compareExpression({ operator, left, value }: Compare, scope: Scope): Expression {
  if (operator === 'ne')
    return { $not: [compareExpression({ kind: 'compare', operator: 'eq', left, value }, scope)] };
  const known = isKnown(left, scope);
  if (value === null) return operator === 'eq' ? { $not: [known] } : literal(false);
  const path = `${scope.prefix}${fieldOf(left.property, scope)}`;
  if (left.property.type === 'enum') return { $in: [path, literal(statusesOf(operator, value))] };
  // Null is less than everything to an expression.
  return {
    $and: [
      known,
      {
        [OPERATORS[operator]]: [
          left.fold === 'none' ? path : folded(left, scope),
          literal(bsonOf(left, value)),
        ],
      },
    ],
  };
}

function matchExpression({ how, left, value }: Match, scope: Scope): Expression {
  const known = isKnown(left, scope);
  if (value === '') return known;
  const text = folded(left, scope);
  const sought = literal(value);
  const bytes = Buffer.byteLength(value);
  switch (how) {
    case 'contains':
      return { $and: [known, { $gte: [{ $indexOfBytes: [text, sought] }, 0] }] };
    case 'startswith':
      return { $and: [known, { $eq: [{ $indexOfBytes: [text, sought, 0, bytes] }, 0] }] };
    case 'endswith': {
      // No character begins within another in UTF-8, so what is found there begins with a character.
      const start = { $subtract: [{ $strLenBytes: text }, bytes] };
      return {
        $and: [
          known,
          { $gte: [start, 0] },
          { $eq: [{ $indexOfBytes: [text, sought, { $max: [start, 0] }] }, start] },
        ],
      };
    }
  }
}

function isKnown({ property }: Operand, scope: Scope): Expression {
  return { $ne: [{ $ifNull: [`${scope.prefix}${fieldOf(property, scope)}`, null] }, null] };
}

/** A text with its letters folded; empty where it is null. */
function folded({ property, fold }: Operand, scope: Scope): Expression {
  const text = { $ifNull: [`${scope.prefix}${fieldOf(property, scope)}`, ''] };
  switch (fold) {
    case 'none':
      return text;
    case 'lower':
      return { $toLower: text };
    case 'upper':
      return { $toUpper: text };
  }
}

/** What a comparison with a text says that is known. */
function holdsFor(text: string, filter: Compare | In | Match): boolean {
  const known = foldText(text, filter.left.fold);
  switch (filter.kind) {
    case 'compare':
      if (filter.value === null) return filter.operator === 'ne';
      return compares(filter.operator, Buffer.compare(Buffer.from(known), Buffer.from(String(filter.value))));
    case 'in':
      return filter.values.includes(known);
    case 'match':
      switch (filter.how) {
        case 'startswith':
          return known.startsWith(filter.value);
        case 'endswith':
          return known.endsWith(filter.value);
        case 'contains':
          return known.includes(filter.value);
      }
  }
}
