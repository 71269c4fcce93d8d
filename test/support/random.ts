import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** A seeded source of choices: the same seed gives the same choices in the same order. */
export class Random {
  readonly #generator: ReturnType<typeof xoroshiro128plus>;

  constructor(seed: number) {
    this.#generator = xoroshiro128plus(seed);
  }

  /** A whole number between `least` and `most`, both included. */
  between(least: number, most: number): number {
    return uniformInt(this.#generator, Math.round(least), Math.round(most));
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return uniformFloat64(this.#generator) < probability;
  }

  /** @throws RangeError when there is nothing to pick from */
  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError('nothing to pick from');
    return items[this.between(0, items.length - 1)] as T;
  }

  /** A source of its own, for what happens in parallel and must not disturb the order here. */
  fork(): Random {
    return new Random(this.between(0, 0x7fff_ffff));
  }
}
