import { randomUUID } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import mongoose from 'mongoose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ActionArchive, RetentionStore } from '#domain';
import { Retention } from '#engine';
import { ArchiveFiles, connectDatabase, type Database } from '#persistence';
import type { Logger } from '#telemetry';
import { claimOf, CALLER, TENANT_A, TENANT_B, freshDatabaseUri, newAction } from '../support/database.js';

const DAY_MS = 86_400_000;
const KEEP_DAYS = 90;
const { MongoClient, UUID } = mongoose.mongo;

type Document = mongoose.mongo.BSON.Document;

const closing: (() => Promise<unknown>)[] = [];
let database: Database;
let db: mongoose.mongo.Db;
let dir: string;
let template: Document;

beforeEach(async () => {
  const uri = freshDatabaseUri();
  database = await connectDatabase(uri, { appName: 'riposte-test' });
  const client = await new MongoClient(uri).connect();
  db = client.db();
  dir = await mkdtemp(path.join(tmpdir(), 'riposte-archive-'));
  closing.push(
    () => database.close(),
    () => client.close(),
    () => rm(dir, { recursive: true, force: true }),
  );
  // What an ended action looks like, by the store itself.
  const { id } = await database.actions.create(newAction());
  const claim = await claimOf(database.actions.claim(id, 'worker', 30_000, '1.0.0'));
  if (claim === null) throw new Error('not claimed');
  await database.actions.complete(claim.lease, { ok: true });
  template = (await actions().findOneAndDelete({ _id: new UUID(id) as never })) as Document;
});
afterEach(() => Promise.all(closing.splice(0).map((close) => close())));

const actions = (): mongoose.mongo.Collection => db.collection('actions');
const daysAgo = (days: number): Date => new Date(Date.now() - days * DAY_MS);

/** Records an action that was created and ended so many days ago; its id. */
async function ended(days: number, more: Document = {}): Promise<string> {
  const [id] = await endedMany(1, days, more);
  return id ?? '';
}

async function endedMany(count: number, days: number, more: Document = {}): Promise<string[]> {
  const at = daysAgo(days);
  const documents = Array.from({ length: count }, () => ({
    ...template,
    _id: new UUID(randomUUID()),
    createdAt: at,
    lastActionAt: at,
    completedAt: at,
    ...more,
  }));
  await actions().insertMany(documents as never);
  return documents.map(({ _id }) => _id.toString());
}

const left = async (): Promise<string[]> =>
  (await actions().find().toArray()).map(({ _id }) => String(_id)).toSorted();

interface Line {
  readonly level: string;
  readonly fields: object;
  readonly text: string;
}

function retentionOf(
  options: {
    readonly store?: RetentionStore;
    readonly archive?: ActionArchive | null;
    readonly owner?: string;
    readonly keepDays?: (tenant: string) => number | null;
    readonly periodMs?: number;
    readonly audited?: (ids: readonly string[]) => Promise<readonly string[]>;
  } = {},
) {
  const lines: Line[] = [];
  const say = (level: string) => (fields: object, text: string) => void lines.push({ level, fields, text });
  const log = { info: say('info'), warn: say('warn'), error: say('error'), debug: say('debug') };
  const keepDays = options.keepDays ?? (() => KEEP_DAYS);
  const retention = new Retention({
    store: options.store ?? database.retention,
    lease: database.lease('retention'),
    owner: options.owner ?? 'worker-1',
    rules: {
      keepMs(tenant) {
        const days = keepDays(tenant);
        return days === null ? null : days * DAY_MS;
      },
    },
    archive: options.archive ?? null,
    audited: options.audited ?? ((ids) => Promise.resolve(ids)),
    log: log as unknown as Logger,
    ...(options.periodMs === undefined ? {} : { periodMs: options.periodMs }),
  });
  return { retention, lines };
}

const archived = async (): Promise<string[]> => {
  const files = (await readdir(dir, { recursive: true })).filter((name) => name.endsWith('.ndjson'));
  const texts = await Promise.all(files.map((name) => readFile(path.join(dir, name), 'utf8')));
  return texts
    .join('')
    .split('\n')
    .filter((line) => line !== '');
};

/** An action's id in its binary form, as canonical Extended JSON has it. */
const base64Of = (id: string): string => Buffer.from(id.replaceAll('-', ''), 'hex').toString('base64');

