/** Milliseconds that are counted together. */
const SLOT_MS = 5000;
/** Slots that are looked back on, and those of lately. */
const SLOTS = 12;
const LATELY = 2;

interface Slot {
  readonly number: number;
  count: number;
}

/** How many actions this process has started of each provider instance lately. */
export class StartRates {
  readonly #nowMs: () => number;
  readonly #slots = new Map<string, Slot[]>();

  /** @param nowMs milliseconds that only grow. Default `performance.now` */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** One of the instance's was started now. */
  note(instance: string): void {
    const number = this.#slot();
    const slots = this.#slots.get(instance) ?? [];
    const last = slots.at(-1);
    if (last?.number === number) last.count += 1;
    else slots.push({ number, count: 1 });
    while ((slots[0]?.number ?? number) <= number - SLOTS) slots.shift();
    this.#slots.set(instance, slots);
  }

  /**
   * Starts a minute: of the last minute, or of the last ten seconds where they were more, for a backlog may just have
   * come. 0: none in the last minute.
   */
  perMinute(instance: string): number {
    const number = this.#slot();
    const since = (slots: number): number =>
      (this.#slots.get(instance) ?? []).reduce(
        (sum, slot) => sum + (slot.number > number - slots ? slot.count : 0),
        0,
      );
    return Math.round(Math.max(since(SLOTS), (since(LATELY) * SLOTS) / LATELY));
  }

  #slot(): number {
    return Math.floor(this.#nowMs() / SLOT_MS);
  }
}
