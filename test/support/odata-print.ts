import type { Filter, FilterValue, Operand, Property } from '#odata';

/** Writes a checked filter as a `$filter`, with a lambda's items named `x`. */
export function printFilter(filter: Filter, prefix = ''): string {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return filter.operands
        .map((operand) =>
          operand.kind === 'or' || operand.kind === filter.kind
            ? `(${printFilter(operand, prefix)})`
            : printFilter(operand, prefix),
        )
        .join(` ${filter.kind} `);
    case 'not':
      return `not (${printFilter(filter.operand, prefix)})`;
    case 'compare':
      return `${printOperand(filter.left, prefix)} ${filter.operator} ${printValue(filter.value, filter.left.property)}`;
    case 'in': {
      const values = filter.values.map((value) => printValue(value, filter.left.property));
      return `${printOperand(filter.left, prefix)} in (${values.join(',')})`;
    }
    case 'match':
      return `${filter.how}(${printOperand(filter.left, prefix)},${quoted(filter.value)})`;
    case 'any':
    case 'all': {
      const inner = filter.predicate === null ? '' : `x:${printFilter(filter.predicate, 'x/')}`;
      return `${prefix}${filter.collection.path.join('/')}/${filter.kind}(${inner})`;
    }
    case 'constant':
      return String(filter.value);
  }
}

function printOperand({ property, fold }: Operand, prefix: string): string {
  const path = `${prefix}${property.path.join('/')}`;
  return fold === 'none' ? path : `to${fold}(${path})`;
}

function printValue(value: FilterValue, { type }: Property): string {
  if (value instanceof Date) return value.toISOString();
  return typeof value === 'string' && type !== 'guid' ? quoted(value) : String(value);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
