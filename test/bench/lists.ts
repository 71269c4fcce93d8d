import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import mongoose from 'mongoose';
import type { NewAction } from '#domain';
import { startTestServers } from '#embedded-servers';
import type { Filter } from '#odata';
import { connectDatabase, type Database, type SearchPosition } from '#persistence';
import { Random } from '../support/random.js';

/**
 * `npm run bench -- --only lists`: what a page of a list and a count cost where there are 1,000,000 actions, beside
 * what they cost where there are 10,000, by turns in one run and on one server.
 */

export interface ListBenchOptions {
  /** Actions in the large database. */
  readonly actions: number;
  /** Times each is asked for. */
  readonly samples: number;
  /** A file for the figures. */
  readonly json: string | undefined;
}

const SMALL = 10_000;
const TENANTS = Array.from({ length: 20 }, () => randomUUID());
const TOP = 100;
const WARM_UP = 40;
const BATCH = 5000;
/** The history that the actions are spread over, evenly. */
const HISTORY_MS = 90 * 86_400_000;
const COMPLETED: Filter = {
  kind: 'compare',
  operator: 'eq',
  left: { property: { path: ['status'], type: 'enum' }, fold: 'none' },
  value: 'Completed',
};
const FAILED: Filter = { ...COMPLETED, value: 'Failed' };

const NEW_ACTION: NewAction = {
  id: randomUUID(),
  caller: { tenantId: randomUUID(), appId: randomUUID(), user: null },
  name: 'BlockIp',
  actionReason: 'Seen in three alerts of the last hour.',
  clientContext: 'case 4711',
  parameters: [{ name: 'IP', value: '1.2.3.4' }],
  vendorInformation: { vendor: 'Mock', provider: 'Mock', providerVersion: null, subProvider: null },
  instance: 'mock',
  actionName: 'BlockIp',
  providerVersion: '1.0.0',
  idempotency: 'natural',
  deadlineMs: 3_600_000,
  startBefore: null,
};

/** A database of so many actions, and what is asked of it. */
interface Subject {
  readonly database: Database;
  /** By tenant, where the first page ends. */
  readonly positions: ReadonlyMap<string, SearchPosition | null>;
}

interface Row {
  readonly asked: string;
  readonly smallP50Ms: number;
  readonly smallP95Ms: number;
  readonly largeP50Ms: number;
  readonly largeP95Ms: number;
  readonly ratioP50: number;
  readonly ratioP95: number;
}

type Question = (subject: Subject, tenantId: string) => Promise<unknown>;

const page = (after: SearchPosition | null) => ({ filter: COMPLETED, order: [], top: TOP, skip: 0, after });
const QUESTIONS: Readonly<Record<string, Question>> = {
  "first page, status eq 'Completed'": ({ database }, tenantId) => database.search.page(tenantId, page(null)),
  "next page, status eq 'Completed'": ({ database, positions }, tenantId) =>
    database.search.page(tenantId, page(positions.get(tenantId) ?? null)),
  "$count, status eq 'Failed'": ({ database }, tenantId) => database.search.count(tenantId, FAILED),
};

