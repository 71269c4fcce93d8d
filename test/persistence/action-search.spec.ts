import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import mongoose from 'mongoose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Comparison, Filter, FilterValue, OrderKey, Property, PropertyType } from '#odata';
import {
  INDEXED_LISTS,
  ReadTurns,
  connectDatabase,
  type ActionQuery,
  type ActionSearch,
  type Database,
  type SearchPosition,
} from '#persistence';
import { CALLER, freshDatabaseUri, newAction } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { actionRecord, filters, orders } from '../support/odata-arbitraries.js';
import { boundsOf, profiled, type Profile } from '../support/profile.js';

const uri = freshDatabaseUri();
let database: Database;
let search: ActionSearch;
let direct: mongoose.Connection;
let db: mongoose.mongo.Db;

beforeAll(async () => {
  database = await connectDatabase(uri, { appName: 'riposte-test' });
  search = database.search;
  direct = await mongoose.createConnection(uri).asPromise();
  db = direct.getClient().db(direct.name);
});
afterAll(async () => {
  await direct.close();
  await database.close();
});

type Record_ = Readonly<Record<string, unknown>> & { readonly _id: mongoose.mongo.UUID };
const collection = () => db.collection<Record_>('actions');

const property = (path: string, type: PropertyType): Property => ({ path: path.split('/'), type });
const TYPES: Readonly<Record<string, PropertyType>> = {
  id: 'guid',
  status: 'enum',
  createdDateTime: 'dateTime',
  lastActionDateTime: 'dateTime',
  completedDateTime: 'dateTime',
  errorInfo: 'complex',
};
const named = (name: string): Property => property(name, TYPES[name] ?? 'string');
const compare = (name: string, operator: Comparison, value: FilterValue): Filter => ({
  kind: 'compare',
  operator,
  left: { property: named(name), fold: 'none' },
  value,
});
const among = (name: string, ...values: readonly FilterValue[]): Filter => ({
  kind: 'in',
  left: { property: named(name), fold: 'none' },
  values,
});
const and = (...operands: readonly Filter[]): Filter => ({ kind: 'and', operands });
const by = (name: string, descending: boolean): OrderKey => ({ property: named(name), descending });

function query(changes: Partial<ActionQuery> = {}): ActionQuery {
  return { filter: null, order: [], top: 100, skip: 0, after: null, ...changes };
}

/** Creates actions of a tenant of its own; the tenant. */
async function tenantWith(count: number): Promise<string> {
  const tenantId = randomUUID();
  for (let index = 0; index < count; index += 1) await added(tenantId);
  return tenantId;
}

async function added(tenantId: string): Promise<string> {
  return (await database.actions.create(newAction({ caller: { ...CALLER, tenantId } }))).id;
}

describe('paging', () => {
  it.each([
    ['newest first', []],
    ['oldest first', [by('createdDateTime', false)]],
    ['by what is equal', [by('name', true), by('status', false)]],
  ])(
    '%s shows what is there throughout once, whatever is added and removed meanwhile',
    async (_name, order) => {
      const tenantId = await tenantWith(12);
      const all = (await search.page(tenantId, query({ order }))).actions.map(({ id }) => id);
      const removed = [all[2], all[7]];
      const seen: string[] = [];
      let after: SearchPosition | null = null;
      do {
        const page = await search.page(tenantId, query({ order, top: 3, after }));
        seen.push(...page.actions.map(({ id }) => id));
        after = page.next;
        await added(tenantId);
        // The last one shown, where the next page begins, and one that is still to come.
        await collection().deleteMany({
          _id: { $in: removed.map((id) => new mongoose.mongo.UUID(id)) },
          tenantId,
        });
      } while (after !== null && seen.length < 100);
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen.filter((id) => all.includes(id))).toEqual(all.filter((id) => id !== all[7]));
    },
  );

  it('skips 10,000 at most', async () => {
    const tenantId = await tenantWith(3);
    expect((await search.page(tenantId, query({ skip: 2 }))).actions).toHaveLength(1);
    expect((await search.page(tenantId, query({ skip: 10_000 }))).actions).toEqual([]);
    await expect(search.page(tenantId, query({ skip: 10_001 }))).rejects.toMatchObject({
      code: 'invalidRequest',
      message: expect.stringContaining('$skip') as string,
    });
  });

  it('refuses a position of another order', async () => {
    const tenantId = await tenantWith(1);
    for (const after of [
      { values: [], id: randomUUID() },
      { values: [null, null], id: randomUUID() },
      { values: [new Date()], id: 'x' },
    ]) {
      await expect(search.page(tenantId, query({ after }))).rejects.toMatchObject({ code: 'invalidRequest' });
    }
  });
});

