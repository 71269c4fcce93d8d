import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from './fault.js';

/** How a vendor behaves on an ordinary day: it takes its time, and now and then does something and never says so. */
export const ORDINARY_DAY = {
  latencyMs: 400,
  executeAndHang: 0.005,
  executeAndReset: 0.01,
  rateLimit: 0.02,
  unavailable: 0.01,
};

const BAD_DAYS: readonly Readonly<Record<string, number>>[] = [
  { executeAndReset: 0.5 },
  { executeAndHang: 0.3, drip: 0.2 },
  { serverError: 0.5, unavailable: 0.3 },
  { rateLimit: 0.9 },
  { garbage: 0.3, huge: 0.2, redirect: 0.3 },
  { pollError: 0.5, pollGarbage: 0.3, cancelError: 0.4, cancelReset: 0.3 },
];

/** Faults of vendors, and of clients: F15, F17. */
export const VENDOR_FAULTS: readonly Fault[] = [
  {
    id: 'F15',
    kind: 'vendor',
    title: 'a vendor that misbehaves',
    weight: 4,
    async run({ cluster, mode, random }) {
      const vendor = cluster.vendors.get(mode);
      const shares = random.pick(BAD_DAYS);
      await vendor?.behave({ ...ORDINARY_DAY, ...shares });
      await sleep(random.between(3000, 10_000));
      await vendor?.behave(ORDINARY_DAY);
      return { what: `vendor in mode ${mode}: ${JSON.stringify(shares)}`, heldUp: 'due' };
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
