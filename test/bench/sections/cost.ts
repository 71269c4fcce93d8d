import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type mongoose from 'mongoose';
import { freePort } from '#embedded-servers';
import { eventually } from '../../support/eventually.js';
import { contest, inArena, type Arena } from '../arena.js';
import { ACTIONS, TENANT, startProduct, type Contestant, type ProductOptions } from '../contestant.js';
import type { Goal } from '../findings.js';
import { connections } from '../load.js';
import type { Section } from '../section.js';
import { WITHOUT_AUDIT, copyOf } from '../variants.js';

type Mongo = mongoose.mongo.MongoClient;

/** Milliseconds between two scrapes: more often than installations do. */
const SCRAPE_MS = 5000;
/** Milliseconds in which the audit record has to have caught up after a round. */
const AUDITED_WITHIN_MS = 180_000;
const NO_LOG = { RIPOSTE_LOG_LEVEL: 'silent' };
const NO_METRICS = 'metrics: { enabled: false }\n';
const NO_TRACES = { OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: '' };

const OFF = 'off';
/** Whatever is on in an installation and tells what it does. */
const ON = 'all but traces';
const TRACED = 'a tenth traced';
const CONTROL = 'off again';

/** What it costs that the product tells what it does: each over the same with all of it off. */
export const cost: Section = (options, say) =>
  inArena(say, async (arena) => {
    const collector = await arena.keep(startCollector());
    const { root } = await arena.keep(copyOf(WITHOUT_AUDIT));
    const start = (name: string, redisDb: number, more: Pick<ProductOptions, 'env' | 'config' | 'root'>) =>
      arena.keep(startProduct(arena.servers, { name, redisDb, ...more }));
    const off = { env: { ...NO_TRACES, ...NO_LOG }, config: NO_METRICS, root };
    const contestants = [
      await start(OFF, 1, off),
      await startScraped(arena, ON, 2),
      await start(TRACED, 3, {
        ...off,
        env: {
          ...off.env,
          OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
          OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
          OTEL_TRACES_SAMPLER_ARG: '0.1',
        },
      }),
      await start(CONTROL, 4, off),
    ];
    const measurements = await contest(
      arena,
      contestants,
      options.connections.map(connections),
      options,
      say,
    );
    if (collector.batches === 0) throw new Error('no traces came, so that their cost was not measured');
    for (const { database, name } of contestants.filter((one) => one.name !== ON))
      if ((await headOf(arena.usage.mongo, database)) > 0)
        throw new Error(`${name} has an audit record, so that its cost was not measured`);
    return {
      title: 'Telling',
      note: 'The product with its audit record, metrics (scraped each 5 s) and log, and with none of these but traces of a tenth of the requests, over the same with all of that off; “off again” is that under another name.',
      measurements,
      comparisons: [ON, TRACED, CONTROL].map((of) => ({ of, to: OFF })),
      charts: ['completedPerSecond'],
      goals: [
        ...options.connections.map((count) => goal(ON, 0.9, count)),
        ...options.connections.map((count) => goal(TRACED, 0.95, count)),
      ],
    };
  });

function goal(of: string, least: number, count: number): Goal {
  const load = connections(count).name;
  return {
    what: `completed/s with ${of} at ${load}: ${least} or more of that without`,
    anyOf: [{ load, figure: 'completedPerSecond', of, to: OFF, least }],
  };
}

async function startScraped(arena: Arena, name: string, redisDb: number): Promise<Contestant> {
  const [port, workerPort] = [await freePort(), await freePort()];
  const contestant = await arena.keep(
    startProduct(arena.servers, {
      name,
      redisDb,
      env: { ...NO_TRACES, RIPOSTE_LOG_LEVEL: 'info' },
      config: `metrics: { port: ${port}, workerPort: ${workerPort} }\n`,
    }),
  );
  const urls = [port, workerPort].map((one) => `http://127.0.0.1:${one}/metrics`);
  // Once they are told at all, so that a scrape that fails stops the bench.
  for (const url of urls) await scrape(url);
  const timer = setInterval(() => void Promise.allSettled(urls.map(scrape)), SCRAPE_MS);
  await arena.keep(Promise.resolve({ stop: () => Promise.resolve(clearInterval(timer)) }));
  return { ...contestant, settled: (mongo) => audited(mongo, contestant.database) };
}

/** Resolves once each action's beginning and end are in the audit record. */
async function audited(mongo: Mongo, database: string): Promise<void> {
  await eventually(
    async () =>
      (await headOf(mongo, database)) >=
      2 * (await mongo.db(database).collection(ACTIONS).estimatedDocumentCount()),
    AUDITED_WITHIN_MS,
    100,
  );
}

/** How many entries the audit record has of the tenant. */
async function headOf(mongo: Mongo, database: string): Promise<number> {
  const last = await mongo
    .db(database)
    .collection<{ readonly seq: number }>('audit')
    .findOne({ chain: TENANT }, { sort: { seq: -1 } });
  return last?.seq ?? 0;
}

async function scrape(url: string): Promise<void> {
  const answer = await fetch(url);
  if (!answer.ok || !(await answer.text()).includes('riposte_'))
    throw new Error(`${url} did not tell metrics`);
}

/** Takes whatever spans come, and forgets them. */
async function startCollector() {
  let batches = 0;
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      batches += 1;
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get batches() {
      return batches;
    },
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
