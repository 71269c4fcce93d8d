import { lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { NetworkPolicy } from './vendor-http.js';

/** A call that may not go where it was to go; nothing was sent. */
export class RefusedAddress extends Error {
  constructor(
    message: string,
    /** True where the address as written is refused, false where a name stands for a refused one just now. */
    readonly forGood: boolean,
  ) {
    super(message);
    this.name = 'RefusedAddress';
  }
}

/** Every address of a name, as `dns.lookup` with `all`. */
export type ResolveName = (
  hostname: string,
  options: { readonly all: true },
  callback: (
    error: NodeJS.ErrnoException | null,
    addresses: readonly { readonly address: string; readonly family: number }[],
  ) => void,
) => void;

export const resolveBySystem: ResolveName = (hostname, options, callback) =>
  systemLookup(hostname, options, callback);

/**
 * Public by range, yet answered by the machine's own cloud: Azure's platform address.
 * https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
 */
const NOT_PUBLIC: ReadonlySet<string> = new Set(['168.63.129.16']);

/** A network with DNS64 reaches public IPv4 by these (RFC 6052). */
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

/**
 * The address of a request, as far as it can be told before its name is resolved.
 *
 * @throws RefusedAddress for what is no plain http(s) address (user names, backslashes, blanks, hosts that read
 *   otherwise than they are dialled: decimal, octal, hex, percent-encoded, look-alike letters), for an address that is
 *   neither public nor allowed, and for plain http or an unlisted port where no address could be allowed
 */
export function checkedUrl(given: string | URL, policy: NetworkPolicy): URL {
  const text = String(given);
  // No part of the text is shown: it may hold a secret.
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u0020\u007f\\]/.test(text)) refuse('it has a blank, a backslash or a control character');
  const written = /^https?:\/\/([^/?#]+)/i.exec(text)?.[1];
  if (written === undefined || !URL.canParse(text))
    refuse('it is no https address (for example https://api.vendor.example/v1)');
  const url = new URL(text);
  if (written.includes('@')) refuse('it has a user name in it: put credentials into a header');
  const host = written.replace(/:\d*$/, '').toLowerCase();
  if (!readsAsDialled(host, url.hostname))
    refuse('its host is written in an odd form: write the name, or the address in its usual form');
  const literal = literalOf(url.hostname);
  if (literal !== null) requirePermitted(literal, onlyAllowed(url.protocol, url.port, policy), policy, true);
  else if (onlyAllowed(url.protocol, url.port, policy) && policy.allow.length === 0) refuse(WHERE);
  return url;
}

const WHERE = 'only https to port 443 is open: others are to be listed in network.ports or network.allow';

function refuse(why: string): never {
  throw new RefusedAddress(`The address is refused: ${why}.`, true);
}

/** Whether a connection may go to addresses of `network.allow` only. */
export function onlyAllowed(protocol: string, port: string, policy: NetworkPolicy): boolean {
  return protocol !== 'https:' || !(port === '' || port === '443' || policy.ports.includes(Number(port)));
}

/**
 * Resolves names for a socket, and gives addresses to it only when every one of the answer may be dialled. What is
 * checked is what is dialled, so a name that changes between two answers gains nothing.
 */
export function guardedLookup(policy: NetworkPolicy, allowedOnly: boolean, resolve: ResolveName): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { all: true }, (error, addresses) => {
      const [first] = addresses ?? [];
      if (error !== null || first === undefined)
        return callback(error ?? new Error(`${hostname} has no address`), '');
      try {
        for (const { address } of addresses) requirePermitted(address, allowedOnly, policy, false);
      } catch (refused) {
        return callback(refused as Error, '');
      }
      if (options.all === true) callback(null, [...addresses]);
      else callback(null, first.address, first.family);
    });
  };
}

/** The address that a host is, without brackets; null for a name. Sockets do not look these up. */
export function literalOf(hostname: string): string | null {
  const bare = hostname.replace(/^\[(.*)\]$/, '$1');
  return isIP(bare) === 0 ? null : bare;
}

/** @throws RefusedAddress where it may not be dialled */
export function requirePermitted(
  address: string,
  allowedOnly: boolean,
  policy: NetworkPolicy,
  asWritten: boolean,
): void {
  const parsed = ipaddr.process(address);
  if (policy.allow.some((cidr) => contains(cidr, parsed))) return;
  if (!isPublic(parsed)) {
    throw new RefusedAddress(
      `The address is refused: ${asWritten ? address : `its name stands for ${address}, which`} is not public; list it in network.allow if it is the vendor's.`,
      asWritten,
    );
  }
  if (allowedOnly) throw new RefusedAddress(`The address is refused: ${WHERE}.`, asWritten);
}

function contains(cidr: string, address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  const [network, bits] = ipaddr.parseCIDR(cidr);
  return network.kind() === address.kind() && address.match(network, bits);
}

function isPublic(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  if (address instanceof ipaddr.IPv4)
    return address.range() === 'unicast' && !NOT_PUBLIC.has(address.toString());
  if (address.match(NAT64)) return isPublic(new ipaddr.IPv4(address.toByteArray().slice(12)));
  return address.match(GLOBAL_UNICAST) && address.range() === 'unicast';
}

/** Whether a host as written is what is dialled, so that a person who reads it sees where it goes. */
function readsAsDialled(written: string, dialled: string): boolean {
  if (dialled.startsWith('[')) return written.startsWith('[') && !written.includes('%');
  if (written.includes('%')) return false;
  if (!isPlainName(dialled)) return false;
  if (written === dialled) return true;
  // A name in other letters than ASCII stays one; letters that turn into ASCII only play another name.
  return written.split('.').every((label, at) => {
    const ascii = dialled.split('.')[at] ?? '';
    return label === ascii || ascii.startsWith('xn--');
  });
}

function isPlainName(host: string): boolean {
  return host.length <= 253 && host.split('.').every((label) => /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/.test(label));
}
