/** Gives a permit back. Harmless when called twice. */
export type Release = () => void;

/**
 * How many calls one worker may have in flight at a provider instance. A permit is taken before the claim, so
 * what waits for one is never Running.
 */
export class Permits {
  #free: number;
  readonly #waiting: ((release: Release) => void)[] = [];

  constructor(concurrency: number) {
    this.#free = concurrency;
  }

  /** True when one would be given at once. */
  get anyFree(): boolean {
    return this.#free > 0;
  }

  /** A permit, or null when none came free within `waitMs`. First come, first served. */
  acquire(waitMs: number): Promise<Release | null> {
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve(this.#permit());
    }
    return new Promise((resolve) => {
      const give = (release: Release): void => {
        clearTimeout(timer);
        resolve(release);
      };
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(give), 1);
        resolve(null);
      }, waitMs);
      this.#waiting.push(give);
    });
  }

  #permit(): Release {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next(this.#permit());
    };
  }
}
