import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { CallPurpose, PermitRequest, RateWindow, RecentCall } from '#domain';
import { grouped } from '#grouping';
import { PREFIX, URGENT_SUFFIX } from './redis-connection.js';
import { succeedsWithin } from './within.js';

/** Milliseconds Redis may take to answer before this process keeps to its own share. */
const WAIT_MS = 300;
/**
 * Milliseconds a call that was begun counts as under way if nobody says that it ended: longer than a call takes that
 * `vendorHttp` makes. Then whoever made it has died, and it counts as of that time.
 */
const UNDER_WAY_MS = 90_000;
/** Milliseconds one process has for rebuilding what was lost before another tries. */
const REBUILD_MS = 20_000;
/** Milliseconds to come back in while another process rebuilds. */
const REBUILDING_AGAIN_MS = 250;
/** Milliseconds after which a process that is alone is asked again at the latest: Redis may be back. */
const ALONE_AGAIN_MS = 1000;
/** Milliseconds between tries to enter what was called alone. */
const ENTER_AGAIN_MS = 250;
/**
 * Milliseconds from Redis' first answer until this process takes from it: by then the others have entered what they
 * called alone. Where the connection was lost, theirs may be tried again as late as two seconds after ours.
 */
const UNANSWERED_TOGETHER_MS = 750;
const CLOSED_TOGETHER_MS = 2500;
/** Shares of what starts may use. */
const POLLS = 1 / 2;
const QUESTIONS = 1 / 4;
const QUESTIONS_OF_TENANT = 1 / 8;
/** Calls that one script enters. */
const ENTERED_TOGETHER = 500;

/** A provider instance's quota at its vendor. */
export interface Quota {
  readonly instance: string;
  readonly windows: readonly RateWindow[];
  /** Share of each window that only urgent calls may use: 0 … 0.9. */
  readonly reserve: number;
}

/** What taking came to. */
export type Taken =
  | { readonly kind: 'taken'; readonly ids: readonly string[] }
  | { readonly kind: 'wait'; readonly waitMs: number };

export interface WindowState extends RateWindow {
  readonly left: number;
  readonly nextFreeMs: number;
}

/** One window as the script sees it: where its calls are counted, and how many this purpose may have there. */
interface Bound {
  readonly key: string;
  readonly calls: number;
  readonly perMs: number;
}

/**
 * All or nothing. Each call is an entry in a sorted set, by the time at which it last counts: its end, or while it is
 * under way a time ahead. Whatever the network does to it in between, the vendor then never sees more than a window
 * holds. KEYS: the instance's facts, then the sets. ARGV: now (empty: Redis' clock), generation and sequence known to
 * the caller, milliseconds under way, `urgent` or nothing, number of ids, the ids, then of each bound: index of its set, calls,
 * milliseconds. The last of KEYS: the waiting hints of what goes before starts.
 * Returns {1, generation, sequence}, {0, milliseconds to wait} or {-1}: the entries have to be rebuilt first.
 */
