import { startTestServers, type TestServers } from '#embedded-servers';
import type { Contestant } from './contestant.js';
import { FIGURES } from './figures.js';
import { rounded, type Measurement } from './findings.js';
import { interleaved } from './interleaved.js';
import { connections, type LoadPlan } from './load.js';
import { measured } from './round.js';
import type { Say } from './section.js';
import { ServerUsage } from './usage.js';

const WARM_UP_SECONDS = 3;
const WARM_UP_CONNECTIONS = 32;

export interface Arena {
  readonly servers: TestServers;
  readonly usage: ServerUsage;
  /** Runs until the arena is closed; the last that was begun ends first. */
  readonly keep: <T extends { stop(): Promise<void> }>(started: Promise<T>) => Promise<T>;
}

/** Runs `work` with a MongoDB and a Redis of its own, and stops all that was started there, whatever happens. */
export async function inArena<T>(say: Say, work: (arena: Arena) => Promise<T>): Promise<T> {
  const servers = await startTestServers(say);
  const usage = new ServerUsage(servers);
  const running: { stop(): Promise<void> }[] = [];
  try {
    return await work({
      servers,
      usage,
      keep: async (started) => {
        const one = await started;
        running.unshift(one);
        return one;
      },
    });
  } finally {
    for (const one of running) await one.stop();
    await usage.close();
    await servers.stop();
  }
}

/** Warms each contestant up, then measures them by turns under each load. */
export async function contest(
  { usage }: Arena,
  contestants: readonly Contestant[],
  loads: readonly LoadPlan[],
  { rounds, seconds }: { readonly rounds: number; readonly seconds: number },
  say: Say,
): Promise<Measurement[]> {
  for (const contestant of contestants)
    await measured(contestant, connections(WARM_UP_CONNECTIONS), Math.min(seconds, WARM_UP_SECONDS), usage);
  const measurements: Measurement[] = [];
  for (const plan of loads)
    await interleaved(contestants, rounds, async (contestant, round) => {
      const figures = await measured(contestant, plan, seconds, usage);
      measurements.push({ load: plan.name, subject: contestant.name, round, figures });
      const lead = plan.fills ? 'completedPerSecond' : 'dispatchP99Ms';
      say(
        `round ${round + 1}, ${plan.name}, ${contestant.name}: ${FIGURES[lead].title} ${rounded(figures[lead] ?? Number.NaN)} ${FIGURES[lead].unit}`,
      );
    });
  return measurements;
}
