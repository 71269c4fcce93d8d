import fc from 'fast-check';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Filter, OrderKey } from '#odata';
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
const uri = freshDatabaseUri();
let database: Database;
let search: ActionSearch;

beforeAll(async () => {
  database = await connectDatabase(uri, { appName: 'riposte-test' });
  search = database.search;
  const direct = await mongoose.createConnection(uri).asPromise();
  await direct.collection<ActionRecord>('actions').insertMany([...records]);
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
