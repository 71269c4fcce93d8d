import { BlockList, isIP, isIPv6 } from 'node:net';
import { ProviderError } from '#provider-sdk';

/** Microsoft's names of what an indicator can be of. */
export const INDICATOR_TYPES = [
  'IpAddress',
  'DomainName',
  'Url',
  'FileSha1',
  'FileSha256',
  'FileMd5',
  'CertificateThumbprint',
] as const;
export type IndicatorType = (typeof INDICATOR_TYPES)[number];

/** What an indicator is of, as Defender wants it written. */
export interface IndicatorTarget {
  readonly type: IndicatorType;
  readonly value: string;
}

const HASH_OF_LENGTH: Readonly<Record<number, IndicatorType>> = {
  32: 'FileMd5',
  40: 'FileSha1',
  64: 'FileSha256',
};

/** Addresses that never cross the internet's border, where Defender would see them: it takes external ones only. */
const INTERNAL = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['224.0.0.0', 3],
] as const)
  INTERNAL.addSubnet(network, bits, 'ipv4');
for (const [network, bits] of [
  ['::', 127],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  INTERNAL.addSubnet(network, bits, 'ipv6');

/** @throws ProviderError `invalidInput` for an internal address */
export function addressTarget(ip: string): IndicatorTarget {
  if (isIP(ip) === 0) throw new ProviderError('invalidInput', `"${ip}" is no IP address.`);
  if (INTERNAL.check(ip, isIPv6(ip) ? 'ipv6' : 'ipv4'))
    throw new ProviderError(
      'invalidInput',
      `Defender takes indicators of external addresses only, and ${ip} is an internal one. A firewall blocks it; a machine is cut off by IsolateMachine.`,
    );
  return { type: 'IpAddress', value: isIPv6(ip) ? allSegments(ip) : ip };
}

/** @param hash hex digits of an MD5, SHA-1 or SHA-256 */
export function fileTarget(hash: string): IndicatorTarget {
  const type = HASH_OF_LENGTH[hash.length];
  if (type === undefined) throw new ProviderError('invalidInput', `"${hash}" is no MD5, SHA-1 or SHA-256.`);
  return { type, value: hash.toLowerCase() };
}

/** @throws ProviderError `invalidInput` for a value that is none of its type */
export function anyTarget(type: IndicatorType, value: string): IndicatorTarget {
  const given = value.trim();
  const refuse = (example: string): never => {
    throw new ProviderError('invalidInput', `"${given}" is no ${type} (for example ${example}).`);
  };
  switch (type) {
    case 'IpAddress':
      return isIP(given) === 0 ? refuse('1.2.3.4') : addressTarget(given);
    case 'DomainName':
      return /^(?=.{1,253}$)(?:[a-z0-9_-]{1,63}\.)+[a-z0-9-]{2,63}$/i.test(given)
        ? { type, value: given.toLowerCase() }
        : refuse('evil.example');
    case 'Url':
      return /^https?:\/\//i.test(given) && URL.canParse(given)
        ? { type, value: new URL(given).href }
        : refuse('https://evil.example/x');
    case 'CertificateThumbprint':
      return /^[0-9a-f]{40}$/i.test(given) ? { type, value: given.toLowerCase() } : refuse('a SHA-1 in hex');
    case 'FileSha1':
    case 'FileSha256':
    case 'FileMd5':
      return /^[0-9a-f]+$/i.test(given) && HASH_OF_LENGTH[given.length] === type
        ? { type, value: given.toLowerCase() }
        : refuse('a hash in hex');
  }
}

/**
 * Values whose Allow would defeat a Block or Warn of this one: itself, and for what lies within a domain also that and
 * those above it, which cover it.
 */
export function coveredBy({ type, value }: IndicatorTarget): readonly string[] {
  switch (type) {
    case 'DomainName':
      return parentsOf(value);
    case 'Url': {
      const { hostname } = new URL(value);
      return isIP(hostname) === 0 ? [value, ...parentsOf(hostname)] : [value, hostname];
    }
    default:
      return [value];
  }
}

/** A name and the domains it lies in, without the top-level one. */
function parentsOf(domain: string): readonly string[] {
  const labels = domain.split('.');
  return labels.slice(0, -1).map((_, index) => labels.slice(index).join('.'));
}

/** Defender takes no `::`. */
function allSegments(ip: string): string {
  const [front = '', back] = ip.split('::');
  // URL-style forms with an IPv4 tail do not get here: the canonical form has none but for mapped ones.
  const head = front === '' ? [] : front.split(':');
  const tail = back === undefined || back === '' ? [] : back.split(':');
  const missing = back === undefined ? 0 : 8 - head.length - tail.length;
  return [...head, ...Array.from({ length: missing }, () => '0'), ...tail].join(':');
}
