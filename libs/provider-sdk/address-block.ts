import ipaddr from 'ipaddr.js';
import { CANONICAL } from './indicators.js';

/** A network, or one address as the network that holds nothing else. */
export interface AddressBlock {
  readonly bytes: readonly number[];
  readonly bits: number;
  readonly text: string;
}

/** IPv6 networks that stand for IPv4 ones (mapped, NAT64, 6to4): a rule on one is a rule on what it stands for. */
const STANDS_FOR_IPV4 = ['::ffff:0:0/96', '64:ff9b::/96', '2002::/16'].map(addressBlock);

/** @param text an address or a network in its canonical form */
export function addressBlock(text: string): AddressBlock {
  const [address = '', bits] = text.split('/');
  const bytes = ipaddr.parse(address).toByteArray();
  return { bytes, bits: bits === undefined ? bytes.length * 8 : Number(bits), text };
}

/** The block of an address or a network, in any form that names it plainly; null for anything else. */
export function addressBlockOf(text: string): AddressBlock | null {
  const canonical = CANONICAL.network(text);
  return canonical === null ? null : addressBlock(canonical);
}

/** The network of so many bits around a block's first address, as a text that is the same for the same network. */
export function networkAround({ bytes }: AddressBlock, bits: number): string {
  return `${bytes.map((byte, at) => byte & maskAt(at, bits)).join('.')}/${bits}`;
}

/** True where one holds an address of the other. Networks overlap only where one holds the whole other. */
export function overlap(one: AddressBlock, other: AddressBlock): boolean {
  if (one.bytes.length !== other.bytes.length) return false;
  const bits = Math.min(one.bits, other.bits);
  return one.bytes.every((byte, at) => ((byte ^ (other.bytes[at] ?? 0)) & maskAt(at, bits)) === 0);
}

/** Which bits of a byte are of a prefix. */
function maskAt(at: number, bits: number): number {
  return (0xff << (8 - Math.max(0, Math.min(8, bits - at * 8)))) & 0xff;
}

/**
 * The IPv4 network that an IPv6 one stands for.
 *
 * @returns null for one that stands for none, `all` for one that holds every IPv4 address
 */
export function ipv4Within(block: AddressBlock): AddressBlock | 'all' | null {
  const around = STANDS_FOR_IPV4.find((outer) => overlap(outer, block));
  if (around === undefined) return null;
  if (block.bits <= around.bits) return 'all';
  const from = around.bits / 8;
  const bytes = block.bytes.slice(from, from + 4);
  const bits = Math.min(32, block.bits - around.bits);
  return { bytes, bits, text: bits === 32 ? bytes.join('.') : `${bytes.join('.')}/${bits}` };
}
