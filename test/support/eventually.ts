import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits until the condition gives something truthy, and returns it. Asks every `everyMs`.
 * @throws Error after `timeoutMs`, with what the condition gave last
 */
export async function eventually<T>(
  condition: () => T | Promise<T>,
  timeoutMs = 15_000,
  everyMs = 25,
): Promise<NonNullable<T>> {
  const until = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== null && value !== undefined && value !== false) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > until) {
      throw new Error(
        `not within ${timeoutMs} ms; last: ${last instanceof Error ? last.message : JSON.stringify(last)}`,
      );
    }
    await sleep(everyMs);
  }
}
