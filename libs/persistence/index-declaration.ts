/** An index that the product needs; its name is made of its key, as MongoDB does. */
export interface IndexDeclaration {
  /** The order of the fields counts. */
  readonly key: Readonly<Record<string, 1 | -1>>;
  readonly unique?: true;
  /** Seconds after the time in its field that MongoDB removes the document. */
  readonly expireAfterSeconds?: number;
  /** Only documents like this are in it. */
  readonly partialFilterExpression?: Readonly<Record<string, unknown>>;
}

/** The indexes of a collection. */
export interface CollectionIndexes {
  readonly collection: string;
  readonly indexes: readonly IndexDeclaration[];
}

/** What a store declares of a collection of its own. */
export function indexesOf(collection: string, ...indexes: readonly IndexDeclaration[]): CollectionIndexes {
  return { collection, indexes };
}

/** The name of an index, as MongoDB makes it. */
export function nameOf({ key }: IndexDeclaration): string {
  return Object.entries(key).flat().join('_');
}