const TAKE = `
local now = tonumber(ARGV[1])
if now == nil then local t = redis.call('TIME') now = t[1] * 1000 + math.floor(t[2] / 1000) end
local generation = redis.call('HGET', KEYS[1], 'generation')
local sequence = tonumber(redis.call('HGET', KEYS[1], 'sequence') or '0')
-- One that lets go and has to come back keeps its turn before starts, also while the entries are rebuilt.
local function keepTurn()
  if ARGV[5] == 'urgent' then redis.call('HSET', KEYS[1], 'urgentUntil', now + 3000) end
end
if not generation or (generation == ARGV[2] and sequence < tonumber(ARGV[3])) then
  keepTurn()
  return { -1 }
end
local count = tonumber(ARGV[6])
local wait = 0
-- What lets go waits in hand for its permit, or to be taken up: nothing else goes before it.
if ARGV[5] ~= 'urgent' then
  local untilTime = tonumber(redis.call('HGET', KEYS[1], 'urgentUntil') or '0')
  if untilTime > now and untilTime < now + 10000 then return { 0, math.ceil(untilTime - now) } end
  if redis.call('ZCOUNT', KEYS[#KEYS], 4294967296, 8589934591) > 0 then return { 0, 20 } end
end
for i = 7 + count, #ARGV, 3 do
  local key, most, per = KEYS[tonumber(ARGV[i])], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local used = redis.call('ZCOUNT', key, '(' .. (now - per), '+inf')
  local over = used + math.min(count, most) - most
  if over > 0 then
    local last = redis.call('ZRANGEBYSCORE', key, '(' .. (now - per), '+inf', 'WITHSCORES', 'LIMIT', over - 1, 1)
    -- One that is under way may end now, and leaves the window a window after that.
    wait = math.max(wait, math.min(tonumber(last[2]), now) + per - now)
  end
end
if wait > 0 then
  keepTurn()
  return { 0, math.ceil(wait) }
end
local entries = {}
for i = 1, count do
  entries[#entries + 1] = now + tonumber(ARGV[4])
  entries[#entries + 1] = ARGV[6 + i]
end
for i = 2, #KEYS - 1 do redis.call('ZADD', KEYS[i], unpack(entries)) end
sequence = redis.call('HINCRBY', KEYS[1], 'sequence', 1)
return { 1, generation, sequence }
`;

/**
 * The calls have ended (now they count from here on) or were not made. One that took longer than a call counts as under
 * way may be gone from its sets: it is entered again. KEYS: the sets. ARGV: now, milliseconds of the longest window,
 * number of made ids, each made id with a digit for each set ('1': it counts there), then the others.
 */
const SETTLE = `
local now = tonumber(ARGV[1])
if now == nil then local t = redis.call('TIME') now = t[1] * 1000 + math.floor(t[2] / 1000) end
local longest, made = tonumber(ARGV[2]), tonumber(ARGV[3])
for k = 1, #KEYS do
  for i = 4, 2 + 2 * made, 2 do
    if string.sub(ARGV[i + 1], k, k) == '1' then redis.call('ZADD', KEYS[k], now, ARGV[i]) end
  end
  for i = 4 + 2 * made, #ARGV do redis.call('ZREM', KEYS[k], ARGV[i]) end
  redis.call('ZREMRANGEBYSCORE', KEYS[k], '-inf', now - longest)
  redis.call('PEXPIRE', KEYS[k], longest * 2 + 86400000)
end
`;

/** KEYS: facts, a set. ARGV: generation to begin ('': it stays), then score and id of each. */
const LOAD = `
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'sequence', '0')
  return
end
for i = 2, #ARGV, 2 do redis.call('ZADD', KEYS[2], ARGV[i], ARGV[i + 1]) end
`;

/**
 * Calls that were made without Redis, in all their sets at once. KEYS: the sets. ARGV: score, id, and a digit for each
 * set of each call. What is there already (it ended meanwhile) keeps its later time.
 */
const ENTER = `
for i = 1, #ARGV, 3 do
  for k = 1, #KEYS do
    if string.sub(ARGV[i + 2], k, k) == '1' then redis.call('ZADD', KEYS[k], 'GT', ARGV[i], ARGV[i + 1]) end
  end
end
`;

export interface QuotaWindowsOptions {
  readonly redis: Redis;
  readonly quotas: readonly Quota[];
  readonly recentCalls: (instance: string, withinMs: number) => Promise<readonly RecentCall[]>;
  /** How many processes share a quota while they cannot reach each other. */
  readonly workers: () => number;
  /** Milliseconds. Default: Redis' own clock. For a simulated time. */
  readonly now?: () => number;
  readonly onProblem: (instance: string, problem: string | null) => void;
}

