import { randomUUID } from 'node:crypto';
import { Queue, type Job } from 'bullmq';
import type { Redis } from 'ioredis';
import type { ActionQueue, DueTime, Hint, HintPlace, QueuePlaces, SecurityAction } from '#domain';
import { grouped } from '#grouping';
import { withSpan } from '#telemetry';
import { infoOf } from './redis-info.js';
import {
  PREFIX,
  URGENT_SUFFIX,
  promptConnection,
  type OnConnectionError,
  type RedisAddress,
} from './redis-connection.js';
import { tryWrite } from './try-write.js';
import { succeedsWithin } from './within.js';

/** Where a running action's cancel is announced to all workers. */
export const CANCEL_CHANNEL = `${PREFIX}:cancel`;

/** Holds a random value that is made anew when the data was lost. */
const INCARNATION_KEY = `${PREFIX}:incarnation`;

/**
 * Milliseconds a hint may take. BullMQ's `add` waits for ever on a Redis that is away while the queue is
 * constructed, or frozen; the sweep does what a hint did not.
 */
const HINT_BUDGET_MS = 300;

/**
 * Entries BullMQ keeps in a queue's stream of events, about; its own 10,000 are a megabyte or two of Redis' memory a
 * queue. Nobody reads them but a developer with a `QueueEvents` at hand: what happened stands in MongoDB.
 */
const MOST_EVENTS = 200;

/** BullMQ takes jobs without a priority first (cancels), and those with one by it, then by age. */
const RELEASE_START = 1;
const BEGUN = 2;

/** Priorities of a lane's starts: one place after the other in each tenant's own order. BullMQ has 2,097,152. */
const LANE_PLACES = 1_000_000;
const FIRST_PLACE = { containment: 1, routine: 1 + LANE_PLACES } as const;

/**
 * Fair queueing of starts (start-time fair queueing, Goyal, Vin and Cheng 1997): each tenant's hints of a lane stand one
 * after the other, beginning where the lane is now, so that lanes of several tenants are taken by turns. Places begin
 * anew when nothing waits and nothing is in hand, for what is in hand may come back to its place; where that never
 * happens, once half of them are used and nothing waits. At the last place those that come are taken as they come.
 * KEYS: the waiting starts, the tenants' last places, those in hand. ARGV: first place, number of places, the jobs'
 * prefix, then tenant and job id of each. Returns each job's priority; 0: it is there.
 */
const PLACES = `
local first, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local head = redis.call('ZRANGEBYSCORE', KEYS[1], first * 4294967296, '(' .. string.format('%.0f', (first + count) * 4294967296), 'WITHSCORES', 'LIMIT', 0, 1)
local now = 0
if head[2] then
  now = math.floor(tonumber(head[2]) / 4294967296) - first
else
  for _, last in ipairs(redis.call('HVALS', KEYS[2])) do now = math.max(now, tonumber(last)) end
  if now > count / 2 or redis.call('LLEN', KEYS[3]) == 0 then
    now = 0
    redis.call('DEL', KEYS[2])
  end
end
local places = {}
for i = 4, #ARGV, 2 do
  if redis.call('EXISTS', ARGV[3] .. ARGV[i + 1]) == 1 then
    places[#places + 1] = 0
  else
    local last = tonumber(redis.call('HGET', KEYS[2], ARGV[i]) or '-1')
    local place = math.min(math.max(now, last + 1), count - 1)
    redis.call('HSET', KEYS[2], ARGV[i], place)
    places[#places + 1] = first + place
  end
end
redis.call('PEXPIRE', KEYS[2], 86400000)
return places
`;

/** What stands in a job: ids and times only, for Redis holds it in clear text. */
export interface HintJob {
  readonly actionId: string;
  /** There when the vendor is to be asked how far it is. */
  readonly polls?: true;
  /** Milliseconds of the epoch from which on the vendor is to be told to stop it. */
  readonly stopAt?: number;
}

/**
 * `ActionQueue` on BullMQ: per provider instance a queue of starts, and one of what goes before them. A job is a hint: its id is `<action>-e<epoch>`,
 * it is tried once and removed whatever becomes of it. (A kept job of the same id would swallow the next hint
 * without an error.)
 */
export class BullActionQueue implements ActionQueue, QueuePlaces {
  readonly #redis: Redis;
  readonly #queues: ReadonlyMap<string, Queue<HintJob>>;
  readonly #add: ReadonlyMap<string, (job: NewJob) => Promise<unknown>>;

