/**
 * `__proto__` reaches no prototype: code that would read or write it throws instead.
 * Memory is bounded: the default young generation alone is larger than what a process keeps. 192 MiB of old space
 * is several times what a page of 1,000 actions needs. What a start loads would grow the young generation to its bound
 * step by step, with a collection each: a tenth of its time.
 */
const NODE = [
  'node',
  '--disable-proto=throw',
  '--max-old-space-size=192',
  '--min-semi-space-size=8',
  '--max-semi-space-size=8',
] as const;

/** The start commands of the production image; docker-compose.yml is held equal to them, and end-to-end tests run them. */
export const API_COMMAND: readonly string[] = [...NODE, 'dist/apps/api/main.js'];
export const WORKER_COMMAND: readonly string[] = [...NODE, 'dist/apps/worker/main.js'];