/** The windows of vendors' quotas: exact, sliding, shared by all processes through Redis. */
export class QuotaWindows {
  readonly #options: QuotaWindowsOptions;
  readonly #quotas: ReadonlyMap<string, Quota>;
  /** What this process knows of each instance's data: a Redis that knows less has lost some. */
  readonly #known = new Map<string, { generation: string; sequence: number }>();
  /** Calls of this process alone while Redis was away, by instance: not yet entered there. */
  readonly #alone = new Map<string, LocalCall[]>();
  /** What counted when Redis went away, by instance, whoever called; there while this process is alone. */
  readonly #before = new Map<string, PastCall[] | 'reading'>();
  /** Calls under way that Redis knows of, by id. */
  readonly #underWay = new Map<string, { readonly instance: string; readonly keys: readonly string[] }>();
  readonly #settle: (ended: Settled) => Promise<void>;
  /** When all that was called alone may be taken for entered, by `performance.now()`; null: Redis does not answer. */
  #togetherAt: number | null = 0;
  /** What is added to the time of its first answer then. */
  #togetherInMs = UNANSWERED_TOGETHER_MS;
  #isEntering = false;

  constructor(options: QuotaWindowsOptions) {
    this.#options = options;
    this.#quotas = new Map(
      options.quotas.filter(({ windows }) => windows.length > 0).map((quota) => [quota.instance, quota]),
    );
    this.#settle = grouped(async (ended: readonly Settled[]) => {
      await Promise.all(
        [...new Set(ended.map(({ instance }) => instance))].map((instance) =>
          this.#settleTogether(
            instance,
            ended.filter((one) => one.instance === instance),
          ),
        ),
      );
      return ended.map(() => undefined);
    });
    options.redis.on('close', () => {
      this.#togetherAt = null;
      this.#togetherInMs = CLOSED_TOGETHER_MS;
    });
  }

  /** True when the instance's calls are limited at all. */
  limits(instance: string): boolean {
    return this.#quotas.has(instance);
  }

  /**
   * Takes all the calls that are asked for, or none. Never throws.
   * @param goesOn it is for more calls of what was permitted: a question that was begun is not held up by its share
   */
  async take(request: PermitRequest, goesOn = false): Promise<Taken> {
    const { instance, calls } = request;
    const quota = this.#quotas.get(instance);
    if (quota === undefined) return { kind: 'taken', ids: [] };
    const ids = Array.from({ length: Math.max(1, calls) }, () => randomUUID());
    const bounds = boundsOf(quota, request, goesOn);
    const togetherInMs = await this.#togetherIn();
    // What was called without Redis stands there before more is taken, or it would not count.
    if (togetherInMs !== null && (await this.#enterAlone(quota))) {
      if (togetherInMs > 0) return { kind: 'wait', waitMs: Math.min(togetherInMs, REBUILDING_AGAIN_MS) };
      const answer = await this.#takeShared(quota, request, bounds, ids);
      if (answer !== null) {
        this.#before.delete(instance);
        return answer;
      }
    }
    this.#togetherAt = null;
    this.#options.onProblem(instance, 'redis does not answer; this process keeps to its share of the quota');
    return this.#takeAlone(quota, request, bounds, ids);
  }

  /** The calls have been made, `made` of them; the others were not. Not waited for. */
  settle(request: PermitRequest, ids: readonly string[], made: number): void {
    const { instance } = request;
    const quota = this.#quotas.get(instance);
    if (quota === undefined) return;
    const alone = this.#alone.get(instance) ?? [];
    const now = this.#localNow();
    for (const [index, id] of ids.entries()) {
      this.#underWay.delete(id);
      const call = alone.find((one) => one.id === id);
      if (call === undefined) continue;
      if (index < made) {
        call.at = now;
        call.ended = true;
      } else alone.splice(alone.indexOf(call), 1);
    }
    const keys = setsOf(quota, request);
    if (ids.length > 0) void this.#settle({ instance, ids, made, keys }).catch(() => undefined);
  }

  /** The windows and what is left of them; null while Redis does not answer. */
  async state(instance: string): Promise<readonly WindowState[] | null> {
    const quota = this.#quotas.get(instance);
    if (quota === undefined) return [];
    const entries = await this.#entries(quota);
    return (
      entries?.map(({ window, times, now }) => ({
        ...window,
        left: Math.max(0, window.calls - times.length),
        nextFreeMs: times.length === 0 ? 0 : Math.max(0, (times[0] ?? now) + window.perSeconds * 1000 - now),
      })) ?? null
    );
  }

  /** Milliseconds until a start is possible that has `ahead` others before it; 0 where Redis cannot say. */
  async expectedMs(instance: string, ahead: number, actionName: string | null): Promise<number> {
    const quota = this.#quotas.get(instance);
    const entries = quota && (await this.#entries(quota));
    if (!quota || !entries) return 0;
    return Math.max(
      0,
      ...entries
        .filter(
          ({ window }) =>
            window.actions === undefined || (actionName !== null && window.actions.includes(actionName)),
        )
        .map(({ window, times, now }) => {
          const perMs = window.perSeconds * 1000;
          const most = startsOf(window.calls, quota.reserve);
          // How many of those before it count in a window of single actions, nobody knows.
          const before = window.actions === undefined ? ahead : 0;
          const late = before - Math.max(0, most - times.length);
          if (late < 0) return 0;
          // Each place is free again a window after the call that has it, and again a window later.
          const place = times.at(Math.min(late % most, times.length - 1)) ?? now;
          return place + perMs - now + Math.floor(late / most) * perMs;
        }),
    );
  }

  /** Milliseconds until all have entered what they called alone; null: Redis does not answer. */
  async #togetherIn(): Promise<number | null> {
    if (this.#options.redis.status !== 'ready') return null;
    if (this.#togetherAt === null) {
      if ((await this.#redisNow()) === null) return null;
      // Another taker may have found out at the same time.
      this.#togetherAt ??= performance.now() + this.#togetherInMs;
      this.#togetherInMs = UNANSWERED_TOGETHER_MS;
    }
    return Math.max(0, this.#togetherAt - performance.now());
  }

  /** Null: Redis does not answer. */
  async #takeShared(
    quota: Quota,
    use: Use,
    bounds: readonly Bound[],
    ids: readonly string[],
  ): Promise<Taken | null> {
    const { instance } = quota;
    const known = this.#known.get(instance) ?? { generation: '', sequence: 0 };
    const sets = setsOf(quota, use);
    const keys = [factsKey(instance), ...sets, `${PREFIX}:${instance}${URGENT_SUFFIX}:prioritized`];
    const answer = await this.#asked<readonly [number, (string | number)?, number?]>(() =>
      this.#options.redis.eval(
        TAKE,
        keys.length,
        ...keys,
        this.#time(),
        known.generation,
        known.sequence,
        UNDER_WAY_MS,
        use.purpose === 'urgent' || use.purpose === 'release' ? 'urgent' : '',
        ids.length,
        ...ids,
        ...bounds.flatMap(({ key, calls, perMs }) => [keys.indexOf(key) + 1, calls, perMs]),
      ),
    );
    if (answer === null) return null;
    const [kind, second, sequence] = answer;
    if (kind === -1) return this.#rebuild(quota);
    if (kind === 0) return { kind: 'wait', waitMs: Math.max(1, Number(second)) };
    this.#known.set(instance, { generation: String(second), sequence: Number(sequence) });
    this.#options.onProblem(instance, null);
    for (const id of ids) this.#underWay.set(id, { instance, keys: sets });
    return { kind: 'taken', ids };
  }

  /** Redis has no record of the last hours, or an older one than it had: it is made anew before anybody calls. */
  async #rebuild(quota: Quota): Promise<Taken | null> {
    const { instance } = quota;
    const again = { kind: 'wait', waitMs: REBUILDING_AGAIN_MS } as const;
    const { redis, recentCalls } = this.#options;
    const won = await this.#asked<{ readonly set: string | null }>(() =>
      redis.set(`${factsKey(instance)}:rebuilding`, '1', 'PX', REBUILD_MS, 'NX').then((set) => ({ set })),
    );
    if (won === null) return null;
    if (won.set === null) return again;
    try {
      const longestMs = longestOf(quota);
      const calls = await recentCalls(instance, longestMs);
      const entries = new Map<string, (number | string)[]>();
      for (const call of calls)
        for (const key of setsOf(quota, call)) listIn(entries, key).push(call.at.getTime(), randomUUID());
      for (const [key, values] of entries)
        for (let from = 0; from < values.length; from += 2000)
          await redis.eval(LOAD, 2, factsKey(instance), key, '', ...values.slice(from, from + 2000));
      await redis.eval(LOAD, 2, factsKey(instance), factsKey(instance), randomUUID());
      this.#known.delete(instance);
    } catch {
      // MongoDB or Redis went away: nobody calls until it has been done.
    } finally {
      await redis.del(`${factsKey(instance)}:rebuilding`).catch(() => undefined);
    }
    return again;
  }

  /**
   * This process's share of what each window had left when Redis went away, by the records. Nobody calls where they
   * cannot be read, nor where there are more processes than calls left.
   */
  async #takeAlone(quota: Quota, use: Use, bounds: readonly Bound[], ids: readonly string[]): Promise<Taken> {
    const { instance } = quota;
    if (!this.#before.has(instance)) await succeedsWithin(WAIT_MS, this.#readBefore(quota));
    const before = this.#before.get(instance);
    if (before === undefined || before === 'reading') return { kind: 'wait', waitMs: REBUILDING_AGAIN_MS };
    const calls = this.#recentAlone(quota);
    const now = this.#localNow();
    const share = Math.max(1, this.#options.workers());
    let waitMs = 0;
    for (const { key, calls: most, perMs } of bounds) {
      const within = (all: readonly PastCall[]): number =>
        all.filter((call) => call.keys.includes(key) && call.at > now - perMs).length;
      const mine = Math.floor(Math.max(0, most - within(before)) / share);
      if (within(calls) + ids.length > mine) waitMs = Math.max(waitMs, Math.min(ALONE_AGAIN_MS, perMs / 4));
    }
    if (waitMs > 0) return { kind: 'wait', waitMs };
    const keys = setsOf(quota, use);
    for (const id of ids) calls.push({ id, keys, at: now, ended: false });
    void this.#enterSoon();
    return { kind: 'taken', ids };
  }

  /** All calls on record that still count, and those of this process that may not be on record yet. */
  async #readBefore(quota: Quota): Promise<void> {
    const { instance } = quota;
    this.#before.set(instance, 'reading');
    const now = this.#localNow();
    const underWay = [...this.#underWay.values()].filter((call) => call.instance === instance);
    try {
      const shift = this.#wallShift();
      const recorded = await this.#options.recentCalls(instance, longestOf(quota));
      this.#before.set(instance, [
        ...recorded.map((call) => ({
          keys: setsOf(quota, call),
          at: Math.min(now, call.at.getTime() - shift),
        })),
        ...underWay.map(({ keys }) => ({ keys, at: now })),
      ]);
    } catch {
      // MongoDB is away, too: it is read again when somebody asks next.
      this.#before.delete(instance);
    }
  }

  /** The calls made alone, without those that count no more. */
  #recentAlone(quota: Quota): LocalCall[] {
    const calls = listIn(this.#alone, quota.instance);
    const since = this.#localNow() - longestOf(quota);
    const recent = calls.filter(({ at, ended }) => !ended || at > since);
    // In place: who settles or enters meanwhile holds the same list.
    if (recent.length < calls.length) calls.splice(0, calls.length, ...recent);
    return calls;
  }

  /** What was called alone counts for the others also where nobody asks here any more. Never rejects. */
  async #enterSoon(): Promise<void> {
    if (this.#isEntering) return;
    this.#isEntering = true;
    const { redis } = this.#options;
    do {
      await sleep(ENTER_AGAIN_MS, undefined, { ref: false });
      for (const quota of this.#quotas.values())
        if (redis.status !== 'ready' || !(await this.#enterAlone(quota))) break;
    } while (redis.status !== 'end' && [...this.#alone.values()].some((calls) => calls.length > 0));
    this.#isEntering = false;
  }

  /**
   * What was called without Redis counts there, too, now that it is back. False: it could not be entered yet. Takers
   * at the same time enter the same calls by the same ids, which harms nothing, and none goes on before that is done.
   */
  async #enterAlone(quota: Quota): Promise<boolean> {
    if ((this.#alone.get(quota.instance)?.length ?? 0) === 0) return true;
    const calls = this.#recentAlone(quota);
    const shift = this.#wallShift();
    while (calls.length > 0) {
      const group = calls.slice(0, ENTERED_TOGETHER);
      const keys = allSetsOf(quota, group);
      const values = group.flatMap((call) => [
        // One that is under way counts like any other that is.
        Math.round((call.ended ? call.at : this.#localNow() + UNDER_WAY_MS) + shift),
        call.id,
        placesOf(keys, call.keys),
      ]);
      const entered = await this.#asked<true>(() =>
        this.#options.redis.eval(ENTER, keys.length, ...keys, ...values).then(() => true),
      );
      if (entered === null) return false;
      for (const call of group) {
        const place = calls.indexOf(call);
        if (place === -1) continue;
        calls.splice(place, 1);
        // Where Redis goes away again before anything was taken there, it still counts in what was left.
        const before = this.#before.get(quota.instance);
        if (before !== undefined && before !== 'reading') before.push({ keys: call.keys, at: call.at });
        if (!call.ended) this.#underWay.set(call.id, { instance: quota.instance, keys: call.keys });
      }
    }
    return true;
  }

  async #settleTogether(instance: string, ended: readonly Settled[]): Promise<void> {
    const quota = this.#quotas.get(instance);
    if (quota === undefined) return;
    const keys = allSetsOf(quota, ended);
    await this.#asked(() =>
      this.#options.redis.eval(
        SETTLE,
        keys.length,
        ...keys,
        this.#time(),
        longestOf(quota),
        ended.reduce((sum, { made }) => sum + made, 0),
        ...ended.flatMap((one) => one.ids.slice(0, one.made).flatMap((id) => [id, placesOf(keys, one.keys)])),
        ...ended.flatMap(({ ids, made }) => ids.slice(made)),
      ),
    );
  }

  async #entries(quota: Quota) {
    const now = this.#options.now?.() ?? (await this.#redisNow());
    if (now === null) return null;
    const all = await Promise.all(
      quota.windows.map(async (window, index) => {
        const from = `(${now - window.perSeconds * 1000}`;
        const scores = await this.#asked<readonly string[]>(() =>
          this.#options.redis.zrangebyscore(windowKey(quota, index), from, '+inf', 'WITHSCORES'),
        );
        if (scores === null) return null;
        const times = scores.filter((_, place) => place % 2 === 1).map(Number);
        return { window, times: times.map((time) => Math.min(time, now)).toSorted((a, b) => a - b), now };
      }),
    );
    return all.includes(null) ? null : all.filter((one) => one !== null);
  }

  async #redisNow(): Promise<number | null> {
    const time = await this.#asked<readonly (string | number)[]>(() => this.#options.redis.time());
    return time === null ? null : Number(time[0]) * 1000 + Math.floor(Number(time[1]) / 1000);
  }

  /** What Redis answers in time; null where it does not. */
  async #asked<T>(ask: () => Promise<unknown>): Promise<T | null> {
    let value: unknown = null;
    const answered = await succeedsWithin(
      WAIT_MS,
      (async () => {
        value = await ask();
      })(),
    );
    return answered ? (value as T | null) : null;
  }

  #time(): string {
    return this.#options.now === undefined ? '' : String(Math.round(this.#options.now()));
  }

  #localNow(): number {
    return this.#options.now?.() ?? performance.now();
  }

  /** From this process's own clock to that of the entries and of the records. */
  #wallShift(): number {
    return this.#options.now === undefined ? Date.now() - performance.now() : 0;
  }
}

