import type { Redis } from 'ioredis';

/**
 * The fields of a section of INFO, as Redis spells them.
 * @throws ReplyError where the user may not ask
 */
export async function infoOf(redis: Redis, section: string): Promise<ReadonlyMap<string, string>> {
  const text = await redis.info(section);
  return new Map(
    text
      .split('\n')
      .map((line) => /^([^#:]+):(.*?)\r?$/.exec(line))
      .flatMap((match) => (match === null ? [] : [[match[1] ?? '', match[2] ?? ''] as const])),
  );
}