  constructor(redis: RedisAddress, instances: readonly string[], onError: OnConnectionError) {
    this.#redis = promptConnection(redis, onError);
    this.#queues = new Map(
      instances
        .flatMap((instance) => [instance, `${instance}${URGENT_SUFFIX}`])
        .map((name) => {
          const queue = new Queue<HintJob>(name, {
            connection: this.#redis,
            prefix: PREFIX,
            streams: { events: { maxLen: MOST_EVENTS } },
            skipVersionCheck: true,
            skipWaitingForReady: true,
          });
          queue.on('error', onError);
          return [name, queue];
        }),
    );
    // The scripts find the bound in the queue's metadata. BullMQ writes those once, when a queue is constructed: that
    // fails without a word, for a prompt connection is not ready then. (After a flush its 10,000 hold for a while.)
    this.#redis.on('ready', () => {
      for (const queue of this.#queues.values()) queue.backend.setQueueMeta(queue.metaValues).catch(onError);
    });
    this.#add = new Map(
      [...this.#queues].map(([name, queue]) => [
        name,
        grouped((jobs: readonly NewJob[]) => this.#addTogether(queue, jobs)),
      ]),
    );
  }

  async hint(hint: Hint, due?: DueTime): Promise<boolean> {
    const queue = queueOf(hint);
    const add = this.#add.get(queue);
    // An instance that was taken out of the configuration has no queue; the sweep closes its actions in time.
    if (add === undefined) return false;
    const attributes = {
      'messaging.system': 'bullmq',
      'messaging.operation.type': 'send',
      'messaging.operation.name': 'add',
      'messaging.destination.name': queue,
      'riposte.action.id': hint.actionId,
    };
    return withSpan('enqueue', { kind: 'producer', attributes }, async (span) => {
      const added = await succeedsWithin(HINT_BUDGET_MS, add(jobOf(hint, due)));
      if (!added) span.failed('notAdded');
      return added;
    });
  }

  async hintMany(hints: readonly Hint[]): Promise<boolean> {
    const added = await Promise.all(
      [...this.#queues].map(([name, queue]) => {
        const jobs = hints.filter((hint) => queueOf(hint) === name).map((hint) => jobOf(hint));
        return jobs.length === 0
          ? Promise.resolve(true)
          : succeedsWithin(HINT_BUDGET_MS * 3, this.#addTogether(queue, jobs));
      }),
    );
    return added.every(Boolean);
  }

  async incarnation(): Promise<string | null> {
    let found: string | null = null;
    const answered = await succeedsWithin(
      HINT_BUDGET_MS * 3,
      (async () => {
        found = await this.#redis.get(INCARNATION_KEY);
        if (found !== null) return;
        // Several may notice at once: one of them names it, all of them read the name.
        await this.#redis.set(INCARNATION_KEY, randomUUID(), 'NX');
        found = await this.#redis.get(INCARNATION_KEY);
      })(),
    );
    return answered ? found : null;
  }

  async ahead(instance: string, actionId: string): Promise<number | null> {
    let place: number | null = null;
    await succeedsWithin(
      HINT_BUDGET_MS,
      (async () => {
        // What lets go is in the queue that goes first.
        for (const name of [instance, `${instance}${URGENT_SUFFIX}`]) {
          place ??= await this.#redis.zrank(
            `${PREFIX}:${name}:prioritized`,
            `${actionId}-${SUFFIXES.first(0)}`,
          );
        }
      })(),
    );
    return place;
  }

  async hintOf({
    id,
    instance,
    epoch,
  }: Pick<SecurityAction, 'id' | 'instance' | 'epoch'>): Promise<HintPlace | null> {
    // While it is looked at it may have been claimed under the epoch after that of its hint.
    const suffixes = [
      SUFFIXES.cancel(),
      ...[epoch, epoch - 1].flatMap((one) => [SUFFIXES.first(one), SUFFIXES.again(one)]),
    ];
    const places = [instance, `${instance}${URGENT_SUFFIX}`].flatMap((queue) =>
      suffixes.map((suffix) => ({ queue, id: `${id}-${suffix}` })),
    );
    let found: HintPlace | null = null;
    await succeedsWithin(
      HINT_BUDGET_MS,
      (async () => {
        const there = await Promise.all(
          places.map((place) => this.#redis.exists(`${PREFIX}:${place.queue}:${place.id}`)),
        );
        found = places[there.indexOf(1)] ?? null;
      })(),
    );
    return found;
  }

  announceCancel(actionId: string): Promise<boolean> {
    return succeedsWithin(HINT_BUDGET_MS, this.#redis.publish(CANCEL_CHANNEL, actionId));
  }

  /** What is wrong with Redis, one line each; empty when it answers and keeps what it is given. */
  async problems(): Promise<readonly string[]> {
    const written = await tryWrite(this.#redis, 1000);
    if (written !== 'written') return [written === null ? 'redis' : `redis: refuses writes (${written})`];
    try {
      // A managed Redis, or one with users of few rights, refuses CONFIG.
      const policy = (await infoOf(this.#redis, 'memory')).get('maxmemory_policy') ?? 'noeviction';
      return policy === 'noeviction' ? [] : [`redis: maxmemory-policy is ${policy}, it has to be noeviction`];
    } catch {
      // INFO is refused, too; then nothing can be said.
      return [];
    }
  }

  /** Adds a group, each start at its place. What is there is left as it is. */
  async #addTogether(
    queue: Queue<HintJob>,
    jobs: readonly NewJob[],
  ): Promise<readonly (Job<HintJob> | null)[]> {
    const places = new Map<NewJob, number>();
    for (const lane of ['containment', 'routine'] as const) {
      const starts = jobs.filter((job) => job.lane === lane);
      if (starts.length === 0) continue;
      const given = (await this.#redis.eval(
        PLACES,
        3,
        `${PREFIX}:${queue.name}:prioritized`,
        `${PREFIX}:${queue.name}:places:${lane}`,
        `${PREFIX}:${queue.name}:active`,
        FIRST_PLACE[lane],
        LANE_PLACES,
        `${PREFIX}:${queue.name}:`,
        ...starts.flatMap(({ tenantId, job }) => [tenantId, job.opts.jobId]),
      )) as readonly number[];
      for (const [index, start] of starts.entries()) places.set(start, given[index] ?? 0);
    }
    const added = jobs.filter((job) => places.get(job) !== 0);
    const made = await queue.addBulk(
      added.map((job) => {
        const priority = places.get(job) ?? job.priority;
        return { ...job.job, opts: { ...job.job.opts, ...(priority > 0 ? { priority } : {}) } };
      }),
    );
    return jobs.map((job) => made[added.indexOf(job)] ?? null);
  }

  /** The queues for a dashboard to show; `goesFirst` is that of what goes before an instance's starts. */
  dashboardQueues(): readonly {
    readonly queue: Queue;
    readonly instance: string;
    readonly goesFirst: boolean;
  }[] {
    return [...this.#queues].map(([name, queue]) => {
      const goesFirst = name.endsWith(URGENT_SUFFIX);
      return { queue, goesFirst, instance: goesFirst ? name.slice(0, -URGENT_SUFFIX.length) : name };
    });
  }

  async close(): Promise<void> {
    await succeedsWithin(1000, Promise.all([...this.#queues.values()].map((queue) => queue.close())));
    this.#redis.disconnect();
  }
}

type NewJob = ReturnType<typeof jobOf>;

const SUFFIXES = {
  cancel: () => 'c',
  again: (epoch: number) => `e${epoch}s`,
  first: (epoch: number) => `e${epoch}`,
};

/** What has begun goes before what has not: a takeover or a cancel does not wait behind a backlog. */
function isUrgent({ kind, lane, epoch }: Hint): boolean {
  return kind === 'cancel' || epoch > 0 || lane === 'release';
}

function queueOf(hint: Hint): string {
  return isUrgent(hint) ? `${hint.instance}${URGENT_SUFFIX}` : hint.instance;
}

function jobOf(hint: Hint, due?: DueTime) {
  const suffix = SUFFIXES[hint.kind ?? 'first'](hint.epoch);
  return {
    tenantId: hint.tenantId,
    /** Null: it is no start that stands in a lane's order. */
    lane: isUrgent(hint) || hint.lane === 'release' ? null : hint.lane,
    /** Where it has no place in a lane; 0: before all others. */
    priority: hint.kind === 'cancel' ? 0 : hint.epoch > 0 ? BEGUN : RELEASE_START,
    job: {
      name: hint.actionName,
      data: {
        actionId: hint.actionId,
        ...(hint.polls === true ? { polls: true as const } : {}),
        ...(hint.stopAt == null ? {} : { stopAt: hint.stopAt.getTime() }),
      },
      opts: {
        jobId: `${hint.actionId}-${suffix}`,
        attempts: 1,
        removeOnComplete: true,
        removeOnFail: true,
        // Reckoned from the database's clock, not from this process's, which BullMQ would take: a job that a wrong
        // clock put minutes off would swallow the hints of those whose clocks are right.
        ...(due !== undefined && due.inMs > 0
          ? { delay: Math.round(due.inMs), timestamp: Math.round(due.at.getTime() - due.inMs) }
          : {}),
      },
    },
  };
}
