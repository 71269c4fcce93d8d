import { Random } from '../../support/random.js';
import { parseFault, type Fault } from './behaviour.js';

/** The faults that wait for their requests, in the order they were told. */
export class FaultPlan {
  #faults: Fault[];
  readonly #random: Random;

  /** @throws Refusal for a fault that there is not */
  constructor(seed: number, faults: readonly Fault[]) {
    this.#random = new Random(seed);
    this.#faults = faults.map(parseFault);
  }

  /** @throws Refusal for a fault that there is not */
  add(faults: readonly Fault[]): void {
    this.#faults.push(...faults.map(parseFault));
  }

  clear(): void {
    this.#faults = [];
  }

  /** The first fault for this call, which counts as met; undefined when there is none. */
  take(call: string): Fault | undefined {
    return this.#faults.find((fault) => {
      if (fault.call !== call && (fault.call !== '*' || call === 'token')) return false;
      if (fault.times === 0) return false;
      if (fault.after !== undefined && fault.after > 0) {
        fault.after -= 1;
        return false;
      }
      if (fault.share !== undefined && !this.#random.chance(fault.share)) return false;
      if (fault.times !== undefined) fault.times -= 1;
      return true;
    });
  }

  /** It was not met after all. */
  giveBack(fault: Fault): void {
    if (fault.times !== undefined) fault.times += 1;
  }
}
