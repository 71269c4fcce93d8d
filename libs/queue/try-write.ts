import { ReplyError, type Redis } from 'ioredis';
import { PREFIX } from './redis-connection.js';
import { succeedsWithin } from './within.js';

/**
 * Writes a little: a Redis that is full, cannot save or has become a replica still answers PING.
 * @param withinMs milliseconds it may take
 * @returns the code of the error that it answers with (`OOM`, `MISCONF`, `READONLY`, `NOPERM`, …); null: no answer
 */
export async function tryWrite(redis: Redis, withinMs: number): Promise<string | null> {
  let why: unknown;
  const written = await succeedsWithin(
    withinMs,
    redis.set(`${PREFIX}:health`, '1', 'PX', 60_000).catch((error: unknown) => {
      why = error;
      throw error;
    }),
  );
  if (written) return 'written';
  if (!(why instanceof Error && why instanceof ReplyError)) return null;
  return /^[A-Z]+/.exec(why.message)?.[0] ?? null;
}
