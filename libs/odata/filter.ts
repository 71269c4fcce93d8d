/**
 * A checked `$filter`: every property exists, every literal has the property's type. What parses it (`libs/odata`),
 * what evaluates it in memory (the tests) and what asks the database (`libs/persistence`) share this one form.
 *
 * It has two truth values. A comparison with a property that is null is true for `eq null` and for `ne` of anything
 * else, and false for every other operator; `contains`, `startswith` and `endswith` of null are false.
 */
export type Filter =
  | { readonly kind: 'and' | 'or'; readonly operands: readonly Filter[] }
  | { readonly kind: 'not'; readonly operand: Filter }
  | {
      readonly kind: 'compare';
      readonly operator: Comparison;
      readonly left: Operand;
      readonly value: FilterValue;
    }
  | { readonly kind: 'in'; readonly left: Operand; readonly values: readonly FilterValue[] }
  | {
      readonly kind: 'match';
      readonly how: 'startswith' | 'endswith' | 'contains';
      readonly left: Operand;
      readonly value: string;
    }
  /** `collection/any(x: predicate)`; without a predicate, `any()` is true for a collection that is not empty. */
  | {
      readonly kind: 'any' | 'all';
      readonly collection: Property;
      readonly predicate: Filter | null;
    }
  /** What holds for everything or for nothing, such as a comparison with an id that is no GUID. */
  | { readonly kind: 'constant'; readonly value: boolean };

export type Comparison = 'eq' | 'ne' | 'gt' | 'ge' | 'lt' | 'le';

/** Strings, int32s, booleans; times as `Date` (milliseconds; finer fractions are cut); names of enum members. */
export type FilterValue = string | number | boolean | Date | null;

/** A property, its letters folded where the filter says `tolower` or `toupper`. */
export interface Operand {
  readonly property: Property;
  readonly fold: 'none' | 'lower' | 'upper';
}

/** A property by its path from the entity, or from the item of the innermost collection a lambda goes through. */
export interface Property {
  /** As the API spells it: `['vendorInformation', 'provider']`. */
  readonly path: readonly string[];
  readonly type: PropertyType;
}

/** `complex` can only be compared with null, `collection` only gone through by `any` and `all`. */
export type PropertyType =
  'string' | 'guid' | 'int32' | 'boolean' | 'dateTime' | 'enum' | 'complex' | 'collection';

/** One key of an `$orderby`. Null comes before every value when ascending. */
export interface OrderKey {
  readonly property: Property;
  readonly descending: boolean;
}
