import { randomUUID } from 'node:crypto';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { inArena } from '../arena.js';
import type { Measurement } from '../findings.js';
import { interleaved } from '../interleaved.js';
import type { Section } from '../section.js';

const QUEUE = 'raw';
const GROUP = 64;
const JOBS_AT_A_TIME = 64;
/** Seconds of one operation: they are simple, and steady after a moment. */
const MOST_SECONDS = 3;

interface Operation {
  readonly name: string;
  /** Calls under way at a time. */
  readonly inFlight: number;
  /** Done by one call. */
  readonly each: number;
  readonly call: () => Promise<unknown>;
}

/** What single steps cost on this machine: a ceiling for whatever is made of them. */
export const raw: Section = ({ rounds, seconds }, say) =>
  inArena(say, async ({ servers, usage }) => {
    const actions = usage.mongo
      .db('raw')
      .collection<{ _id: string }>('actions', { writeConcern: { w: 'majority' } });
    const document = () => ({
      _id: randomUUID(),
      name: 'BlockIp',
      status: 'NotStarted',
      createdAt: new Date(),
      parameters: [{ name: 'IP', value: '1.2.3.4' }],
      states: [{ status: 'NotStarted', at: new Date() }],
    });
    const connection = new Redis(servers.redisUrl, { maxRetriesPerRequest: null });
    const queue = new Queue(QUEUE, { connection, skipVersionCheck: true });
    const options = { removeOnComplete: true, removeOnFail: true };
    const operations: readonly Operation[] = [
      {
        name: 'insertOne majority, 1 in flight',
        inFlight: 1,
        each: 1,
        call: () => actions.insertOne(document()),
      },
      {
        name: 'insertOne majority, 64 in flight',
        inFlight: 64,
        each: 1,
        call: () => actions.insertOne(document()),
      },
      {
        name: 'insertMany of 64, 4 in flight: documents',
        inFlight: 4,
        each: GROUP,
        call: () => actions.insertMany(Array.from({ length: GROUP }, document), { ordered: false }),
      },
      {
        name: 'BullMQ add, 64 in flight',
        inFlight: 64,
        each: 1,
        call: () => queue.add('action', { id: randomUUID() }, options),
      },
    ];
    const measurements: Measurement[] = [];
    const noted = (load: string, round: number, perSecond: number): void => {
      measurements.push({ load, subject: 'raw', round, figures: { perSecond } });
      say(`round ${round + 1}, ${load}: ${perSecond.toFixed(0)} a second`);
    };
    const forMs = Math.min(seconds, MOST_SECONDS) * 1000;
    try {
      for (const operation of operations) await rateOf(operation, forMs / 4);
      await interleaved(operations, rounds, async (operation, round) => {
        noted(operation.name, round, await rateOf(operation, forMs));
        // What `add` left is what the worker gets.
        if (operation.name.startsWith('BullMQ'))
          noted(
            `BullMQ no-op jobs, ${JOBS_AT_A_TIME} at a time`,
            round,
            await jobsPerSecond(servers.redisUrl, queue),
          );
      });
    } finally {
      await queue.close();
      connection.disconnect();
    }
    return {
      title: 'Raw operations',
      note: 'What the single steps of a pipeline do on this machine, each alone: ceilings, not rivals.',
      measurements,
      comparisons: [],
      charts: ['perSecond'],
    };
  });

async function rateOf({ inFlight, each, call }: Operation, forMs: number): Promise<number> {
  const startedAt = performance.now();
  const until = startedAt + forMs;
  let done = 0;
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (performance.now() < until) {
        await call();
        done += each;
      }
    }),
  );
  return (done / (performance.now() - startedAt)) * 1000;
}

/** Works a queue off with jobs that do nothing. */
async function jobsPerSecond(url: string, queue: Queue): Promise<number> {
  const waiting = await queue.getWaitingCount();
  const connection = new Redis(url, { maxRetriesPerRequest: null });
  let done = 0;
  const startedAt = performance.now();
  const worker = new Worker(queue.name, () => Promise.resolve(), {
    connection,
    concurrency: JOBS_AT_A_TIME,
    skipVersionCheck: true,
  });
  await new Promise<void>((resolve, reject) => {
    worker.on('completed', () => {
      done += 1;
      if (done === waiting) resolve();
    });
    worker.on('error', reject);
  });
  const perSecond = (done / (performance.now() - startedAt)) * 1000;
  await worker.close();
  connection.disconnect();
  return perSecond;
}
