import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from './fault.js';
import { whyNoSmallDisks } from './small-disk.js';

const CHUNK = Buffer.alloc(1024 * 1024);

/** Faults of disks: F18. Only when asked for, for it needs file systems of its own. */
export const DISK_FAULTS: readonly Fault[] = [
  {
    id: 'F18',
    kind: 'mongo',
    title: 'the disk of Redis or of a member of MongoDB full',
    weight: 0,
    impossible: whyNoSmallDisks,
    async run({ cluster, random }) {
      const { smallDisks } = cluster;
      const disk = random.pick(smallDisks);
      const filler = path.join(disk, 'filler');
      await fill(filler);
      await sleep(random.between(4000, 10_000));
      await rm(filler, { force: true });
      // A mongod that cannot write its journal ends itself; its service manager starts it again.
      for (const member of cluster.mongo.members) if (!member.running) await member.restart();
      if (!cluster.redis.running) await cluster.redis.restart();
      await cluster.mongo.primary();
      return { what: `no space left on ${path.basename(disk)}`, heldUp: 'due' };
    },
  },
];

async function fill(file: string): Promise<void> {
  const handle = await open(file, 'w');
  try {
    for (;;) await handle.write(CHUNK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    await handle.close();
  }
}
