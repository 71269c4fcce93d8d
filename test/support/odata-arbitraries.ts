import fc from 'fast-check';
import mongoose from 'mongoose';
import type { Filter, FilterValue, Operand, OrderKey, Property, PropertyType } from '#odata';

/** Actions, filters and orders at random, from few enough values that they meet. */

export type ActionRecord = Readonly<Record<string, unknown>> & { readonly _id: mongoose.mongo.UUID };

const STATUSES = ['NotStarted', 'Running', 'Completed', 'Failed'] as const;

/** What breaks quoting, patterns, expressions, lines, folding and the order of UTF-16. */
const PIECES = [
  '', 'a', 'A', 'ab', 'Zz', "it's", '"', '\\', '.*', '^a$', '[a', '(', 'a\n', '\n', '\r\n', ' ', '%', '\0', 'é', 'É',
  '\u212A', 'k', 'ß', 'İ', '\uFF5E', '😀', '\u{10FFFF}', '$name', '$$NOW', '{"$ne":null}', '[', '`', '@',
]; // prettier-ignore

const text = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...PIECES) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(...PIECES), fc.constantFrom(...PIECES)).map((two) => two.join('')),
  },
);
const TIMES = [0, 1, 2, 1000, 60_000, 3_600_000].map((ms) => new Date(Date.UTC(2026, 0, 1) + ms));
const numbers = fc.constantFrom(-2_147_483_648, -1, 0, 400, 499, 520, 2_147_483_647);
const orNull = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
  fc.option(value, { freq: 3, nil: null });

