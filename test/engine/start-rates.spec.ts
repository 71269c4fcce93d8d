import { describe, expect, it } from 'vitest';
import { StartRates } from '#engine';

describe('how many actions are started a minute', () => {
  let nowMs = 1_000_000;
  const rates = new StartRates(() => nowMs);
  const started = (instance: string, times: number): void => {
    for (let index = 0; index < times; index += 1) rates.note(instance);
  };

  it('is what was started in the last minute, of each instance by itself', () => {
    started('firewall', 1);
    nowMs += 15_000;
    started('firewall', 1);
    started('edr', 5);
    nowMs += 15_000;
    started('firewall', 1);
    nowMs += 15_000;
    expect(rates.perMinute('firewall')).toBe(3);
    expect(rates.perMinute('edr')).toBe(5);
    expect(rates.perMinute('nobody')).toBe(0);
  });

  it('goes by the last ten seconds where a backlog has just come', () => {
    started('firewall', 40);
    expect(rates.perMinute('firewall')).toBe(240);
  });

  it('is nothing once none was started for a minute', () => {
    nowMs += 60_000;
    expect(rates.perMinute('firewall')).toBe(0);
    expect(rates.perMinute('edr')).toBe(0);
  });
});
