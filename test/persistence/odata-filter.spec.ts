import fc from 'fast-check';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Comparison, Filter, OrderKey } from '#odata';
import { connectDatabase, type ActionSearch, type Database, type SearchPosition } from '#persistence';
import { TENANT_A, TENANT_B, freshDatabaseUri } from '../support/database.js';
import { actionRecord, asEntity, filters, orders, type ActionRecord } from '../support/odata-arbitraries.js';
import { holds, inOrder } from '../support/odata-evaluation.js';

const TENANTS = [TENANT_A, TENANT_B];
const NEWEST_FIRST: readonly OrderKey[] = [
  { property: { path: ['createdDateTime'], type: 'dateTime' }, descending: true },
];

const records = fc.sample(actionRecord(TENANTS), { numRuns: 220, seed: 20_260_101 });
const ids = records.map(({ _id }) => _id.toString());
/** Records of another tenant that differ in a text, in this order by code point. */
const TEXTS = [null, '', '\n', '$a', '.*', 'A', 'A\n', 'Z', 'a', 'k', 'É', 'é', '\u212A', '\uFF5E', '😀'];
const TEXT_TENANT = '55555555-5555-4555-8555-555555555555';
const texts = TEXTS.map((actionReason) => ({
  _id: new mongoose.mongo.UUID(),
  tenantId: TEXT_TENANT,
  // Null is recorded, and not recorded at all.
  ...(actionReason === null ? {} : { actionReason }),
  createdAt: new Date(),
}));

const uri = freshDatabaseUri();
let database: Database;
let search: ActionSearch;

beforeAll(async () => {
  database = await connectDatabase(uri, { appName: 'riposte-test' });
  search = database.search;
  const direct = await mongoose.createConnection(uri).asPromise();
  await direct.collection<ActionRecord>('actions').insertMany([...records, ...texts]);
  await direct.close();
});
afterAll(() => database.close());

/** The ids a tenant gets to see, page by page. */
async function walked(
  tenantId: string,
  filter: Filter | null,
  order: readonly OrderKey[],
  top: number,
  skip = 0,
): Promise<string[]> {
  const seen: string[] = [];
  let after: SearchPosition | null = null;
  do {
    const page = await search.page(tenantId, { filter, order, top, skip: after === null ? skip : 0, after });
    expect(page.actions.length).toBeLessThanOrEqual(top);
    seen.push(...page.actions.map(({ id }) => id));
    after = page.next;
  } while (after !== null);
  return seen;
}

/** The same from the definition. */
function expected(tenantId: string, filter: Filter | null, order: readonly OrderKey[]): string[] {
  return records
    .filter((record) => record['tenantId'] === tenantId)
    .map(asEntity)
    .filter((entity) => filter === null || holds(filter, entity))
    .toSorted((one, other) => inOrder(order.length === 0 ? NEWEST_FIRST : order, one, other))
    .map((entity) => String(entity['id']));
}

describe('a filter and an order', () => {
  it('show and count what they mean, of the tenant that asks, whatever they are', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...TENANTS),
        fc.option(filters(ids, TENANTS), { freq: 30 }),
        orders,
        fc.constantFrom(1000, 1000, 40, 11),
        fc.constantFrom(0, 0, 0, 5),
        async (tenantId, filter, order, top, skip) => {
          const wanted = expected(tenantId, filter, order);
          expect(await walked(tenantId, filter, order, top, skip)).toEqual(wanted.slice(skip));
          expect(await search.count(tenantId, filter)).toBe(wanted.length);
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe('a text', () => {
  const property = { path: ['actionReason'], type: 'string' } as const;
  const found = async (filter: Filter): Promise<unknown[]> => {
    const order = [{ property, descending: false }];
    const { actions } = await search.page(TEXT_TENANT, { filter, order, top: 100, skip: 0, after: null });
    return actions.map(({ actionReason }) => actionReason ?? null);
  };
  const but = (...left: readonly (string | null)[]) => TEXTS.filter((text) => !left.includes(text));
  const from = (text: string) => TEXTS.slice(TEXTS.indexOf(text));

  it.each<[string, Comparison, string | null, readonly (string | null)[]]>([
    ['none', 'eq', null, [null]],
    ['none', 'ne', null, but(null)],
    ['none', 'ge', null, []],
    ['none', 'le', null, []],
    ['none', 'eq', '', ['']],
    ['none', 'ne', 'a', but('a')],
    ['none', 'lt', '\n', ['']],
    ['none', 'gt', '\u212A', from('\uFF5E')],
    ['none', 'ge', '\uFF5E', ['\uFF5E', '😀']],
    ['lower', 'eq', 'a', ['A', 'a']],
    ['lower', 'eq', 'A', []],
    ['lower', 'ne', 'A', but()],
    ['lower', 'eq', 'k', ['k']],
    ['lower', 'eq', 'é', ['é']],
    ['lower', 'eq', '', ['']],
    ['lower', 'eq', null, [null]],
    ['lower', 'lt', 'a', ['', '\n', '$a', '.*']],
    ['upper', 'gt', 'K', ['Z', ...from('É')]],
    ['upper', 'le', 'A', ['', '\n', '$a', '.*', 'A', 'a']],
  ])('folded %s is %s %j of %j', async (fold, operator, value, expectedTexts) => {
    const left = { property, fold: fold as 'none' | 'lower' | 'upper' };
    expect(await found({ kind: 'compare', operator, left, value })).toEqual(expectedTexts);
  });

  it.each<[string, 'startswith' | 'endswith' | 'contains', string, readonly (string | null)[]]>([
    ['none', 'contains', '', but(null)],
    ['none', 'startswith', '', but(null)],
    ['none', 'endswith', '', but(null)],
    ['none', 'contains', '.', ['.*']],
    ['none', 'startswith', '.*', ['.*']],
    ['none', 'contains', '$a', ['$a']],
    ['none', 'endswith', 'A', ['A']],
    ['none', 'endswith', '\n', ['\n', 'A\n']],
    ['none', 'startswith', 'A', ['A', 'A\n']],
    ['lower', 'startswith', 'a', ['A', 'A\n', 'a']],
    ['lower', 'contains', 'K', []],
    ['upper', 'endswith', 'A', ['$a', 'A', 'a']],
    ['none', 'contains', '😀', ['😀']],
  ])('folded %s that %s %j is one of %j', async (fold, how, value, expectedTexts) => {
    const left = { property, fold: fold as 'none' | 'lower' | 'upper' };
    expect(await found({ kind: 'match', how, left, value })).toEqual(expectedTexts);
  });
});
