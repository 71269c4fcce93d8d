/** What became of the values of several rounds. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The middle one, or the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [below = Number.NaN, above = Number.NaN] = [sorted[middle - 1], sorted[middle]];
  return sorted.length % 2 === 1 ? above : (below + above) / 2;
}

/** The least value that is not below a share of all (nearest rank), `share` in 0..1; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** The median and the whole spread. Not a standard deviation: noise of a machine is not normal, and rounds are few. */
export function summaryOf(values: readonly number[]): Summary {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/**
 * One over the other in each round that has both. Neighbours in time share the machine's moods, so the median of
 * these says more than the ratio of two medians.
 *
 * @param of, to values by round
 */
export function ratiosOf(
  of: ReadonlyMap<number, number>,
  to: ReadonlyMap<number, number>,
): readonly number[] {
  return [...of].flatMap(([round, value]) => {
    const against = to.get(round);
    return against === undefined || against === 0 ? [] : [value / against];
  });
}
