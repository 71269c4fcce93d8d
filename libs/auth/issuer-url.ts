import { isLoopbackUrl } from './loopback.js';

/**
 * An address that keys or discovery documents are read from: `https`, or `http` on this machine; no credentials,
 * no fragment. Null for anything else.
 */
export function issuerUrl(text: string): URL | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  if (url.username !== '' || url.password !== '' || text.includes('#')) return null;
  if (url.protocol === 'https:') return url;
  return url.protocol === 'http:' && isLoopbackUrl(url) ? url : null;
}
