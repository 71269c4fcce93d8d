import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { inArena } from './arena.js';
import { startProduct } from './contestant.js';
import { connections } from './load.js';
import type { BenchOptions } from './options.js';
import { measured } from './round.js';
import type { Say } from './section.js';

/**
 * Writes CPU profiles (`.cpuprofile`, for Chrome's developer tools or VS Code) of the product's API and worker, from
 * their start to their end, with each load in turn between. Its figures are none: what profiles is slower.
 */
export async function profile(options: BenchOptions, say: Say): Promise<void> {
  const dir = path.join(options.out, 'profiles');
  await mkdir(dir, { recursive: true });
  await inArena(say, async ({ servers, usage, keep }) => {
    const product = await keep(startProduct(servers, { profiles: dir }));
    for (const count of options.connections) {
      const plan = connections(count);
      say(`profiling at ${plan.name}`);
      await measured(product, plan, options.seconds, usage);
    }
  });
  say(`Profiles: ${path.join(dir, 'api.cpuprofile')}, ${path.join(dir, 'worker.cpuprofile')}`);
}