interface Settled {
  readonly instance: string;
  readonly ids: readonly string[];
  readonly made: number;
  /** The sets they count in. */
  readonly keys: readonly string[];
}

/** What decides in which windows a call counts. */
type Use = CallPurpose & Pick<PermitRequest, 'actionName'>;

/** A call, by the sets it counts in and when, on this process's own clock. */
interface PastCall {
  readonly keys: readonly string[];
  readonly at: number;
}

interface LocalCall extends PastCall {
  readonly id: string;
  at: number;
  ended: boolean;
}

const factsKey = (instance: string): string => `${PREFIX}:quota:${instance}`;
const callsKey = (instance: string): string => `${factsKey(instance)}:calls`;
const pollsKey = (instance: string): string => `${factsKey(instance)}:polls`;
const questionsKey = (instance: string): string => `${factsKey(instance)}:questions`;
const tenantKey = (instance: string, tenantId: string): string => `${questionsKey(instance)}:${tenantId}`;

function windowKey({ instance, windows }: Quota, index: number): string {
  return windows[index]?.actions === undefined ? callsKey(instance) : `${factsKey(instance)}:window:${index}`;
}

function counts({ actions }: RateWindow, { actionName, purpose }: Use): boolean {
  // A window of some actions is of the requests that issue them; asking how far they are is another request.
  const asks = purpose === 'poll' || purpose === 'question';
  return actions === undefined || (!asks && actions.includes(actionName));
}