describe('a list that an index answers', () => {
  const T = new Date(Date.UTC(2026, 0, 2));
  const FILTERS: Readonly<Record<(typeof INDEXED_LISTS)[number]['filter'], Filter | null>> = {
    '': null,
    'createdDateTime ge T': compare('createdDateTime', 'ge', T),
    "status eq 'Running'": compare('status', 'eq', 'Running'),
    "status in ('Completed','Failed')": among('status', 'Completed', 'Failed'),
    "status ne 'Completed'": compare('status', 'ne', 'Completed'),
    "status eq 'Failed' and createdDateTime ge T": and(
      compare('status', 'eq', 'Failed'),
      compare('createdDateTime', 'ge', T),
    ),
    'lastActionDateTime gt T': compare('lastActionDateTime', 'gt', T),
  };
  const KEYS = {
    created: ['tenantId', 'createdAt', '_id'],
    status: ['tenantId', 'status', 'createdAt', '_id'],
    changed: ['tenantId', 'lastActionAt', '_id'],
  } as const;
  const tenantId = randomUUID();
  const other = randomUUID();

  beforeAll(async () => {
    const statuses = ['NotStarted', 'Running', 'Completed', 'Failed'];
    await collection().insertMany(
      [tenantId, other].flatMap((tenant) =>
        Array.from({ length: 400 }, (_, index) => {
          const at = new Date(T.getTime() + (index - 200) * 1000);
          return {
            _id: new mongoose.mongo.UUID(),
            tenantId: tenant,
            status: statuses[index % 4],
            createdAt: at,
            lastActionAt: at,
          };
        }),
      ),
    );
  });

  it.each(INDEXED_LISTS.flatMap((list) => [true, false].map((descending) => ({ ...list, descending }))))(
    'of "$filter" by $orderby (descending: $descending) is read in order, from where the page begins, and no more',
    async ({ filter: text, orderby, index, descending }) => {
      const order = [by(orderby, descending)];
      const filter = FILTERS[text];
      const first = await search.page(tenantId, query({ filter, order, top: 10 }));
      const profiles = await profiled(db, async () => {
        await search.page(tenantId, query({ filter, order, top: 10 }));
        await search.page(tenantId, query({ filter, order, top: 10, after: first.next }));
      });
      expect(profiles).toHaveLength(2);
      for (const { stages, docsExamined, keysExamined } of profiles) {
        const names = stages.map(({ stage }) => stage);
        expect(names).not.toContain('COLLSCAN');
        expect(names).not.toContain('SORT');
        for (const scan of stages.filter(({ stage }) => stage === 'IXSCAN')) {
          expect(Object.keys(scan.keyPattern ?? {})).toEqual(KEYS[index]);
          expect(boundsOf(scan, 'tenantId')).toBe(`["${tenantId}", "${tenantId}"]`);
        }
        // Of each status one more may be looked at, to find which is next.
        expect(docsExamined).toBeLessThanOrEqual(15);
        expect(keysExamined).toBeLessThanOrEqual(18);
      }
    },
  );

  it.each(Object.entries(FILTERS))('of "%s" is counted from the index alone', async (_text, filter) => {
    const [profile] = await profiled(db, () => search.count(tenantId, filter));
    expect(profile?.stages.some(({ stage }) => stage === 'IXSCAN' || stage === 'COUNT_SCAN')).toBe(true);
    expect(profile?.docsExamined).toBe(0);
  });
});

