import type { Bell } from '#domain';

/** What a worker has in hand of an instance's starts. */
export interface Load {
  /** Starts in hand. */
  readonly inHand: number;
  /** Those of which a call of the plugin is under way. */
  readonly atVendor: number;
}

export interface TellOverloadOptions {
  readonly registry: {
    readonly instances: readonly { readonly id: string; readonly concurrency: number }[];
  };
  readonly load: (instance: string) => Load;
  readonly bell: Pick<Bell, 'ring'>;
}

/** Milliseconds between two looks, and looks between two rings. */
const LOOK_MS = 100;
const LOOKS = 5;
/** Share of an instance's slots that are in hand where it has as much to do as it can. */
const FULL = 0.75;

/**
 * Tells the intake which instances wait for this worker itself: its slots are taken, and most of what is in them is not
 * at the vendor but waits for a database or a processor. Then a request that is accepted now is a second later for
 * another. What waits for a vendor's quota, or for a slow vendor, is no such thing: it may be accepted as it comes.
 */
export class TellOverload {
  readonly #options: TellOverloadOptions;
  readonly #seen = new Map<string, number>();
  #looks = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TellOverloadOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** One look; each fifth rings for those that were seen so in most of the last five. */
  look(): void {
    const { registry, load, bell } = this.#options;
    this.#looks += 1;
    for (const { id, concurrency } of registry.instances) {
      const { inHand, atVendor } = load(id);
      if (inHand < FULL * concurrency || atVendor > inHand / 2) continue;
      this.#seen.set(id, (this.#seen.get(id) ?? 0) + 1);
    }
    if (this.#looks % LOOKS !== 0) return;
    for (const [id, times] of this.#seen) if (times > LOOKS / 2) void bell.ring('overloaded', id);
    this.#seen.clear();
  }
}
