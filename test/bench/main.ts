import { writeFile } from 'node:fs/promises';
import autocannon from 'autocannon';
import { Command, Option } from 'commander';
import mongoose from 'mongoose';
import { startTestServers } from '#embedded-servers';
import { REQUEST_BODY, residentMiB, startMinimal, startProduct, type Contestant } from './contestant.js';
import { benchLists } from './lists.js';
import { drained, median, rounded } from './rounds.js';
import { benchScheduler } from './scheduler.js';

/**
 * `npm run bench`: the product beside a minimal hand-written pipeline, interleaved in one run, on servers of its
 * own. Absolute figures do not carry to another machine; the ratios do.
 */

interface Options {
  readonly rounds: string;
  readonly seconds: string;
  readonly connections: string;
  readonly json?: string;
  readonly only?: string;
  readonly actions: string;
  readonly samples: string;
}

interface Round {
  readonly acceptedPerSecond: number;
  readonly completedPerSecond: number;
  readonly acceptP50Ms: number;
  readonly acceptP99Ms: number;
  readonly apiMiB: number;
  readonly workerMiB: number;
}

const options = new Command('npm run bench --')
  .option('--rounds <n>', 'rounds of each, interleaved', '5')
  .option('--seconds <n>', 'seconds of load in a round', '8')
  .option('--connections <n>', 'connections that send one request after the other', '32')
  .option('--json <file>', 'also write the figures there')
  .addOption(
    new Option('--only <bench>', 'another bench than that of the pipelines').choices(['lists', 'scheduler']),
  )
  .option('--actions <n>', 'lists: actions in the large database', '1000000')
  .option('--samples <n>', 'lists: times each is asked for', '500')
  .parse()
  .opts<Options>();

if (options.only === 'lists') {
  const { actions, samples, json } = options;
  await benchLists({ actions: Number(actions), samples: Number(samples), json });
  process.exit();
}

if (options.only === 'scheduler') {
  const { rounds, seconds, connections, json } = options;
  await benchScheduler({
    rounds: Number(rounds),
    seconds: Number(seconds),
    connections: Number(connections),
    json,
  });
  process.exit();
}

const servers = await startTestServers((line) => console.log(line));
const client = new mongoose.mongo.MongoClient(servers.mongodbUri);
const contestants = [await startProduct(servers), await startMinimal(servers)];
try {
  const results = new Map<string, Round[]>(contestants.map(({ name }) => [name, []]));
  for (const contestant of contestants) await round(contestant, 3);
  for (let index = 0; index < Number(options.rounds); index += 1) {
    // Each goes first in turn.
    for (const contestant of index % 2 === 0 ? contestants : contestants.toReversed()) {
      const result = await round(contestant, Number(options.seconds));
      results.get(contestant.name)?.push(result);
      console.log(
        `round ${index + 1} ${contestant.name.padEnd(8)} accepted/s ${result.acceptedPerSecond.toFixed(0).padStart(5)}  completed/s ${result.completedPerSecond.toFixed(0).padStart(5)}`,
      );
    }
  }
  await report(results.get('riposte') ?? [], results.get('minimal') ?? []);
} finally {
  await Promise.all(contestants.map((contestant) => contestant.stop()));
  await client.close();
  await servers.stop();
}

async function round(contestant: Contestant, seconds: number): Promise<Round> {
  const { api, worker } = contestant.processes;
  const peak = { api: 0, worker: 0 };
  const watch = setInterval(() => {
    peak.api = Math.max(peak.api, residentMiB(api));
    peak.worker = Math.max(peak.worker, residentMiB(worker));
  }, 200);
  const before = await count(contestant, 'Completed');
  const startedAt = performance.now();
  const load = await autocannon({
    url: contestant.url,
    connections: Number(options.connections),
    duration: seconds,
    method: 'POST',
    headers: { 'content-type': 'application/json', ...contestant.headers },
    body: REQUEST_BODY,
  });
  const completed = (await count(contestant, 'Completed')) - before;
  const elapsed = (performance.now() - startedAt) / 1000;
  clearInterval(watch);
  if (load.non2xx > 0 || load.errors > 0)
    throw new Error(`${contestant.name}: ${load.non2xx} refusals, ${load.errors} errors`);
  await drained(client, contestant);
  return {
    acceptedPerSecond: load['2xx'] / elapsed,
    completedPerSecond: completed / elapsed,
    acceptP50Ms: load.latency.p50,
    acceptP99Ms: load.latency.p99,
    apiMiB: peak.api,
    workerMiB: peak.worker,
  };
}

function count(contestant: Contestant, status: string): Promise<number> {
  return client.db(contestant.database).collection('actions').countDocuments({ status });
}

async function report(product: readonly Round[], minimal: readonly Round[]): Promise<void> {
  const rows = (
    ['acceptedPerSecond', 'completedPerSecond', 'acceptP50Ms', 'acceptP99Ms', 'apiMiB', 'workerMiB'] as const
  ).map((figure) => {
    const ours = median(product.map((one) => one[figure]));
    const theirs = median(minimal.map((one) => one[figure]));
    return { figure, riposte: rounded(ours), minimal: rounded(theirs), ratio: rounded(ours / theirs) };
  });
  const ratios = product.map(
    (one, index) => one.completedPerSecond / (minimal[index]?.completedPerSecond ?? Number.NaN),
  );
  console.log(
    `\nmedians of ${product.length} rounds of ${options.seconds} s at ${options.connections} connections`,
  );
  console.table(rows);
  console.log(
    `completed/s, riposte over minimal, round by round: ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')}  median ${median(ratios).toFixed(2)}`,
  );
  if (options.json !== undefined) {
    await writeFile(
      options.json,
      `${JSON.stringify({ options, rows, completedRatios: ratios, rounds: { riposte: product, minimal } }, null, 2)}\n`,
    );
  }
}