/** The sets that such a call is entered in. */
function setsOf(quota: Quota, use: Use): readonly string[] {
  const own = quota.windows.flatMap((window, index) =>
    window.actions !== undefined && counts(window, use) ? [windowKey(quota, index)] : [],
  );
  return [callsKey(quota.instance), ...sharesOf(quota, use), ...own];
}

/** The sets of what has a share of its own. */
function sharesOf({ instance }: Quota, use: Use): readonly string[] {
  switch (use.purpose) {
    case 'poll':
      return [pollsKey(instance)];
    case 'question':
      return [questionsKey(instance), tenantKey(instance, use.tenantId)];
    case 'urgent':
    case 'release':
    case 'start':
      return [];
  }
}

/** The instance's sets, with those of the tenants whose calls these are. */
function allSetsOf(quota: Quota, calls: readonly Pick<PastCall, 'keys'>[]): readonly string[] {
  const own = quota.windows.flatMap(({ actions }, index) =>
    actions === undefined ? [] : [windowKey(quota, index)],
  );
  return [
    ...new Set([
      callsKey(quota.instance),
      pollsKey(quota.instance),
      ...own,
      ...calls.flatMap(({ keys }) => keys),
    ]),
  ];
}

/** A digit for each of `all`: '1' where it is among `some`. */
function placesOf(all: readonly string[], some: readonly string[]): string {
  return all.map((key) => (some.includes(key) ? '1' : '0')).join('');
}

