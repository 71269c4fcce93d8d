/** Ratio of a bucket's bounds: its middle is no further than 7.3 % from any value within. */
const RATIO = 1.15;

/** What the buckets' bounds are powers of, as the database's `$ln` has it. */
export const LN_RATIO = Math.log(RATIO);

/** Milliseconds of a percentile each; within 10 % of the true ones. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** How often each of the buckets of durations was met: bucket k is from 1.15 to the kth up to the next. */
export class LatencyHistogram {
  readonly #counts = new Map<number, number>();
  #total = 0;

  /** @param counts pairs of a bucket and how often it was met */
  constructor(counts: Iterable<readonly [number, number]> = []) {
    for (const [bucket, count] of counts) this.add(bucket, count);
  }

  add(bucket: number, count = 1): void {
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + count);
    this.#total += count;
  }

  merge(other: LatencyHistogram): void {
    for (const [bucket, count] of other.#counts) this.add(bucket, count);
  }

  /** As the constructor takes them. */
  get counts(): readonly (readonly [number, number])[] {
    return [...this.#counts];
  }

  /** Null where there is nothing to tell. */
  percentiles(): Percentiles | null {
    if (this.#total === 0) return null;
    const sorted = [...this.#counts].toSorted(([one], [other]) => one - other);
    const at = (share: number): number => {
      let left = Math.ceil(share * this.#total);
      const found = sorted.find(([, count]) => (left -= count) <= 0);
      return Math.round(RATIO ** ((found?.[0] ?? 0) + 0.5));
    };
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
  }
}
