import type { OrderKey } from './filter.js';
import type { EntityModel } from './model.js';
import { readPath } from './path.js';
import { Scanner } from './scanner.js';

/** Characters and keys of an `$orderby`. */
const ORDER_LIMITS = { characters: 512, keys: 5 } as const;

/**
 * Parses an OData `$orderby`: properties that have one value, each at most once, with `asc` (default) or `desc`.
 * @throws ODataSyntaxError saying where and what was expected, also for what passes the limits above
 */
export function parseOrderBy(text: string, model: EntityModel): readonly OrderKey[] {
  const scanner = new Scanner(text, ORDER_LIMITS.characters);
  const keys = new Map<string, OrderKey>();
  do {
    scanner.skipBlanks();
    if (keys.size === ORDER_LIMITS.keys)
      scanner.fail(`at most ${ORDER_LIMITS.keys} keys`, scanner.at, 'one more');
    const { property, at } = readPath(scanner, model);
    const name = property.path.join('/');
    if (property.type === 'complex') scanner.fail(`${name}/ and a property`);
    if (property.type === 'collection') scanner.fail('a property that has one value', at);
    if (keys.has(name)) scanner.fail('each property once', at);
    const direction = scanner.read(/[ \t]+(?:asc|desc)(?![\w/])/y)?.trim() ?? 'asc';
    keys.set(name, { property, descending: direction === 'desc' });
    scanner.skipBlanks();
  } while (scanner.read(/,/y) !== null);
  if (!scanner.atEnd) scanner.fail('asc, desc, a comma or the end');
  return [...keys.values()];
}
