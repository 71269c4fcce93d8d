import ipaddr from 'ipaddr.js';

/**
 * An address or network as a device writes it (`192.0.2.7/32`, `2001:DB8:0:0::7`), in the form in which it is kept: a host
 * without a prefix, IPv6 as in RFC 5952. Null for anything else, such as a range or a name.
 */
export function canonicalAddress(text: string): string | null {
  const [address = '', prefix, more] = text.trim().split('/');
  if (more !== undefined || !(ipaddr.IPv4.isValidFourPartDecimal(address) || ipaddr.IPv6.isValid(address)))
    return null;
  const parsed = ipaddr.parse(address);
  const host = parsed instanceof ipaddr.IPv6 ? parsed.toRFC5952String() : parsed.toString();
  const all = parsed.toByteArray().length * 8;
  if (prefix === undefined || Number(prefix) === all) return host;
  return /^\d{1,3}$/.test(prefix) && Number(prefix) < all ? `${host}/${Number(prefix)}` : null;
}
