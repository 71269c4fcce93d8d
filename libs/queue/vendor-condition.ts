import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { PREFIX, type OnConnectionError } from './redis-connection.js';
import { succeedsWithin } from './within.js';

/** Where a change of a vendor's condition is told to all processes. */
export const CONDITION_CHANNEL = `${PREFIX}:condition`;

const ASK_MS = 300;
/** Milliseconds between two looks at what is shared, for changes nobody told us of. */
const REFRESH_MS = 1000;
/** Milliseconds between two reports of calls that were answered; a failure is reported at once. */
const REPORT_MS = 500;
/** Milliseconds a probe has until another may be tried. */
const PROBE_MS = 45_000;
/** Milliseconds to come back in while another process probes. */
const PROBING_AGAIN_MS = 500;

/**
 * The circuit breaker (https://martinfowler.com/bliki/CircuitBreaker.html), and the time the vendor asked to be left
 * alone, of one instance. Opens when of at least 20 calls in 30 s half failed, or 5 in a row could not reach it; for
 * 15 s, and twice as long up to 60 s each time the probe fails.
 * KEYS: the condition. ARGV: answered, failed, unreachable, unreachable in a row at the end. Returns 1 when it changed.
 */
const NOTE = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local answered, failed, unreachable, row = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local key = KEYS[1]
redis.call('PEXPIRE', key, 86400000)
local openUntil = tonumber(redis.call('HGET', key, 'openUntil') or '0')
if openUntil > now then return 0 end
if openUntil > 0 then
  if failed + unreachable > 0 then
    local opened = math.min(60000, 2 * tonumber(redis.call('HGET', key, 'openMs') or '15000'))
    redis.call('HSET', key, 'openMs', opened, 'openUntil', now + opened)
    redis.call('HDEL', key, 'probe', 'probeUntil')
    return 1
  end
  if answered > 0 then
    local busy = redis.call('HGET', key, 'busyUntil')
    redis.call('DEL', key)
    if busy then redis.call('HSET', key, 'busyUntil', busy) redis.call('PEXPIRE', key, 86400000) end
    return 1
  end
  return 0
end
local bucket = math.floor(now / 5000)
if answered > 0 then redis.call('HINCRBY', key, 'ok:' .. bucket, answered) end
if failed + unreachable > 0 then redis.call('HINCRBY', key, 'bad:' .. bucket, failed + unreachable) end
if answered + failed > 0 then redis.call('HSET', key, 'row', row) else redis.call('HINCRBY', key, 'row', row) end
local ok, bad = 0, 0
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
  local kind, at = string.match(all[i], '^(%a+):(%d+)$')
  if kind then
    if tonumber(at) <= bucket - 6 then redis.call('HDEL', key, all[i])
    elseif kind == 'ok' then ok = ok + tonumber(all[i + 1])
    else bad = bad + tonumber(all[i + 1]) end
  end
end
if tonumber(redis.call('HGET', key, 'row')) >= 5 or (ok + bad >= 20 and bad * 2 >= ok + bad) then
  redis.call('HSET', key, 'openMs', 15000, 'openUntil', now + 15000)
  return 1
end
return 0
`;

/** One probe among all processes. KEYS: the condition. ARGV: who asks, for how long. Returns 1 for the one. */
const PROBE = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local openUntil = tonumber(redis.call('HGET', KEYS[1], 'openUntil') or '0')
if openUntil == 0 then return 1 end
if openUntil > now then return 0 end
if tonumber(redis.call('HGET', KEYS[1], 'probeUntil') or '0') > now then return 0 end
redis.call('HSET', KEYS[1], 'probe', ARGV[1], 'probeUntil', now + tonumber(ARGV[2]))
return 1
`;

/** The vendor asked to be left alone; never for a shorter time than it said before. */
const BUSY = `
local t = redis.call('TIME')
local untilTime = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[1])
if untilTime > tonumber(redis.call('HGET', KEYS[1], 'busyUntil') or '0') then
  redis.call('HSET', KEYS[1], 'busyUntil', untilTime)
  redis.call('PEXPIRE', KEYS[1], 86400000)
end
`;

const UNPROBE = `
if redis.call('HGET', KEYS[1], 'probe') == ARGV[1] then redis.call('HDEL', KEYS[1], 'probe', 'probeUntil') end
`;

/** As this process last saw it; times on its own monotonic clock. */
interface Seen {
  busyUntil: number;
  /** 0: closed. Past: half open. */
  openUntil: number;
}

interface Tally {
  answered: number;
  failed: number;
  unreachable: number;
  row: number;
}

export type Condition =
  | { readonly kind: 'free' }
  /** This call is the one that tries whether the vendor is back. */
  | { readonly kind: 'probe'; readonly id: string }
  | { readonly kind: 'wait'; readonly reason: 'vendorBusy' | 'breakerOpen'; readonly waitMs: number };

