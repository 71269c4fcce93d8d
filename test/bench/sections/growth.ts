import type mongoose from 'mongoose';
import type { Filter } from '#odata';
import { connectDatabase, type Database, type SearchPosition } from '#persistence';
import { contest, inArena, type Arena } from '../arena.js';
import { ACTIONS, startProduct, withDatabase, type Contestant } from '../contestant.js';
import type { Measurement } from '../findings.js';
import { TENANTS, carriedOut, fillHistory, newAction } from '../history.js';
import { interleaved } from '../interleaved.js';
import { connections } from '../load.js';
import type { Say, Section } from '../section.js';
import { quantile } from '../statistics.js';
import { Random } from '../../support/random.js';

const SMALL = 10_000;
const TOP = 100;
/** Ids that are read one by one. */
const IDS = 1000;
/** Actions that wait for the sweep, in each. */
const DUE = 200;
const SWEPT = 500;
const WARM_UP = 40;
const COMPLETED: Filter = {
  kind: 'compare',
  operator: 'eq',
  left: { property: { path: ['status'], type: 'enum' }, fold: 'none' },
  value: 'Completed',
};
const FAILED: Filter = { ...COMPLETED, value: 'Failed' };

/** A database of so many actions, and what is asked of it. */
interface Subject {
  readonly name: string;
  readonly database: Database;
  /** By tenant, where the first page ends. */
  readonly positions: ReadonlyMap<string, SearchPosition | null>;
  readonly known: readonly { readonly tenantId: string; readonly id: string }[];
}

type Question = (subject: Subject, random: Random) => Promise<unknown>;

const page = (after: SearchPosition | null) => ({ filter: COMPLETED, order: [], top: TOP, skip: 0, after });
const QUESTIONS: Readonly<Record<string, Question>> = {
  'get one action': ({ database, known }, random) => {
    const { tenantId, id } = random.pick(known);
    return database.actions.find(tenantId, id);
  },
  'newest page of a list': ({ database }, random) =>
    database.search.page(random.pick(TENANTS), { filter: null, order: [], top: TOP, skip: 0, after: null }),
  "first page, status eq 'Completed'": ({ database }, random) =>
    database.search.page(random.pick(TENANTS), page(null)),
  "next page, status eq 'Completed'": ({ database, positions }, random) => {
    const tenantId = random.pick(TENANTS);
    return database.search.page(tenantId, page(positions.get(tenantId) ?? null));
  },
  "$count, status eq 'Failed'": ({ database }, random) => database.search.count(random.pick(TENANTS), FAILED),
  'a pass of the sweep': async ({ database: { actions } }) => {
    await actions.due('begun', SWEPT, 0, null);
    await actions.overdue(SWEPT, 0, null);
    await actions.due('waiting', SWEPT, 0, null);
  },
  'create, claim and end': ({ database }) => carriedOut(database),
};

/** What an action, a read, a list and a sweep cost among many actions, beside what they cost among 10,000. */
export const growth: Section = (options, say) =>
  inArena(say, async (arena) => {
    const sizes = [
      { name: `${SMALL} actions`, database: 'small', count: SMALL },
      { name: `${options.actions} actions`, database: 'large', count: options.actions },
      { name: `${SMALL} actions again`, database: 'again', count: SMALL },
    ] as const;
    const [small, large, again] = sizes.map(({ name }) => name) as [string, string, string];
    const measurements: Measurement[] = [];
    const open: Database[] = [];
    try {
      const subjects: Subject[] = [];
      for (const { name, database, count } of sizes)
        subjects.push(await subjectOf(arena, name, database, count, open, say));
      const questions = Object.entries(QUESTIONS);
      for (const [, question] of questions) await timesOf(question, subjects, WARM_UP, new Random(0));
      await interleaved(questions, options.rounds, async ([load, question], round) => {
        for (const [subject, times] of await timesOf(
          question,
          subjects,
          options.samples,
          new Random(round + 1),
        ))
          measurements.push({
            load,
            subject: subject.name,
            round,
            figures: { p50Ms: quantile(times, 0.5), p95Ms: quantile(times, 0.95) },
          });
        say(`round ${round + 1}, ${load}`);
      });
    } finally {
      await Promise.all(open.map((database) => database.close()));
    }
    const products: Contestant[] = [];
    for (const [index, { name, database }] of sizes.entries())
      products.push(await arena.keep(startProduct(arena.servers, { name, database, redisDb: index + 1 })));
    measurements.push(...(await contest(arena, products, [connections(32)], options, say)));
    return {
      title: 'Growth',
      note: `The same in databases of ${TENANTS.length} tenants, by turns: questions to the store, and the whole product under load. “again” is another small one: its ratio shows the noise.`,
      measurements,
      comparisons: [
        { of: large, to: small },
        { of: again, to: small },
      ],
      charts: ['p50Ms', 'completedPerSecond'],
    };
  });

async function subjectOf(
  { servers, usage }: Arena,
  name: string,
  databaseName: string,
  count: number,
  open: Database[],
  say: Say,
): Promise<Subject> {
  const uri = withDatabase(servers.mongodbUri, databaseName);
  const startedAt = performance.now();
  await fillHistory(uri, count, (done) => say(`${name}: ${done} written`));
  // Makes the indexes.
  const database = await connectDatabase(uri, { appName: 'riposte-bench' });
  open.push(database);
  for (let index = 0; index < DUE; index += 1) await database.actions.create(newAction());
  say(`${name} in ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
  const positions = new Map<string, SearchPosition | null>();
  for (const tenantId of TENANTS)
    positions.set(tenantId, (await database.search.page(tenantId, page(null))).next);
  const known = await usage.mongo
    .db(databaseName)
    .collection<{ _id: mongoose.mongo.UUID; tenantId: string }>(ACTIONS)
    .aggregate<{ _id: mongoose.mongo.UUID; tenantId: string }>([
      { $sample: { size: IDS } },
      { $project: { tenantId: 1 } },
    ])
    .toArray();
  return {
    name,
    database,
    positions,
    known: known.map(({ _id, tenantId }) => ({ id: _id.toString(), tenantId })),
  };
}

/** Asks each so often, by turns; milliseconds by subject. */
async function timesOf(
  question: Question,
  subjects: readonly Subject[],
  times: number,
  random: Random,
): Promise<ReadonlyMap<Subject, readonly number[]>> {
  const took = new Map<Subject, number[]>(subjects.map((subject) => [subject, []]));
  await interleaved(subjects, times, async (subject) => {
    const startedAt = performance.now();
    await question(subject, random);
    took.get(subject)?.push(performance.now() - startedAt);
  });
  return took;
}
