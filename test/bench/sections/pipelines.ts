import { contest, inArena, type Arena } from '../arena.js';
import { ACTIONS, startProduct, startYardstick, type Contestant } from '../contestant.js';
import type { Comparison, Goal, Measurement } from '../findings.js';
import { connections, trickle } from '../load.js';
import type { Section } from '../section.js';

const PRODUCT = 'riposte';
/** The same again: how far its ratio is from 1 is the noise of this machine. */
const CONTROL = 'riposte again';
const LIGHT = trickle(5);
const WAITING_SECONDS = 2;

/** The product beside pipelines written by hand for the same work. */
export const pipelines: Section = (options, say) =>
  inArena(say, async (arena) => {
    const { servers, keep } = arena;
    const contestants = [
      await keep(startProduct(servers, { name: PRODUCT, redisDb: 1 })),
      await keep(startYardstick(servers, 'minimal')),
      await keep(startYardstick(servers, 'grouped')),
      await keep(startProduct(servers, { name: CONTROL, redisDb: 2 })),
    ];
    const loads = [LIGHT, ...options.connections.map(connections)];
    const measurements = await contest(arena, contestants, loads, options, say);
    for (const contestant of contestants) measurements.push(await footprint(arena, contestant));
    return {
      title: 'Pipelines',
      note: 'Accept over HTTP, record, queue, run a no-op, record the end. One API and one worker process each. “riposte again” is the same server under another name: its ratio shows the noise.',
      measurements,
      comparisons: COMPARISONS,
      charts: ['completedPerSecond', 'acceptP99Ms', 'dispatchP99Ms'],
      goals: GOALS,
    };
  });

const COMPARISONS: readonly Comparison[] = [
  { of: PRODUCT, to: 'minimal' },
  { of: PRODUCT, to: 'grouped' },
  { of: CONTROL, to: PRODUCT },
];

const at = (count: number): string => connections(count).name;
const GOALS: readonly Goal[] = [
  {
    what: 'completed/s at 32 connections: 0.9 of minimal or more',
    anyOf: [{ load: at(32), figure: 'completedPerSecond', of: PRODUCT, to: 'minimal', least: 0.9 }],
  },
  {
    what: 'completed/s at 32 connections: 0.7 of grouped or more',
    anyOf: [{ load: at(32), figure: 'completedPerSecond', of: PRODUCT, to: 'grouped', least: 0.7 }],
  },
  {
    what: 'completed/s at 256 connections: 0.7 of grouped or more',
    anyOf: [{ load: at(256), figure: 'completedPerSecond', of: PRODUCT, to: 'grouped', least: 0.7 }],
  },
  {
    what: "accept p99 at 32 connections: not above minimal's",
    anyOf: [{ load: at(32), figure: 'acceptP99Ms', of: PRODUCT, to: 'minimal', most: 1 }],
  },
  {
    what: "dispatch p99 at light load: 50 ms or 3 times minimal's at most",
    anyOf: [
      { load: LIGHT.name, figure: 'dispatchP99Ms', of: PRODUCT, most: 50 },
      { load: LIGHT.name, figure: 'dispatchP99Ms', of: PRODUCT, to: 'minimal', most: 3 },
    ],
  },
  ...(['apiMiB', 'workerMiB'] as const).flatMap((figure) =>
    [32, 256].map((count) => ({
      what: `${figure === 'apiMiB' ? 'API' : 'worker'} at ${count} connections: 200 MiB at most`,
      anyOf: [{ load: at(count), figure, of: PRODUCT, most: 200 }],
    })),
  ),
];

/** What an action takes in the servers, done and waiting. The contestant has no worker afterwards. */
async function footprint({ usage }: Arena, contestant: Contestant): Promise<Measurement> {
  await contestant.stopWorkers();
  const before = await usage.redisBytes();
  const { latencies } = await connections(32).put(contestant, WAITING_SECONDS);
  const waitingRedisBytes = ((await usage.redisBytes()) - before) / latencies.length;
  const perRecord = await usage.perRecord(contestant.database, ACTIONS);
  return {
    load: 'at rest',
    subject: contestant.name,
    round: 0,
    figures: { ...perRecord, waitingRedisBytes },
  };
}
