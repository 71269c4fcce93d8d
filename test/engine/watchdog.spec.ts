import { describe, expect, it } from 'vitest';
import { Watchdog } from '#engine';
import { createLogger } from '#telemetry';

function watched(idleMs: Readonly<Record<string, number>>) {
  const clock = { now: 0 };
  const renewed: string[] = [];
  const watchdog = new Watchdog({
    idleMs: (instance) => idleMs[instance] ?? 0,
    renew: (instance) => renewed.push(instance),
    log: createLogger('riposte-test', 'silent'),
    now: () => clock.now,
  });
  return { watchdog, renewed, clock };
}

describe('the watchdog', () => {
  it('renews the hearing of an instance whose actions were hinted in vain while this worker idled', () => {
    const { watchdog, renewed } = watched({ deaf: 30_001, busy: 0, quick: 29_999 });
    watchdog.observe(['busy', 'deaf', 'quick', 'deaf', 'not-configured']);
    expect(renewed).toEqual(['deaf']);
  });

  it('leaves a worker alone that has nothing to do', () => {
    const { watchdog, renewed } = watched({ deaf: 3_600_000 });
    watchdog.observe([]);
    expect(renewed).toEqual([]);
  });

  it('renews the same at most once a minute', () => {
    const { watchdog, renewed, clock } = watched({ deaf: 40_000 });
    watchdog.observe(['deaf']);
    clock.now = 59_999;
    watchdog.observe(['deaf']);
    expect(renewed).toHaveLength(1);
    clock.now = 60_000;
    watchdog.observe(['deaf']);
    expect(renewed).toHaveLength(2);
  });
});