/** What such a call has to keep to. */
function boundsOf(quota: Quota, use: Use, goesOn: boolean): readonly Bound[] {
  const { instance } = quota;
  return quota.windows.flatMap((window, index) => {
    if (!counts(window, use)) return [];
    const perMs = window.perSeconds * 1000;
    const starts = startsOf(window.calls, quota.reserve);
    const bound = { key: windowKey(quota, index), perMs };
    const shareOf = (key: string, part: number) => ({
      key,
      perMs,
      calls: Math.max(1, Math.floor(starts * part)),
    });
    switch (use.purpose) {
      case 'urgent':
      case 'release':
        return [{ ...bound, calls: window.calls }];
      case 'start':
        return [{ ...bound, calls: starts }];
      case 'poll':
        return [{ ...bound, calls: starts }, shareOf(pollsKey(instance), POLLS)];
      case 'question':
        if (goesOn) return [{ ...bound, calls: starts }];
        return [
          { ...bound, calls: starts },
          shareOf(questionsKey(instance), QUESTIONS),
          shareOf(tenantKey(instance, use.tenantId), QUESTIONS_OF_TENANT),
        ];
    }
  });
}

function listIn<T>(lists: Map<string, T[]>, key: string): T[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}

function startsOf(calls: number, reserve: number): number {
  return Math.max(1, Math.floor(calls * (1 - reserve)));
}

function longestOf({ windows }: Quota): number {
  return Math.max(...windows.map(({ perSeconds }) => perSeconds * 1000));
}
