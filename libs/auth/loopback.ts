import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * Whether it is an address of this machine alone: 127.0.0.0/8 or `::1`, also in an IPv6 address that stands for an IPv4 one
 * (`::ffff:127.0.0.1`). What is no address is none.
 * @param address as a socket has it: without brackets
 */
export function isLoopbackAddress(address: string): boolean {
  return isIP(address) !== 0 && ipaddr.process(address).range() === 'loopback';
}

/** Whether a URL leads to this machine: to `localhost`, or to {@link isLoopbackAddress}. Of other names nothing is known. */
export function isLoopbackUrl({ hostname }: URL): boolean {
  // The URL parser has made one spelling of every form of an address.
  return hostname === 'localhost' || isLoopbackAddress(hostname.replace(/^\[|\]$/g, ''));
}
