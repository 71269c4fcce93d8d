import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from './fault.js';

/** Faults of vendors, and of clients: F15, F17. */
export const VENDOR_FAULTS: readonly Fault[] = [
  {
    id: 'F15',
    kind: 'vendor',
    title: 'a vendor that misbehaves',
    weight: 4,
    async run({ cluster, mode, random }) {
      const vendor = cluster.vendors.get(mode);
      const day = await vendor?.badDay(random);
      await sleep(random.between(3000, 10_000));
      await vendor?.ordinaryDay();
      return { what: `vendor in mode ${mode}: ${day}`, heldUp: 'due' };
    },
  },
  {
    id: 'F17',
    kind: 'client',
    title: 'a storm of cancels: every action, twice',
    weight: 3,
    async run({ workload, random }) {
      workload.storm(true);
      const ms = random.between(4000, 10_000);
      await sleep(ms);
      workload.storm(false);
      return { what: `every action cancelled, twice, for ${ms} ms`, heldUp: 'none' };
    },
  },
];
