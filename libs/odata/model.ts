/** The properties of an entity or of a complex type, by name, in the order they are told to callers. */
export interface EntityModel {
  readonly properties: ReadonlyMap<string, PropertyModel>;
}

/** What a property is. Collections are of complex types. */
export type PropertyModel =
  | { readonly type: 'string' | 'guid' | 'int32' | 'boolean' | 'dateTime' }
  | {
      readonly type: 'enum';
      /** Qualified: `microsoft.graph.operationStatus`. */
      readonly name: string;
      /** In the order that `gt` and `lt` compare by. */
      readonly members: readonly string[];
    }
  | ({ readonly type: 'complex' | 'collection' } & EntityModel);

/** A model from its properties in order. */
export function entityModel(properties: Readonly<Record<string, PropertyModel>>): EntityModel {
  return { properties: new Map(Object.entries(properties)) };
}

/** The names of an entity's properties, as an error message lists them. */
export function namesOf({ properties }: EntityModel): string {
  return [...properties.keys()].join(', ');
}
