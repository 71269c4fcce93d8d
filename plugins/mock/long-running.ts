import type { StepOutcome, VendorOperation } from '#provider-sdk';

const LEAST_POLL_MS = 50;
const MOST_POLL_MS = 1000;

/** An operation that began now and ends by itself in `durationMs`. */
export function pendingFor(id: string, durationMs: number): StepOutcome {
  return elapsed({ id, state: { startedAt: Date.now(), durationMs } });
}

/** How far such an operation is, by the clock alone: completed, or pending with its progress in percent. */
export function elapsed(operation: VendorOperation): StepOutcome {
  const { startedAt, durationMs } = operation.state as {
    readonly startedAt: number;
    readonly durationMs: number;
  };
  const leftMs = startedAt + durationMs - Date.now();
  if (leftMs <= 0) return { kind: 'completed' };
  return {
    kind: 'pending',
    operation,
    nextPollMs: Math.max(LEAST_POLL_MS, Math.min(leftMs, MOST_POLL_MS)),
    progress: Math.floor(100 * (1 - leftMs / durationMs)),
  };
}
