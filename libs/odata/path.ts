import type { Property } from './filter.js';
import { namesOf, type EntityModel, type PropertyModel } from './model.js';
import type { Scanner } from './scanner.js';

/** A name of OData's, of a property or of a lambda's variable. */
export const IDENTIFIER = /[A-Za-z_]\w*/y;

/** A path as it is written, and what it leads to. */
export interface Path {
  readonly property: Property;
  readonly model: PropertyModel;
  readonly at: number;
}

/**
 * Reads `property` or `complexProperty/property` from an entity. It ends at a collection, with a slash perhaps left
 * to read behind it.
 * @throws ODataSyntaxError naming the properties that there are, when one is unknown
 */
export function readPath(scanner: Scanner, entity: EntityModel): Path {
  const { at } = scanner;
  const path: string[] = [];
  let within = entity;
  for (;;) {
    const segmentAt = scanner.at;
    const name = scanner.expect(IDENTIFIER, `a property: ${namesOf(within)}`);
    const model = within.properties.get(name);
    if (model === undefined) scanner.fail(`a property: ${namesOf(within)}`, segmentAt);
    path.push(name);
    if (model.type !== 'complex' || scanner.read(/\//y) === null)
      return { property: { path, type: model.type }, model, at };
    within = model;
  }
}

/**
 * The property at a path that is part of the program, not of a request.
 * @throws RangeError when the model has none there
 */
export function propertyAt(entity: EntityModel, path: readonly string[]): Property {
  let model: PropertyModel = { type: 'complex', ...entity };
  for (const name of path) {
    const next: PropertyModel | undefined = 'properties' in model ? model.properties.get(name) : undefined;
    if (next === undefined) throw new RangeError(`the model has no property ${path.join('/')}`);
    model = next;
  }
  return { path, type: model.type };
}
