import { contest, inArena } from '../arena.js';
import { startProduct, type Contestant } from '../contestant.js';
import type { Findings, Measurement } from '../findings.js';
import { connections } from '../load.js';
import type { Section } from '../section.js';

const ONE = '1 API, 1 worker';
const SIZES = [
  { name: ONE, apis: 1, workers: 1 },
  // The control.
  { name: `${ONE} again`, apis: 1, workers: 1 },
  { name: '1 API, 2 workers', apis: 1, workers: 2 },
  { name: '1 API, 4 workers', apis: 1, workers: 4 },
  { name: '2 APIs, 1 worker', apis: 2, workers: 1 },
  { name: '2 APIs, 2 workers', apis: 2, workers: 2 },
] as const;

/** What more processes of the product bring on one machine: at most what its cores allow. */
export const processes: Section = (options, say) =>
  inArena(say, async (arena): Promise<Findings> => {
    const contestants: Contestant[] = [];
    for (const [index, size] of SIZES.entries())
      contestants.push(await arena.keep(startProduct(arena.servers, { ...size, redisDb: index + 1 })));
    const measurements: Measurement[] = await contest(
      arena,
      contestants,
      options.connections.filter((count) => count > 1).map(connections),
      options,
      say,
    );
    return {
      title: 'More processes',
      note: 'The product with more API and worker processes, on the same servers and cores, over one of each; “again” is the same under another name. CPU is that of all processes of a kind, RSS that of the largest.',
      measurements,
      comparisons: SIZES.slice(1).map(({ name }) => ({ of: name, to: ONE })),
      charts: ['completedPerSecond', 'acceptedPerSecond'],
    };
  });
