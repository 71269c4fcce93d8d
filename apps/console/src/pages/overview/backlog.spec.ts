import { describe, expect, it } from 'vitest';
import { backlogOver } from './backlog.ts';

const step = (created: number, completed: number, failed: number, cancelled = 0) => ({
  at: '',
  created,
  completed,
  failed,
  cancelled,
});
const now = (queued: number, throttled: number, running: number) => ({
  queued,
  throttled,
  running,
  unresolved: 0,
  oldestWaiting: null,
});

describe('the backlog over a period', () => {
  it('is what there is now, less what came and plus what ended since', () => {
    const throughput = [step(10, 0, 0), step(5, 3, 1), step(0, 7, 1, 1)];
    expect(backlogOver({ now: now(1, 0, 1), throughput })).toEqual([10, 11, 2]);
  });

  it('is never below none', () => {
    expect(backlogOver({ now: now(0, 0, 0), throughput: [step(1, 0, 0), step(50, 0, 0)] })).toEqual([0, 0]);
  });

  it('is empty without steps', () => {
    expect(backlogOver({ now: now(3, 0, 0), throughput: [] })).toEqual([]);
  });
});
