import ipaddr from 'ipaddr.js';

/** A network by its first address and the length of its prefix. */
interface Network {
  readonly address: ipaddr.IPv4 | ipaddr.IPv6;
  readonly bits: number;
}

/** Which values of a list are covered by a wider one of it. Values that are no networks cover nothing. */
export class Coverage {
  /** By kind and prefix, the networks there are, so that a lookup costs one step per prefix length in use. */
  readonly #networks = new Map<string, Map<string, string>>();

  constructor(values: Iterable<string>) {
    for (const value of values) {
      const network = networkOf(value);
      if (network === null) continue;
      const key = `${network.address.kind()}/${network.bits}`;
      const same = this.#networks.get(key) ?? new Map<string, string>();
      this.#networks.set(key, same.set(startOf(network, network.bits), value));
    }
  }

  /** The widest value that holds this one and is wider; null where there is none. */
  wider(value: string): string | null {
    const network = networkOf(value);
    if (network === null) return null;
    for (let bits = 0; bits < network.bits; bits += 1) {
      const found = this.#networks.get(`${network.address.kind()}/${bits}`)?.get(startOf(network, bits));
      if (found !== undefined) return found;
    }
    return null;
  }
}

function networkOf(value: string): Network | null {
  const [text = '', prefix] = value.split('/');
  if (!ipaddr.isValid(text)) return null;
  const address = ipaddr.parse(text);
  return { address, bits: prefix === undefined ? address.toByteArray().length * 8 : Number(prefix) };
}

/** The first address of the network of so many bits that holds it. */
function startOf({ address }: Network, bits: number): string {
  return address
    .toByteArray()
    .map((byte, index) => {
      const kept = Math.min(8, Math.max(0, bits - index * 8));
      return byte & (0xff << (8 - kept)) & 0xff;
    })
    .join('.');
}