describe('keeping finished actions for a time', () => {
  it('removes those that ended before, and says how many', async () => {
    await endedMany(3, KEEP_DAYS + 1);
    const kept = await ended(KEEP_DAYS - 1);
    const { retention, lines } = retentionOf();
    expect(await retention.pass()).toMatchObject({ ours: true, removed: 3, archived: 0, more: false });
    expect(await left()).toEqual([kept]);
    expect(lines).toEqual([
      {
        level: 'info',
        fields: { removed: 3, archived: 0, ms: expect.any(Number) as number },
        text: 'finished actions removed',
      },
    ]);
    expect(await retention.pass()).toMatchObject({ removed: 0 });
    expect(lines).toHaveLength(1);
  });

  it('never removes what is open, ended late, or has an outcome nobody has resolved', async () => {
    const kept = [
      await ended(400, { status: 'Running', phase: 'waitingOnVendor', completedAt: null, open: true }),
      await ended(400, { completedAt: daysAgo(1) }),
      await ended(400, { status: 'Failed', phase: 'outcomeUnknown', unresolved: true }),
    ];
    const { retention } = retentionOf();
    expect((await retention.pass()).removed).toBe(0);
    expect(await left()).toEqual(kept.toSorted());
  });

  it('removes an unknown outcome once somebody has resolved it', async () => {
    const id = await ended(400, { status: 'Failed', phase: 'outcomeUnknown', unresolved: true });
    const { retention } = retentionOf();
    await retention.pass();
    await actions().updateOne(
      { _id: new UUID(id) as never },
      {
        $set: { resolution: { verdict: 'applied' } },
        $unset: { unresolved: 1 },
      },
    );
    expect((await retention.pass()).removed).toBe(1);
  });

  it('looks again at the moment of removal', async () => {
    const id = await ended(400);
    const archive: ActionArchive = {
      place: 'memory',
      async append(_tenant, records) {
        const ids: string[] = [];
        for await (const record of records) ids.push(record.id);
        await actions().updateOne({ _id: new UUID(id) as never }, { $set: { phase: 'outcomeUnknown' } });
        return ids;
      },
    };
    expect((await retentionOf({ archive }).retention.pass()).removed).toBe(0);
    expect(await left()).toEqual([id]);
  });

  it("goes by the tenant's own time where it has one, and by none where there is none", async () => {
    const short = await ended(10);
    const long = await ended(10, { tenantId: TENANT_B });
    const { retention } = retentionOf({ keepDays: (tenant) => (tenant === TENANT_A ? 5 : null) });
    await retention.pass();
    expect(await left()).toEqual([long]);
    expect(await left()).not.toContain(short);
  });

  it('does a bounded number a pass, and the rest in the next ones, past what has to stay', async () => {
    await endedMany(600, 401, { status: 'Failed', phase: 'outcomeUnknown', unresolved: true });
    await endedMany(5000, 400);
    const { retention } = retentionOf();
    expect(await retention.pass()).toMatchObject({ removed: 4400, more: true });
    expect(await retention.pass()).toMatchObject({ removed: 600, more: false });
    expect(await left()).toHaveLength(600);
  });

  it('costs what is removed, not what is kept', async () => {
    await endedMany(40, KEEP_DAYS + 1);
    for (let batch = 0; batch < 5; batch += 1) await endedMany(1000, batch);
    await db.command({ profile: 2 });
    expect((await retentionOf().retention.pass()).removed).toBe(40);
    await db.command({ profile: 0 });
    const profile = await db
      .collection('system.profile')
      .find({ ns: `${db.databaseName}.actions` })
      .toArray();
    expect(profile.length).toBeGreaterThan(2);
    const sum = (field: string): number => profile.reduce((total, one) => total + Number(one[field] ?? 0), 0);
    // Looked at once to find them and once to remove them; the tenants and the ends of ranges are some keys more.
    expect(sum('docsExamined')).toBeLessThanOrEqual(2 * 40);
    expect(sum('keysExamined')).toBeLessThanOrEqual(2 * 40 + 50);
  });
});

