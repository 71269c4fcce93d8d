import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';
import type { MongoMember } from '#embedded-servers';
import type { Fault } from './fault.js';

/** Faults of MongoDB: F9, F10. */
export const MONGODB_FAULTS: readonly Fault[] = [
  {
    id: 'F9',
    kind: 'mongo',
    title: 'the primary of MongoDB killed, frozen, or stepping down',
    weight: 5,
    async run({ cluster, random, open, heldUp }) {
      const primary = await cluster.mongo.primary();
      const how = random.pick(['kill -9', 'SIGSTOP', 'replSetStepDown']);
      // It heals by itself, by an election: what counts is how long that holds up what is under way.
      heldUp(open.ids);
      switch (how) {
        case 'kill -9':
          await primary.kill();
          await sleep(random.between(1000, 6000));
          await primary.restart();
          break;
        case 'SIGSTOP':
          primary.signal('SIGSTOP');
          await sleep(random.between(5000, 15_000));
          primary.signal('SIGCONT');
          break;
        default:
          await stepDown(primary);
          await sleep(1000);
      }
      await cluster.mongo.primary();
      return { what: `${how} of MongoDB's primary`, heldUp: 'none' };
    },
  },
  {
    id: 'F10',
    kind: 'mongo',
    title: 'the majority of MongoDB lost',
    weight: 1,
    async run({ cluster, random }) {
      const [first, second] = cluster.mongo.members;
      if (first === undefined || second === undefined) throw new Error('three members are needed');
      await Promise.all([first.kill(), second.kill()]);
      const ms = random.between(8000, 20_000);
      await sleep(ms);
      await Promise.all([first.restart(), second.restart()]);
      await cluster.mongo.primary();
      return { what: `two of three members of MongoDB away for ${ms} ms`, heldUp: 'due' };
    },
  },
];

async function stepDown(member: MongoMember): Promise<void> {
  const client = new mongoose.mongo.MongoClient(`mongodb://127.0.0.1:${member.port}/?directConnection=true`, {
    serverSelectionTimeoutMS: 2000,
  });
  try {
    await client.db('admin').command({ replSetStepDown: 10, secondaryCatchUpPeriodSecs: 5 });
  } catch {
    // It closes connections as it steps down, and refuses when no other can take over: then it stays.
  } finally {
    await client.close();
  }
}
