import type mongoose from 'mongoose';
import {
  begunAt,
  type Attempt,
  type CancelWish,
  type Intent,
  type RecentCall,
  type RecentCalls,
} from '#domain';
import { ACTIONS, CHANGED_INDEX, type ActionDocument } from './action-document.js';
import type { ServerClock } from './server-clock.js';
import { repeatedRead } from './write-retry.js';

const BUDGET_MS = 15_000;
/** Milliseconds between two polls of one operation, at the most often that a plugin's default is. */
const POLL_MS = 1000;
/** Polls that are reckoned of one action, at most: the quota's own share of them keeps them fewer. */
const MOST_POLLS = 200;

interface CallFacts {
  readonly actionName: string;
  readonly intent: Intent | null;
  readonly attempts: readonly Attempt[];
  readonly cancel: CancelWish | null;
  readonly completedAt?: Date | null;
}

/**
 * `RecentCalls` from the actions' own records. An action that is followed at the vendor leaves no record of each poll:
 * those are reckoned upwards, one a second while it was under way.
 */
export class MongoRecentCalls implements RecentCalls {
  readonly #actions: mongoose.mongo.Collection<ActionDocument>;
  readonly #clock: ServerClock;

  constructor(db: mongoose.mongo.Db, clock: ServerClock) {
    this.#actions = db.collection<ActionDocument>(ACTIONS);
    this.#clock = clock;
  }

  async recentCalls(instance: string, withinMs: number): Promise<readonly RecentCall[]> {
    return repeatedRead(BUDGET_MS, async () => {
      const now = this.#clock.now();
      const since = new Date(now.getTime() - withinMs);
      const fields = { projection: { actionName: 1, intent: 1, attempts: 1, cancel: 1, completedAt: 1 } };
      const calls: RecentCall[] = [];
      // Which tenants there are stands in the index: no record is read for it.
      const tenants = await this.#actions.distinct('tenantId');
      const ended = this.#actions
        .find(
          { tenantId: { $in: tenants }, lastActionAt: { $gte: since }, instance, open: { $exists: false } },
          fields,
        )
        .hint(CHANGED_INDEX);
      for await (const action of ended) calls.push(...callsOf(action, since, now));
      const open = this.#actions
        .find({ open: true, nextAt: { $ne: null }, instance, status: 'Running' }, fields)
        .hint({ nextAt: 1, _id: 1 });
      for await (const action of open) calls.push(...callsOf(action, since, now));
      return calls;
    });
  }
}

function callsOf(
  { actionName, intent, attempts, cancel, completedAt }: CallFacts,
  since: Date,
  now: Date,
): RecentCall[] {
  // An intent stays on record when its attempt has ended, and is then the same call.
  const begun =
    intent !== null && attempts.every(({ number }) => number !== intent.attempt) ? begunAt(intent) : null;
  const issued = [
    ...attempts.map(({ startedAt, endedAt }) => ({ from: startedAt, to: endedAt })),
    ...(begun === null ? [] : [{ from: begun, to: completedAt ?? now }]),
  ];
  const calls: RecentCall[] = [];
  for (const { from, to } of issued) {
    // The vendor may have seen it at any time until it ended; from a second on the polls stand for that.
    const at = new Date(Math.min(to.getTime(), from.getTime() + POLL_MS));
    calls.push({ actionName, at, purpose: 'start' });
    const polls = Math.min(MOST_POLLS, Math.floor((to.getTime() - from.getTime()) / POLL_MS));
    for (let poll = 0; poll < polls; poll += 1)
      calls.push({ actionName, at: new Date(to.getTime() - poll * POLL_MS), purpose: 'poll' });
  }
  if (cancel?.outcome != null) calls.push({ actionName, at: cancel.at, purpose: 'urgent' });
  return calls.filter(({ at }) => at >= since);
}
