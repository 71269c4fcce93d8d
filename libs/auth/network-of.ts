import ipaddr from 'ipaddr.js';

/** What failures are counted by: an IPv4 address, or of IPv6 the /64, which is one host's to choose from. */
export function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  return parsed instanceof ipaddr.IPv6 ? parsed.parts.slice(0, 4).join(':') : parsed.toString();
}
