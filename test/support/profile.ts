import type mongoose from 'mongoose';

/** How the database carried out a read. */
export interface Profile {
  readonly command: Command;
  readonly docsExamined: number;
  readonly keysExamined: number;
  readonly stages: readonly Stage[];
}

export interface Stage {
  readonly stage: string;
  readonly keyPattern?: Readonly<Record<string, 1 | -1>>;
  /** Of a COUNT_SCAN `startKey` and `endKey`, else by field. */
  readonly indexBounds?: Readonly<Record<string, unknown>>;
}

type Command = Readonly<Record<string, unknown>>;
interface Entry extends Omit<Profile, 'stages'> {
  readonly execStats?: object;
}

/** Bytes of the profiler's collection: room for hundreds of queries. */
const PROFILE_BYTES = 32 * 1024 * 1024;

/** Runs `work` and says how the database carried out each of its reads of a collection, in order. */
export async function profiled(
  db: mongoose.mongo.Db,
  work: () => Promise<unknown>,
  collection = 'actions',
): Promise<Profile[]> {
  await db.dropCollection('system.profile').catch(() => undefined);
  await db.createCollection('system.profile', { capped: true, size: PROFILE_BYTES });
  await db.setProfilingLevel('all');
  try {
    await work();
  } finally {
    await db.setProfilingLevel('off');
  }
  const entries = await db
    .collection<Entry>('system.profile')
    .find({ ns: `${db.databaseName}.${collection}`, op: { $in: ['query', 'command'] } })
    .sort({ $natural: 1 })
    .toArray();
  return Promise.all(
    entries.map(async ({ command, docsExamined, keysExamined, execStats }) => ({
      command,
      docsExamined,
      keysExamined,
      // The profiler does not tell the stages of an aggregation.
      stages: stagesIn(execStats ?? (await explained(db, command))),
    })),
  );
}

function explained(db: mongoose.mongo.Db, command: Command): Promise<object> {
  const { aggregate, pipeline, hint } = command;
  return db.command({ explain: { aggregate, pipeline, hint, cursor: {} }, verbosity: 'queryPlanner' });
}

/** Every stage of a plan that was chosen, wherever in an explanation it stands. */
function stagesIn(part: unknown): readonly Stage[] {
  if (typeof part !== 'object' || part === null) return [];
  const below = Object.entries(part).flatMap(([name, value]) =>
    name === 'rejectedPlans' ? [] : stagesIn(value),
  );
  return 'stage' in part && typeof part.stage === 'string' ? [part as Stage, ...below] : below;
}

/** The bounds of a field in the scan of an index, as text: `[from, to]` for each range. */
export function boundsOf({ stage, indexBounds = {} }: Stage, field: string): string {
  if (stage !== 'COUNT_SCAN') return String(indexBounds[field]);
  const [from, to] = ['startKey', 'endKey'].map(
    (key) => (indexBounds[key] as Record<string, unknown>)[field],
  );
  return `[${JSON.stringify(from)}, ${JSON.stringify(to)}]`;
}
