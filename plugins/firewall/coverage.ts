import { addressBlockOf, networkAround } from '#provider-sdk';

/** Which values of a list are covered by a wider one of it. Values that are no networks cover nothing. */
export class Coverage {
  /** The values, by the network that each is, so that a lookup costs one step per length of a prefix. */
  readonly #networks = new Map<string, string>();

  constructor(values: Iterable<string>) {
    for (const value of values) {
      const block = addressBlockOf(value);
      if (block !== null) this.#networks.set(networkAround(block, block.bits), value);
    }
  }

  /** The widest value that holds this one and is wider; null where there is none. */
  wider(value: string): string | null {
    const block = addressBlockOf(value);
    if (block === null) return null;
    for (let bits = 0; bits < block.bits; bits += 1) {
      const found = this.#networks.get(networkAround(block, bits));
      if (found !== undefined) return found;
    }
    return null;
  }
}
