import type { EntityModel } from './model.js';
import { readPath } from './path.js';
import { Scanner } from './scanner.js';

/** Characters of a `$select`. */
const SELECT_LIMIT = 1024;

/** Which properties of an entity are shown: paths as they were asked for, each once, `*` for all. */
export interface Selection {
  readonly paths: readonly string[];
}

/**
 * Parses an OData `$select`: `*`, properties, and properties within complex ones or within the items of collections.
 * @throws ODataSyntaxError saying where and what was expected
 */
export function parseSelect(text: string, model: EntityModel): Selection {
  const scanner = new Scanner(text, SELECT_LIMIT);
  const paths = new Set<string>();
  do {
    scanner.skipBlanks();
    paths.add(scanner.read(/\*/y) ?? readSelected(scanner, model));
    scanner.skipBlanks();
  } while (scanner.read(/,/y) !== null);
  if (!scanner.atEnd) scanner.fail('a comma or the end');
  return { paths: [...paths] };
}

function readSelected(scanner: Scanner, model: EntityModel): string {
  const { property, model: found } = readPath(scanner, model);
  const path = property.path.join('/');
  if (found.type !== 'collection' || scanner.read(/\/(?=[A-Za-z_])/y) === null) return path;
  return `${path}/${readSelected(scanner, found)}`;
}

/** The entity with what is selected, in the entity's own order. A null on the way to it stays null. */
export function select<T extends object>(entity: T, { paths }: Selection): Partial<T> {
  return paths.includes('*') ? entity : (pick(entity, paths) as Partial<T>);
}

function pick(value: unknown, paths: readonly string[]): unknown {
  if (Array.isArray(value)) return value.map((item) => pick(item, paths));
  if (typeof value !== 'object' || value === null) return value;
  const picked: [string, unknown][] = [];
  for (const [name, member] of Object.entries(value)) {
    const within = paths
      .filter((path) => path.startsWith(`${name}/`))
      .map((path) => path.slice(name.length + 1));
    if (paths.includes(name)) picked.push([name, member]);
    else if (within.length > 0) picked.push([name, pick(member, within)]);
  }
  return Object.fromEntries(picked);
}