/** Some are null, some are not there at all. */
function sparse(model: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<object> {
  return fc.record(Object.fromEntries(Object.entries(model).map(([name, one]) => [name, orNull(one)])), {
    requiredKeys: [],
  });
}

/** A document of an action of one of the tenants, as the store may have written it at some time. */
export function actionRecord(tenants: readonly string[]): fc.Arbitrary<ActionRecord> {
  const times = fc
    .tuple(fc.constantFrom(...TIMES), fc.constantFrom(...TIMES), fc.constantFrom(...TIMES))
    .map((three) => three.toSorted((one, other) => one.getTime() - other.getTime()));
  return fc
    .tuple(
      fc.uuid({ version: 4 }),
      times,
      fc.constantFrom('not there', 'null', 'set'),
      fc.record({
        tenantId: fc.constantFrom(...tenants),
        appId: text,
        name: text,
        vendorInformation: sparse({ provider: text, providerVersion: text, subProvider: text, vendor: text }),
        status: fc.constantFrom(...STATUSES),
        states: fc.array(
          fc
            .tuple(
              fc.record({
                status: fc.constantFrom(...STATUSES),
                updatedAt: fc.constantFrom(...TIMES),
                appId: text,
              }),
              sparse({ user: text }),
            )
            .map(([sure, more]) => ({ ...sure, ...more })),
          { maxLength: 3 },
        ),
        parameters: fc.array(
          fc.tuple(text, sparse({ value: text })).map(([name, more]) => ({ name, ...more })),
          { maxLength: 3 },
        ),
      }),
      sparse({
        user: text,
        actionReason: text,
        clientContext: text,
        errorInfo: fc.record({ code: numbers, subcode: numbers, message: orNull(text) }),
        resolution: fc.constant({ verdict: 'applied' }),
      }),
    )
    .map(([id, [createdAt, completedAt, lastActionAt], end, sure, more]) => ({
      _id: new mongoose.mongo.UUID(id),
      ...sure,
      ...more,
      createdAt,
      lastActionAt,
      ...(end === 'not there' ? {} : { completedAt: end === 'null' ? null : completedAt }),
    }));
}

/** The same as Graph shows it. */
export function asEntity(record: ActionRecord): Readonly<Record<string, unknown>> {
  const { _id, tenantId, createdAt, lastActionAt, completedAt, states, ...same } = record;
  return {
    ...same,
    id: _id.toString(),
    azureTenantId: tenantId,
    createdDateTime: createdAt,
    lastActionDateTime: lastActionAt,
    completedDateTime: completedAt,
    states: (states as readonly { readonly updatedAt: Date }[]).map(({ updatedAt, ...state }) => ({
      ...state,
      updatedDateTime: updatedAt,
    })),
  };
}

const property = (path: string, type: PropertyType): Property => ({ path: path.split('/'), type });

/** Every property of the entity with a value of its own. */
const PROPERTIES: readonly Property[] = [
  property('id', 'guid'),
  property('createdDateTime', 'dateTime'),
  property('lastActionDateTime', 'dateTime'),
  property('completedDateTime', 'dateTime'),
  property('status', 'enum'),
  ...['code', 'subcode'].map((name) => property(`errorInfo/${name}`, 'int32')),
  ...[
    'actionReason',
    'appId',
    'azureTenantId',
    'clientContext',
    'name',
    'user',
    'errorInfo/message',
    'vendorInformation/provider',
    'vendorInformation/providerVersion',
    'vendorInformation/subProvider',
    'vendorInformation/vendor', // prettier-ignore
  ].map((name) => property(name, 'string')),
];
const COMPLEX = [property('errorInfo', 'complex'), property('vendorInformation', 'complex')];
const COLLECTIONS: readonly (readonly [Property, readonly Property[]])[] = [
  [property('parameters', 'collection'), [property('name', 'string'), property('value', 'string')]],
  [
    property('states', 'collection'),
    [
      property('appId', 'string'),
      property('user', 'string'),
      property('status', 'enum'),
      property('updatedDateTime', 'dateTime'),
    ],
  ],
];
const OPERATORS = ['eq', 'ne', 'gt', 'ge', 'lt', 'le'] as const;

/** Filters over such actions, of these ids and tenants among others. */
export function filters(ids: readonly string[], tenants: readonly string[]): fc.Arbitrary<Filter> {
  const valueOf = ({ path, type }: Property): fc.Arbitrary<FilterValue> => {
    switch (type) {
      case 'guid':
        return fc.oneof(fc.constantFrom(...ids), fc.uuid());
      case 'dateTime':
        return fc.constantFrom(...TIMES);
      case 'enum':
        return fc.constantFrom(...STATUSES);
      case 'int32':
        return numbers;
      case 'boolean':
        return fc.boolean();
      case 'string':
        return path[0] === 'azureTenantId' ? fc.constantFrom(...tenants, '', '1') : text;
      case 'complex':
      case 'collection':
        return fc.constant(null);
    }
  };
  const operand = (one: Property): fc.Arbitrary<Operand> =>
    fc.record({
      property: fc.constant(one),
      fold:
        one.type === 'string'
          ? fc.constantFrom('none', 'none', 'lower', 'upper')
          : fc.constant('none' as const),
    });
  const leaf = (one: Property): fc.Arbitrary<Filter> => {
    const value = fc.oneof(
      { weight: 6, arbitrary: valueOf(one) },
      { weight: 1, arbitrary: fc.constant(null) },
    );
    const compare = fc.record({
      kind: fc.constant('compare' as const),
      operator: one.type === 'complex' ? fc.constantFrom('eq', 'ne') : fc.constantFrom(...OPERATORS),
      left: operand(one),
      value,
    });
    if (one.type === 'complex') return compare;
    const among = fc.record({
      kind: fc.constant('in' as const),
      left: operand(one),
      values: fc.array(value, { minLength: 1, maxLength: 4 }),
    });
    if (one.type !== 'string')
      return fc.oneof({ weight: 3, arbitrary: compare }, { weight: 1, arbitrary: among });
    const match = fc.record({
      kind: fc.constant('match' as const),
      how: fc.constantFrom('startswith', 'endswith', 'contains'),
      left: operand(one),
      value: text,
    });
    return fc.oneof(compare, among, match);
  };
  const combined = (leaves: fc.Arbitrary<Filter>, depth: number): fc.Arbitrary<Filter> => {
    if (depth === 0) return leaves;
    const inner = combined(leaves, depth - 1);
    return fc.oneof(
      { weight: 4, arbitrary: leaves },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constantFrom('and', 'or'),
          operands: fc.array(inner, { minLength: 2, maxLength: 3 }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('not' as const), operand: inner }) },
    );
  };
  const constant = fc.record({ kind: fc.constant('constant' as const), value: fc.boolean() });
  const leavesOf = (properties: readonly Property[]): fc.Arbitrary<Filter> =>
    fc.oneof(...properties.map(leaf));
  const lambda = fc.oneof(
    ...COLLECTIONS.map(([collection, properties]) =>
      fc.record({
        kind: fc.constantFrom('any', 'all'),
        collection: fc.constant(collection),
        predicate: fc.option(
          combined(
            fc.oneof({ weight: 8, arbitrary: leavesOf(properties) }, { weight: 1, arbitrary: constant }),
            2,
          ),
          { freq: 6 },
        ),
      }),
    ),
  );
  return combined(
    fc.oneof(
      { weight: 8, arbitrary: leavesOf([...PROPERTIES, ...COMPLEX]) },
      { weight: 3, arbitrary: leavesOf(PROPERTIES.slice(0, 5)) },
      { weight: 3, arbitrary: lambda },
      { weight: 1, arbitrary: constant },
    ),
    3,
  );
}

/** Orders of up to three keys; none is the default order. */
export const orders: fc.Arbitrary<OrderKey[]> = fc.uniqueArray(
  fc.record({
    property: fc.oneof(fc.constantFrom(...PROPERTIES), fc.constantFrom(...PROPERTIES.slice(0, 5))),
    descending: fc.boolean(),
  }),
  { maxLength: 3, selector: (key) => key.property },
);