describe('any list', () => {
  it('reads nothing but what is of the tenant that asks', async () => {
    const tenants = [randomUUID(), randomUUID()];
    const [tenantId = ''] = tenants;
    const records = fc.sample(actionRecord(tenants), 120);
    await collection().insertMany([...records]);
    const ids = records.map(({ _id }) => _id.toString());
    const asked = fc.sample(fc.tuple(filters(ids, tenants), orders), 80);
    const profiles = await profiled(db, async () => {
      for (const [filter, order] of asked) {
        const { next } = await search.page(tenantId, query({ filter, order, top: 7 }));
        if (next !== null) await search.page(tenantId, query({ filter, order, top: 7, after: next }));
        await search.count(tenantId, filter);
      }
    });
    expect(profiles.length).toBeGreaterThan(asked.length);
    for (const profile of profiles) expect(foreignReads(profile, tenantId)).toEqual([]);
  });

  /** Stages that could read what is not the tenant's, nor named by its id. */
  function foreignReads({ stages, command }: Profile, tenantId: string): unknown[] {
    const reads = stages.filter(({ stage }) => /SCAN|IDHACK/.test(stage));
    if (reads.length === 0 && !stages.some(({ stage }) => stage === 'EOF')) return [{ stages, command }];
    return reads.filter((scan) => {
      if (scan.stage !== 'IXSCAN' && scan.stage !== 'COUNT_SCAN') return true;
      const [first] = Object.keys(scan.keyPattern ?? {});
      return first === '_id'
        ? !/^(\[([^,]+), \2\],?)+$/.test(boundsOf(scan, '_id'))
        : first !== 'tenantId' || boundsOf(scan, 'tenantId') !== `["${tenantId}", "${tenantId}"]`;
    });
  }

  it('is refused when it is not found in time, and says what to do', async () => {
    const hasty = await connectDatabase(uri, { appName: 'riposte-test', searchScanMs: 1 });
    try {
      const tenantId = randomUUID();
      const createdAt = new Date();
      for (let round = 0; round < 4; round += 1) {
        await collection().insertMany(
          Array.from({ length: 5000 }, () => ({
            _id: new mongoose.mongo.UUID(),
            tenantId,
            createdAt,
            lastActionAt: createdAt,
          })),
        );
      }
      const filter = compare('name', 'eq', 'NotThere');
      const refused = {
        code: 'invalidRequest',
        message: expect.stringContaining('createdDateTime') as string,
      };
      await expect(hasty.search.page(tenantId, query({ filter }))).rejects.toMatchObject(refused);
      await expect(hasty.search.count(tenantId, filter)).rejects.toMatchObject(refused);
      // Nothing has these times, which no index bounds by them is known to have.
      for (const [never, order] of [
        [compare('lastActionDateTime', 'eq', null), []],
        [among('lastActionDateTime', null, new Date(0)), []],
        [compare('createdDateTime', 'eq', null), [by('lastActionDateTime', true)]],
        [among('createdDateTime', new Date(0), null), [by('lastActionDateTime', true)]],
      ] as const)
        await expect(hasty.search.page(tenantId, query({ filter: never, order }))).rejects.toMatchObject(
          refused,
        );
      // What an index answers has all the time it needs.
      expect((await hasty.search.page(tenantId, query({ top: 1000 }))).actions).toHaveLength(1000);
    } finally {
      await hasty.close();
    }
  });

  it('is refused when it is too large to be sorted, and says what to do', async () => {
    const tenantId = randomUUID();
    const result = 'x'.repeat(100_000);
    await collection().insertMany(
      Array.from({ length: 20 }, (_, index) => ({
        _id: new mongoose.mongo.UUID(),
        tenantId,
        name: String.fromCodePoint(65 + index),
        createdAt: new Date(),
        result,
      })),
    );
    const order = [by('name', false)];
    const page = (top: number) => search.page(tenantId, query({ order, top }));
    // Others that sort more than this use the disk; a list does not.
    const admin = db.admin();
    const set = (bytes: number) =>
      admin.command({ setParameter: 1, internalQueryMaxBlockingSortMemoryUsageBytes: bytes });
    const { was } = (await set(1024 * 1024)) as unknown as { readonly was: number };
    try {
      expect((await page(1)).actions).toMatchObject([{ name: 'A' }]);
      await expect(page(1000)).rejects.toMatchObject({
        code: 'invalidRequest',
        message: expect.stringContaining('smaller page') as string,
      });
    } finally {
      await set(was);
    }
  });
});

