import { describe, expect, it } from 'vitest';
import { count, duration, plural, relative, shortCount } from './format.ts';

describe('a length of time', () => {
  it.each([
    [0, '0 ms'],
    [850.4, '850 ms'],
    [999.6, '1.0 s'],
    [2440, '2.4 s'],
    [9990, '10 s'],
    [59_400, '59 s'],
    [59_900, '1 min'],
    [200_000, '3 min 20 s'],
    [3_600_000, '1 h'],
    [14_700_000, '4 h 5 min'],
    [183_600_000, '2 d 3 h'],
  ])('%d ms is %s', (ms, words) => {
    expect(duration(ms)).toBe(words);
  });
});

describe('a time as of now', () => {
  const now = Date.parse('2026-11-29T03:00:00Z');
  it.each([
    [0, 'just now'],
    [-4999, 'just now'],
    [1000, 'just now'],
    [3000, 'in a moment'],
    [-20_000, '20 s ago'],
    [180_000, 'in 3 min'],
    [-3_599_000, '59 min ago'],
    [-90 * 60_000, '1 h ago'],
    [-47 * 3_600_000, '47 h ago'],
    [49 * 3_600_000, 'in 2 d'],
  ])('%d ms away is %s', (ms, words) => {
    expect(relative(new Date(now + ms), now)).toBe(words);
  });
});

describe('a figure', () => {
  it('has its thousands parted, and is cut where there is little room', () => {
    expect([
      count(1_234_567),
      shortCount(9999),
      shortCount(12_345),
      plural(1, 'action'),
      plural(0, 'action'),
    ]).toEqual(['1,234,567', '9,999', '12.3k', '1 action', '0 actions']);
  });
});
