import { contest, inArena } from '../arena.js';
import { startProduct } from '../contestant.js';
import { connections } from '../load.js';
import type { Section } from '../section.js';
import { WITHOUT_SCHEDULER, copyOf } from '../variants.js';

/**
 * What the scheduler costs where it has nothing to hold back: the product with its permits and fair places beside the
 * same product without, at a mock that limits nothing.
 */
export const scheduler: Section = (options, say) =>
  inArena(say, async (arena) => {
    const { root } = await arena.keep(copyOf(WITHOUT_SCHEDULER));
    const start = (name: string, redisDb: number, more: { readonly root?: string } = {}) =>
      arena.keep(startProduct(arena.servers, { name, redisDb, ...more }));
    const contestants = [await start('on', 1), await start('off', 2, { root }), await start('on again', 3)];
    return {
      title: 'Scheduler',
      note: 'The product with its permits and fair places, over the same without; “on again” is the same under another name.',
      measurements: await contest(arena, contestants, options.connections.map(connections), options, say),
      comparisons: [
        { of: 'on', to: 'off' },
        { of: 'on again', to: 'on' },
      ],
      charts: ['completedPerSecond'],
    };
  });