describe('a page of large actions', () => {
  it('has as many as 2 MiB take, but one at least, and is followed like any other', async () => {
    const tenantId = randomUUID();
    const megabytes = [0.9, 0.9, 0.9, 3, 0.1, 0.1];
    await collection().insertMany(
      megabytes.map((size, index) => ({
        _id: new mongoose.mongo.UUID(),
        tenantId,
        name: String(index),
        status: 'Completed',
        phase: 'done',
        createdAt: new Date(index),
        result: 'x'.repeat(size * 1024 * 1024),
      })),
    );
    for (const order of [
      [by('createdDateTime', false)],
      [by('status', false), by('createdDateTime', false)],
    ]) {
      const sizes: string[] = [];
      let after: SearchPosition | null = null;
      do {
        const page = await search.page(tenantId, query({ order, top: 1000, after }));
        sizes.push(page.actions.map(({ name }) => name).join());
        after = page.next;
      } while (after !== null && sizes.length < 10);
      expect(sizes).toEqual(['0,1', '2', '3', '4,5']);
    }
    const { actions } = await search.page(tenantId, query({ only: { phase: 'done' }, top: 1000 }));
    expect(actions.map(({ name }) => name)).toEqual(['5', '4']);
  });
});

describe('what has to be looked for', () => {
  /** Reads that end when they are told to, in the order they began. */
  function held(turns: ReadTurns) {
    const running: { readonly tenant: string; readonly end: () => void }[] = [];
    const begin = (tenant: string) =>
      turns.long(tenant, () => new Promise<void>((end) => running.push({ tenant, end })));
    return { running, begin, tenants: () => running.map(({ tenant }) => tenant) };
  }

  it('is so for two of a tenant and four of all at a time, each in its turn', async () => {
    const { running, begin, tenants } = held(new ReadTurns());
    const answers = Array.from('aaaabcc', begin);
    await eventually(() => running.length === 4);
    // Others are not behind what a tenant has waiting.
    expect(tenants().join('')).toBe('aabc');
    for (const expected of ['abcc', 'abcc', 'aacc', 'aac', 'aa', 'a']) {
      running.shift()?.end();
      await eventually(() => running.length === expected.length);
      expect(tenants().toSorted().join('')).toBe(expected);
    }
    running.shift()?.end();
    await Promise.all(answers);
  });

  it('is refused when its turn comes too late, and not begun', async () => {
    const { running, begin } = held(new ReadTurns(50));
    const [first, second, late] = Array.from('aaa', begin);
    const refused = expect(late).rejects.toMatchObject({ code: 'tooManyRequests', retryAfterSeconds: 2 });
    await sleep(100);
    running.shift()?.end();
    await refused;
    expect(running).toHaveLength(1);
    running.shift()?.end();
    await Promise.all([first, second]);
  });

  it('is told from what an index answers, of which eight are read at a time', async () => {
    const turns = new ReadTurns();
    const { running, begin } = held(turns);
    const long = Array.from('aabb', begin);
    const short = Array.from({ length: 9 }, () =>
      turns.short(() => new Promise<void>((end) => running.push({ tenant: 's', end }))),
    );
    await eventually(() => running.length === 12);
    running.splice(0).forEach(({ end }) => end());
    await eventually(() => running.length === 1);
    running[0]?.end();
    await Promise.all([...long, ...short]);
  });

  it('leaves connections to what an index answers, and to writes', async () => {
    const busy = await connectDatabase(uri, { appName: 'riposte-test', readsBeginMs: 1 });
    try {
      const tenantId = await tenantWith(1);
      const record = await collection().findOne({ tenantId });
      for (let round = 0; round < 4; round += 1) {
        await collection().insertMany(
          Array.from({ length: 2500 }, () => ({ ...record, _id: new mongoose.mongo.UUID() })),
        );
      }
      const filter: Filter = {
        kind: 'match',
        how: 'contains',
        left: { property: named('name'), fold: 'lower' },
        value: 'nothing',
      };
      const looked = Array.from({ length: 10 }, (_, index) =>
        index % 2 === 0 ? busy.search.page(tenantId, query({ filter })) : busy.search.count(tenantId, filter),
      );
      const outcomes = Promise.allSettled(looked);
      expect((await busy.search.page(tenantId, query({ top: 5 }))).actions).toHaveLength(5);
      const refused = (await outcomes).filter(({ status }) => status === 'rejected');
      expect(refused).toHaveLength(8);
      for (const { reason } of refused as readonly PromiseRejectedResult[])
        expect(reason).toMatchObject({ code: 'tooManyRequests' });
      await expect(busy.search.count(tenantId, filter)).resolves.toBe(0);
    } finally {
      await busy.close();
    }
  });
});
