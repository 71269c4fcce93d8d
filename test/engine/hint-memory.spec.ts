import { TENANT_A } from '../support/database.js';
import { describe, expect, it } from 'vitest';
import { HintMemory } from '#engine';

const action = {
  id: 'a',
  tenantId: TENANT_A,
  lane: 'routine' as const,
  instance: 'mock',
  actionName: 'BlockIp',
  epoch: 1,
  nextAt: new Date(1000),
  overdue: false,
};

describe('what a sweep remembers of its hints', () => {
  it('lets the same due time be hinted again after 5, 15, then every 30 seconds', () => {
    let now = 0;
    const memory = new HintMemory({ now: () => now, random: () => 0.5 });
    expect(memory.mayHint(action)).toBe(true);
    for (const delayMs of [5000, 15_000, 30_000, 30_000]) {
      memory.remember([action]);
      now += delayMs - 1;
      expect(memory.mayHint(action)).toBe(false);
      now += 1;
      expect(memory.mayHint(action)).toBe(true);
    }
    expect(memory.timesHinted(action)).toBe(4);
  });

  it('varies the delays, so that several workers do not hint the same at once', () => {
    let now = 0;
    const early = new HintMemory({ now: () => now, random: () => 0 });
    const late = new HintMemory({ now: () => now, random: () => 0.999 });
    early.remember([action]);
    late.remember([action]);
    now = 3500;
    expect([early.mayHint(action), late.mayHint(action)]).toEqual([true, false]);
    now = 6500;
    expect(late.mayHint(action)).toBe(true);
  });

  it('takes an action that was looked at since for a new one', () => {
    const memory = new HintMemory();
    memory.remember([action]);
    expect(memory.mayHint(action)).toBe(false);
    expect(memory.mayHint({ ...action, epoch: 2 })).toBe(true);
    expect(memory.mayHint({ ...action, nextAt: new Date(2000) })).toBe(true);
  });

  it('is bounded: what was untouched longest is forgotten first', () => {
    const memory = new HintMemory({ max: 2 });
    memory.remember(['a', 'b', 'c'].map((id) => ({ ...action, id })));
    expect(['a', 'b', 'c'].map((id) => memory.mayHint({ ...action, id }))).toEqual([true, false, false]);
  });
});
