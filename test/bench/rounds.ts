import { setTimeout as sleep } from 'node:timers/promises';
import type mongoose from 'mongoose';
import type { Contestant } from './contestant.js';

const DRAIN_WITHIN_MS = 120_000;

/** Waits until a round's backlog is done: what it left over must not run in the next. */
export async function drained(client: mongoose.mongo.MongoClient, contestant: Contestant): Promise<void> {
  const until = performance.now() + DRAIN_WITHIN_MS;
  const actions = client.db(contestant.database).collection('actions');
  while ((await actions.countDocuments({ status: { $in: ['NotStarted', 'Running'] } })) > 0) {
    if (performance.now() > until) throw new Error(`${contestant.name} has not finished its backlog`);
    await sleep(200);
  }
}

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

/** To two places. */
export function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
