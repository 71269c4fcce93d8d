import { domainToASCII } from 'node:url';
import ipaddr from 'ipaddr.js';

/**
 * Canonical forms of security indicators. Each function returns the canonical value, or null when the text is
 * not one. Vendors and command-line tools disagree on sloppy forms (a hostname where an address belongs,
 * `010.1.1.1`, `0x7f.1`), so only the plain ones pass.
 */
export const CANONICAL = {
  ip: canonicalIp,
  cidr: canonicalCidr,
  network: canonicalNetwork,
  domain: canonicalDomain,
  url: canonicalUrl,
  hash: canonicalHash,
} as const;
export type IndicatorFormat = keyof typeof CANONICAL;

function canonicalIp(text: string): string | null {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text).toString();
  if (text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text))
    return ipaddr.IPv6.parse(text).toRFC5952String();
  return null;
}

function canonicalCidr(text: string): string | null {
  const [address, bits, more] = text.split('/');
  if (address === undefined || bits === undefined || more !== undefined || !/^\d{1,3}$/.test(bits))
    return null;
  const ip = canonicalIp(address);
  if (ip === null || Number(bits) > (ip.includes(':') ? 128 : 32)) return null;
  const network = ip.includes(':')
    ? ipaddr.IPv6.networkAddressFromCIDR(`${ip}/${Number(bits)}`).toRFC5952String()
    : ipaddr.IPv4.networkAddressFromCIDR(`${ip}/${Number(bits)}`).toString();
  return `${network}/${Number(bits)}`;
}

/** An address or a network; a network of one address is that address. */
function canonicalNetwork(text: string): string | null {
  const network = canonicalCidr(text);
  if (network === null) return canonicalIp(text);
  const one = network.includes(':') ? '/128' : '/32';
  return network.endsWith(one) ? network.slice(0, -one.length) : network;
}

function canonicalDomain(text: string): string | null {
  const ascii = domainToASCII(text.replace(/\.$/, '')).toLowerCase();
  if (ascii.length === 0 || ascii.length > 253 || !ascii.includes('.')) return null;
  const labels = ascii.split('.');
  if (!labels.every((label) => /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/.test(label))) return null;
  // An all-numeric last label is an IPv4 address in disguise.
  return /^\d+$/.test(labels.at(-1) ?? '') ? null : ascii;
}

function canonicalUrl(text: string): string | null {
  if (!/^https?:\/\//i.test(text) || /\s/.test(text) || !URL.canParse(text)) return null;
  const url = new URL(text);
  return url.username !== '' || url.password !== '' ? null : url.href;
}

function canonicalHash(text: string): string | null {
  const hash = text.toLowerCase();
  return /^(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})$/.test(hash) ? hash : null;
}