/** Loads both databases, asks both by turns, and prints a table. */
export async function benchLists({ actions, samples, json }: ListBenchOptions): Promise<void> {
  const servers = await startTestServers((line) => console.log(line));
  const open: Database[] = [];
  try {
    const subjectOf = async (name: string, count: number): Promise<Subject> => {
      const uri = servers.mongodbUri.replace('/?', `/${name}?`);
      const startedAt = performance.now();
      await load(uri, count);
      // Makes the indexes.
      const database = await connectDatabase(uri, { appName: 'riposte-bench' });
      open.push(database);
      console.log(`${name}: ${count} actions in ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
      const firsts = TENANTS.map(async (tenantId) => {
        const { next } = await database.search.page(tenantId, page(null));
        return [tenantId, next] as const;
      });
      return { database, positions: new Map(await Promise.all(firsts)) };
    };
    const small = await subjectOf('small', SMALL);
    const large = await subjectOf('large', actions);
    const rows: Row[] = [];
    for (const [asked, question] of Object.entries(QUESTIONS))
      rows.push(await compared(asked, question, small, large, samples));
    console.log(
      `\n${SMALL} and ${actions} actions of ${TENANTS.length} tenants; ${samples} times each, by turns; pages of ${TOP}`,
    );
    console.table(rows);
    if (json !== undefined)
      await writeFile(json, `${JSON.stringify({ small: SMALL, large: actions, samples, rows }, null, 2)}\n`);
  } finally {
    await Promise.all(open.map((database) => database.close()));
    await servers.stop();
  }
}

async function compared(
  asked: string,
  question: Question,
  small: Subject,
  large: Subject,
  samples: number,
): Promise<Row> {
  const random = new Random(1);
  const [ofSmall, ofLarge]: [number[], number[]] = [[], []];
  for (let index = -WARM_UP; index < samples; index += 1) {
    const tenantId = random.pick(TENANTS);
    const [first, second] = index % 2 === 0 ? [small, large] : [large, small];
    const [one, other] = [await timed(question, first, tenantId), await timed(question, second, tenantId)];
    if (index < 0) continue;
    ofSmall.push(first === small ? one : other);
    ofLarge.push(first === small ? other : one);
  }
  const [s50, s95, l50, l95] = [at(ofSmall, 0.5), at(ofSmall, 0.95), at(ofLarge, 0.5), at(ofLarge, 0.95)];
  return {
    asked,
    smallP50Ms: rounded(s50),
    smallP95Ms: rounded(s95),
    largeP50Ms: rounded(l50),
    largeP95Ms: rounded(l95),
    ratioP50: rounded(l50 / s50),
    ratioP95: rounded(l95 / s95),
  };
}

async function timed(question: Question, subject: Subject, tenantId: string): Promise<number> {
  const startedAt = performance.now();
  await question(subject, tenantId);
  return performance.now() - startedAt;
}

/** Fills a database with actions that ended, as the store leaves them; one in twenty failed. */
async function load(uri: string, count: number): Promise<void> {
  const template = await endedAction(uri);
  const client = await new mongoose.mongo.MongoClient(uri, { writeConcern: { w: 1 } }).connect();
  try {
    const collection = client.db().collection('actions');
    // They are made again when all is there, which is quicker than keeping them.
    await collection.drop();
    const random = new Random(count);
    const begin = Date.now() - HISTORY_MS;
    for (let done = 0; done < count; done += BATCH) {
      const documents = Array.from({ length: Math.min(BATCH, count - done) }, (_, index) =>
        variant(template, random, new Date(begin + ((done + index) / count) * HISTORY_MS)),
      );
      await collection.insertMany(documents, { ordered: false });
    }
  } finally {
    await client.close();
  }
}

async function endedAction(uri: string): Promise<mongoose.mongo.BSON.Document> {
  const database = await connectDatabase(uri, { appName: 'riposte-bench' });
  const client = await new mongoose.mongo.MongoClient(uri).connect();
  try {
    const { id } = await database.actions.create(NEW_ACTION);
    const answer = await database.actions.claim(id, 'bench', 30_000, '1.0.0');
    if (answer.kind !== 'claimed') throw new Error('a new action could not be claimed');
    await database.actions.complete(answer.claim.lease, { rule: 'riposte-0001', applied: true });
    const document = await client.db().collection('actions').findOne();
    if (document === null) throw new Error('an action that ended is not there');
    return document;
  } finally {
    await client.close();
    await database.close();
  }
}

function variant(
  template: mongoose.mongo.BSON.Document,
  random: Random,
  createdAt: Date,
): mongoose.mongo.BSON.Document {
  const failed = random.chance(0.05);
  const endedAt = new Date(createdAt.getTime() + random.between(20, 5000));
  const times = [createdAt, createdAt, endedAt];
  const states = template['states'] as readonly object[];
  return {
    ...template,
    _id: new mongoose.mongo.UUID(),
    tenantId: random.pick(TENANTS),
    name: random.pick(['BlockIp', 'BlockUrl', 'BlockFile', 'IsolateMachine']),
    parameters: [
      {
        name: 'IP',
        value: `10.${random.between(0, 255)}.${random.between(0, 255)}.${random.between(0, 255)}`,
      },
    ],
    status: failed ? 'Failed' : 'Completed',
    phase: failed ? 'failed' : 'done',
    errorInfo: failed ? { code: 404, subcode: 404, message: 'The target is not known to the vendor.' } : null,
    states: states.map((state, index) => ({
      ...state,
      updatedAt: times[index],
      ...(failed && index === states.length - 1 ? { status: 'Failed' } : {}),
    })),
    createdAt,
    lastActionAt: endedAt,
    completedAt: endedAt,
  };
}

function at(values: readonly number[], quantile: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))] ?? Number.NaN;
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
