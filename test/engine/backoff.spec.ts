import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { retryDelayMs } from '#engine';

describe('the delay before another attempt', () => {
  it.each([
    [1, 1000],
    [2, 2000],
    [3, 4000],
    [7, 60_000],
    [50, 60_000],
  ])('after attempt %i is anything up to %i ms', (attempt, most) => {
    expect(retryDelayMs(attempt, null, () => 0)).toBe(0);
    expect(retryDelayMs(attempt, null, () => 0.999_999)).toBe(most);
  });

  it.each([
    [5000, 5000],
    [10, 1000],
    [999_999_999, 3_600_000],
  ])('is never shorter than the vendor asked for: %i ms means at least %i', (asked, least) => {
    expect(retryDelayMs(1, asked, () => 0)).toBe(least);
  });

  it('is a whole, bounded number of milliseconds, whatever the attempt', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e6 }),
        fc.option(fc.nat(), { nil: null }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, asked, random) => {
          const delay = retryDelayMs(attempt, asked, () => random);
          return Number.isInteger(delay) && delay >= 0 && delay <= 3_601_000;
        },
      ),
    );
  });
});
