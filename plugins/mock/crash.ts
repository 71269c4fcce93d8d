import { ProviderError, type StepOutcome } from '#provider-sdk';

export type CrashKind = 'throw' | 'exit' | 'outOfMemory' | 'block';

const CHUNK_LENGTH = 131_072;

/**
 * What the worst of plugins may do to the process that runs it: a defect, an exit, the whole heap, or the event
 * loop for `durationMs`, which alone ends well.
 *
 * @throws ProviderError `permission` unless the instance's settings allow it
 */
export function crash(allowed: boolean, how: CrashKind, durationMs: number): StepOutcome {
  if (!allowed) throw new ProviderError('permission', "Crash is off in this instance's settings.");
  switch (how) {
    case 'throw':
      throw new TypeError('The mock was told to crash.');
    case 'exit':
      return process.exit(1);
    case 'outOfMemory':
      return fillHeap();
    case 'block':
      block(durationMs);
      return { kind: 'completed' };
  }
}

function fillHeap(): never {
  const hoard: unknown[] = [];
  for (;;) hoard.push(Array.from({ length: CHUNK_LENGTH }, () => hoard.length));
}

function block(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}
