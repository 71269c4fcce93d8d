import { writeFile } from 'node:fs/promises';
import autocannon from 'autocannon';
import mongoose from 'mongoose';
import { startTestServers } from '#embedded-servers';
import { REQUEST_BODY, startProduct, type Contestant } from './contestant.js';
import { drained, median, rounded } from './rounds.js';

/**
 * `npm run bench -- --only scheduler`: what the scheduler costs where it has nothing to hold back. The product with its
 * permits and fair places beside the same product without, by turns in one run and on the same servers, at a mock that
 * limits nothing.
 */

export interface SchedulerBenchOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
  /** A file for the figures. */
  readonly json: string | undefined;
}

/** Measures both by turns, and prints completed actions a second and their ratio. */
export async function benchScheduler({
  rounds,
  seconds,
  connections,
  json,
}: SchedulerBenchOptions): Promise<void> {
  const servers = await startTestServers((line) => console.log(line));
  const client = new mongoose.mongo.MongoClient(servers.mongodbUri);
  const open: Contestant[] = [];
  try {
    const start = async (name: string, scheduler: 'on' | 'off', redisDb: number): Promise<Contestant> => {
      const contestant = await startProduct(
        // A Redis database of its own each, or one's worker would take the other's hints.
        { ...servers, redisUrl: new URL(`/${redisDb}`, servers.redisUrl).href },
        { name, env: { RIPOSTE_BENCH_SCHEDULER: scheduler } },
      );
      open.push(contestant);
      return contestant;
    };
    const [on, off] = [await start('on', 'on', 1), await start('off', 'off', 2)];
    const completedIn = async (contestant: Contestant, forSeconds: number): Promise<number> => {
      const completed = () =>
        client.db(contestant.database).collection('actions').countDocuments({ status: 'Completed' });
      const before = await completed();
      const startedAt = performance.now();
      const load = await autocannon({
        url: contestant.url,
        connections,
        duration: forSeconds,
        method: 'POST',
        headers: { 'content-type': 'application/json', ...contestant.headers },
        body: REQUEST_BODY,
      });
      const perSecond = ((await completed()) - before) / ((performance.now() - startedAt) / 1000);
      if (load.non2xx > 0 || load.errors > 0)
        throw new Error(`scheduler ${contestant.name}: ${load.non2xx} refusals, ${load.errors} errors`);
      await drained(client, contestant);
      return perSecond;
    };
    for (const contestant of open) await completedIn(contestant, 3);
    const figures: { readonly on: number; readonly off: number; readonly ratio: number }[] = [];
    for (let index = 0; index < rounds; index += 1) {
      const result = new Map<Contestant, number>();
      // Each goes first in turn.
      for (const contestant of index % 2 === 0 ? [on, off] : [off, on])
        result.set(contestant, await completedIn(contestant, seconds));
      const [withIt, without] = [result.get(on) ?? 0, result.get(off) ?? 0];
      figures.push({ on: rounded(withIt), off: rounded(without), ratio: rounded(withIt / without) });
    }
    console.log(
      `\ncompleted/s with the scheduler and without, ${rounds} rounds of ${seconds} s at ${connections} connections`,
    );
    console.table(figures);
    console.log(`median ratio ${median(figures.map(({ ratio }) => ratio)).toFixed(2)}`);
    if (json !== undefined)
      await writeFile(json, `${JSON.stringify({ rounds, seconds, connections, figures }, null, 2)}\n`);
  } finally {
    await Promise.all(open.map((contestant) => contestant.stop()));
    await client.close();
    await servers.stop();
  }
}
