import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { copyEdited, type EditedProduct } from '../support/edited-product.js';

/** No vendor's quota is kept to, and no tenant has its turn: starts have their lane, and no place in it. */
export const WITHOUT_SCHEDULER: EditedProduct = {
  name: 'without-scheduler',
  edits: [
    { file: 'apps/worker/main.js', find: 'new InstanceCalls({ permits, ', replace: 'new InstanceCalls({ ' },
    {
      file: 'apps/worker/main.js',
      find: 'registry,\n        permits,\n        calls,',
      replace: 'registry,\n        calls,',
    },
    {
      file: 'libs/queue/bull-action-queue.js',
      find: 'if (starts.length === 0)',
      replace:
        'for (const start of starts) places.set(start, FIRST_PLACE[lane]);\n            if (starts.length >= 0)',
    },
  ],
};

/** Nothing is brought into the audit record. */
export const WITHOUT_AUDIT: EditedProduct = {
  name: 'without-audit',
  edits: [{ file: 'apps/worker/main.js', find: 'chainer.start();', replace: '' }],
};

/** The product without what it has no switch for, so that what that costs can be measured. */
export const VARIANTS: readonly EditedProduct[] = [WITHOUT_SCHEDULER, WITHOUT_AUDIT];

/** A copy of it to run, at `root`, there until it is stopped. */
export async function copyOf(
  variant: EditedProduct,
): Promise<{ readonly root: string; stop(): Promise<void> }> {
  const dir = await mkdtemp(path.join(tmpdir(), `riposte-${variant.name}-`));
  const stop = () => rm(dir, { recursive: true, force: true });
  try {
    return { root: await copyEdited(variant, dir), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