/**
 * How vendors fare, shared by all processes. Asking costs no round trip: each process keeps a copy, which is told of
 * changes and looked over each second. While Redis is away the copies stand, and each process hears its own calls only.
 */
export class VendorConditions {
  readonly #redis: Redis;
  readonly #seen = new Map<string, Seen>();
  readonly #tallies = new Map<string, Tally>();
  readonly #onError: OnConnectionError;
  readonly #timers: readonly NodeJS.Timeout[];

  constructor(redis: Redis, instances: readonly string[], onError: OnConnectionError) {
    this.#redis = redis;
    this.#onError = onError;
    for (const instance of instances) this.#seen.set(instance, { busyUntil: 0, openUntil: 0 });
    this.#timers = [
      setInterval(() => void this.refresh(), REFRESH_MS).unref(),
      setInterval(() => void this.#reportAll(), REPORT_MS).unref(),
    ];
    void this.refresh();
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** Whether a call may be made now. Takes the probe where one is due, unless only looking. */
  async ask(instance: string, looksOnly = false): Promise<Condition> {
    const seen = this.#seen.get(instance);
    if (seen === undefined) return { kind: 'free' };
    const now = performance.now();
    if (seen.busyUntil > now) return { kind: 'wait', reason: 'vendorBusy', waitMs: seen.busyUntil - now };
    if (seen.openUntil === 0) return { kind: 'free' };
    if (seen.openUntil > now) return { kind: 'wait', reason: 'breakerOpen', waitMs: seen.openUntil - now };
    if (looksOnly) return { kind: 'free' };
    const id = randomUUID();
    const won = await this.#eval(PROBE, instance, id, PROBE_MS);
    // While Redis is away each process tries for itself, one at a time.
    if (won === 1 || won === null) return { kind: 'probe', id };
    return { kind: 'wait', reason: 'breakerOpen', waitMs: PROBING_AGAIN_MS };
  }

  breaker(instance: string): 'closed' | 'open' | 'halfOpen' {
    const openUntil = this.#seen.get(instance)?.openUntil ?? 0;
    if (openUntil === 0) return 'closed';
    return openUntil > performance.now() ? 'open' : 'halfOpen';
  }

  /** The probe was not made after all. */
  giveBack(instance: string, probe: string): void {
    void this.#eval(UNPROBE, instance, probe);
  }

  note(instance: string, came: 'answered' | 'failed' | 'unreachable'): void {
    const tally = this.#tallies.get(instance) ?? { answered: 0, failed: 0, unreachable: 0, row: 0 };
    this.#tallies.set(instance, tally);
    tally[came] += 1;
    tally.row = came === 'unreachable' ? tally.row + 1 : 0;
    if (came !== 'answered' || this.breaker(instance) !== 'closed') void this.#report(instance);
  }

  busy(instance: string, forMs: number): void {
    const seen = this.#seen.get(instance);
    if (seen !== undefined) seen.busyUntil = Math.max(seen.busyUntil, performance.now() + forMs);
    void this.#eval(BUSY, instance, Math.ceil(forMs)).then(() => this.#tellOthers(instance));
  }

  /** Looks at what is shared. */
  async refresh(instances: Iterable<string> = this.#seen.keys()): Promise<void> {
    if (this.#redis.status !== 'ready') return;
    await succeedsWithin(
      ASK_MS,
      (async () => {
        const [seconds, micros] = await this.#redis.time();
        const shift = performance.now() - (Number(seconds) * 1000 + Number(micros) / 1000);
        for (const instance of instances) {
          const [busyUntil, openUntil] = await this.#redis.hmget(keyOf(instance), 'busyUntil', 'openUntil');
          this.#seen.set(instance, {
            busyUntil: busyUntil == null ? 0 : Number(busyUntil) + shift,
            openUntil: openUntil == null ? 0 : Number(openUntil) + shift,
          });
        }
      })(),
    );
  }

  async #reportAll(): Promise<void> {
    await Promise.all([...this.#tallies.keys()].map((instance) => this.#report(instance)));
  }

  async #report(instance: string): Promise<void> {
    const tally = this.#tallies.get(instance);
    if (tally === undefined) return;
    this.#tallies.delete(instance);
    const { answered, failed, unreachable, row } = tally;
    if ((await this.#eval(NOTE, instance, answered, failed, unreachable, row)) !== 1) return;
    await this.refresh([instance]);
    this.#tellOthers(instance);
  }

  #tellOthers(instance: string): void {
    if (this.#redis.status === 'ready') this.#redis.publish(CONDITION_CHANNEL, instance).catch(this.#onError);
  }

  async #eval(script: string, instance: string, ...values: readonly (string | number)[]): Promise<unknown> {
    if (this.#redis.status !== 'ready') return null;
    let answer: unknown = null;
    await succeedsWithin(
      ASK_MS,
      (async () => {
        answer = await this.#redis.eval(script, 1, keyOf(instance), ...values);
      })(),
    );
    return answer;
  }
}

function keyOf(instance: string): string {
  return `${PREFIX}:condition:${instance}`;
}
