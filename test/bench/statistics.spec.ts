import { describe, expect, it } from 'vitest';
import { interleaved, orderOf } from './interleaved.js';
import { median, quantile, ratiosOf, summaryOf } from './statistics.js';

describe('the median', () => {
  it('is the middle one by value', () => expect(median([30, 4, 100])).toBe(30));
  it('is the mean of the two in the middle', () => expect(median([1, 2, 10, 100])).toBe(6));
  it('of nothing is no number', () => expect(median([])).toBeNaN());
});

describe('a quantile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);

  it.each([
    [0.5, 50],
    [0.99, 99],
    [1, 100],
    [0, 1],
  ])('%f of 1 to 100 is %i', (share, value) => expect(quantile(hundred, share)).toBe(value));

  it('of few values is one that was measured', () => expect(quantile([5, 7], 0.99)).toBe(7));
});

it('a summary has the whole spread', () =>
  expect(summaryOf([3, 1, 9])).toEqual({ median: 3, min: 1, max: 9 }));

it('ratios are taken within a round, and only of rounds that have both', () => {
  const of = new Map([
    [0, 10],
    [1, 40],
    [2, 7],
  ]);
  const to = new Map([
    [0, 20],
    [1, 20],
  ]);
  expect(ratiosOf(of, to)).toEqual([0.5, 2]);
});

describe('interleaving', () => {
  it('measures each once in every round', async () => {
    const seen: string[] = [];
    await interleaved(['a', 'b', 'c'], 4, (subject, round) => {
      seen.push(`${subject}${round}`);
      return Promise.resolve();
    });
    expect(seen.toSorted()).toEqual(
      ['a', 'b', 'c'].flatMap((subject) => [0, 1, 2, 3].map((round) => `${subject}${round}`)),
    );
  });

  it('has each be the first, and the last', () => {
    const orders = Array.from({ length: 6 }, (_, round) => orderOf(['a', 'b', 'c'], round));
    expect(new Set(orders.map((order) => order[0])).size).toBe(3);
    expect(new Set(orders.map((order) => order[2])).size).toBe(3);
  });
});