describe('archiving before removal', () => {
  it('writes each action whole, by tenant and day of its end, for the owner only', async () => {
    const day = daysAgo(200).toISOString().slice(0, 10);
    const id = await ended(200);
    const other = await ended(200, { tenantId: TENANT_B, actionReason: 'line\u2028break\n' });
    const archive = new ArchiveFiles(path.join(dir, 'archive'));
    const { retention, lines } = retentionOf({ archive });
    expect(await retention.pass()).toMatchObject({ removed: 2, archived: 2 });
    expect(lines[0]?.fields).toMatchObject({ removed: 2, archived: 2 });
    const file = path.join(dir, 'archive', TENANT_A, `${day}.ndjson`);
    const text = await readFile(file, 'utf8');
    expect(text.endsWith('\n')).toBe(true);
    expect(JSON.parse(text)).toMatchObject({
      _id: { $binary: { base64: base64Of(id), subType: '04' } },
      tenantId: TENANT_A,
      status: 'Completed',
      states: [{ status: 'NotStarted' }, { status: 'Running' }, { status: 'Completed' }],
      epoch: { $numberInt: '1' },
    });
    expect(await readFile(path.join(dir, 'archive', TENANT_B, `${day}.ndjson`), 'utf8')).toContain(
      base64Of(other),
    );
    const modeOf = async (name: string): Promise<number> => (await stat(name)).mode & 0o777;
    expect(await modeOf(path.join(dir, 'archive'))).toBe(0o700);
    expect(await modeOf(path.dirname(file))).toBe(0o700);
    expect(await modeOf(file)).toBe(0o600);
  });

  it('removes nothing that could not be archived, says where, and goes on with the others', async () => {
    const id = await ended(200);
    await ended(200, { tenantId: TENANT_B });
    // A file where the tenant's folder has to be: no rights would hinder root.
    await writeFile(path.join(dir, TENANT_A), '');
    const { retention, lines } = retentionOf({ archive: new ArchiveFiles(dir) });
    expect(await retention.pass()).toMatchObject({ removed: 1, archived: 1 });
    expect(await left()).toEqual([id]);
    expect(lines.find(({ level }) => level === 'error')).toMatchObject({
      fields: { problem: expect.stringContaining(path.join(dir, TENANT_A)) as string },
    });
    await rm(path.join(dir, TENANT_A));
    expect((await retention.pass()).removed).toBe(1);
    expect(await left()).toEqual([]);
  });

  it('loses nothing when it dies in between: the action is archived again', async () => {
    const id = await ended(200);
    const store = database.retention;
    const dying: RetentionStore = {
      tenants: () => store.tenants(),
      expired: (...args) => store.expired(...args),
      records: (...args) => store.records(...args),
      remove: () => Promise.reject(new Error('killed')),
    };
    const archive = new ArchiveFiles(dir);
    await expect(retentionOf({ store: dying, archive }).retention.pass()).rejects.toThrow('killed');
    expect(await left()).toEqual([id]);
    await retentionOf({ archive }).retention.pass();
    const lines = await archived();
    expect(lines).toHaveLength(2);
    expect(new Set(lines).size).toBe(1);
  });

  it('does not spoil a record with what a crash cut off before it', async () => {
    const day = daysAgo(200).toISOString().slice(0, 10);
    await mkdir(path.join(dir, TENANT_A));
    await appendFile(path.join(dir, TENANT_A, `${day}.ndjson`), '{"_id":{"$bin');
    const id = await ended(200);
    await retentionOf({ archive: new ArchiveFiles(dir) }).retention.pass();
    const lines = await archived();
    expect(lines).toHaveLength(2);
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({ _id: { $binary: { base64: base64Of(id) } } });
  });

  it('makes no folder of a tenant that is no GUID', async () => {
    const id = await ended(200, { tenantId: '../elsewhere' });
    const { retention, lines } = retentionOf({ archive: new ArchiveFiles(path.join(dir, 'archive')) });
    expect((await retention.pass()).removed).toBe(0);
    expect(await left()).toEqual([id]);
    expect(lines[0]?.level).toBe('error');
    expect(await readdir(dir)).toEqual([]);
  });
});

describe('the lease on the work', () => {
  it('lets one worker at a time do it, and another when that one stops', async () => {
    await endedMany(3, 200);
    const first = retentionOf({ owner: 'worker-1' }).retention;
    const second = retentionOf({ owner: 'worker-2' }).retention;
    const passes = await Promise.all([first.pass(), second.pass()]);
    expect(passes.filter(({ ours }) => ours)).toHaveLength(1);
    const [holder, other] = passes[0].ours ? [first, second] : [second, first];
    expect((await holder.pass()).ours).toBe(true);
    expect((await other.pass()).ours).toBe(false);
    await holder.stop();
    expect((await other.pass()).ours).toBe(true);
  });

  it('passes to another some time after its holder crashed', async () => {
    const crashed = retentionOf({ owner: 'worker-1', periodMs: 100 }).retention;
    expect((await crashed.pass()).ours).toBe(true);
    const { until } = (await db.collection('leases').findOne({ _id: 'retention' as never })) as unknown as {
      readonly until: Date;
    };
    const other = retentionOf({ owner: 'worker-2' }).retention;
    await expect.poll(async () => (await other.pass()).ours, { timeout: 15_000 }).toBe(true);
    expect(Date.now()).toBeGreaterThanOrEqual(until.getTime());
    await crashed.stop();
    expect((await other.pass()).ours).toBe(true);
  });

  it('is not needed for safety: two that believe to hold it remove each action once', async () => {
    await endedMany(600, 200);
    const all = { take: () => Promise.resolve(true), giveBack: () => Promise.resolve() };
    const log = { info: () => undefined, warn: () => undefined, error: () => undefined } as unknown as Logger;
    const both = ['worker-1', 'worker-2'].map(
      (owner) =>
        new Retention({
          store: database.retention,
          lease: all,
          owner,
          rules: { keepMs: () => DAY_MS },
          archive: new ArchiveFiles(dir),
          audited: (ids) => Promise.resolve(ids),
          log,
        }),
    );
    const passes = await Promise.all(both.map((one) => one.pass()));
    expect(passes.reduce((sum, { removed }) => sum + removed, 0)).toBe(600);
    expect(await left()).toEqual([]);
    const ids = (await archived()).map((line) => /"base64":"([^"]+)"/.exec(line)?.[1]);
    expect(new Set(ids).size).toBe(600);
  });
});

it('an action of the caller is still there for as long as it is kept', async () => {
  const id = await ended(KEEP_DAYS - 1);
  await retentionOf().retention.pass();
  expect(await database.actions.find(CALLER.tenantId, id)).toMatchObject({ id, status: 'Completed' });
});
