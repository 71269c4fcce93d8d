import proxyAddr from '@fastify/proxy-addr';
import type { FastifyRequest } from 'fastify';
import { ConfigurationError } from '#domain';

/** Absolute base of the links in the answer to a request, without a slash at its end. */
export type LinkBase = (request: FastifyRequest) => string;

/** Whether the address at the other end of a connection is that of a proxy whose word is taken. */
export type IsTrustedProxy = (address: string) => boolean;

const HOST =
  /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;
const LONGEST_HOST = 262;

/**
 * `PUBLIC_URL` where it is set. Otherwise, from a trusted proxy, the host and protocol it forwarded; from
 * anybody else the address the API listens on, whatever `Host` and `X-Forwarded-*` say: who may choose the links
 * of an answer may have its reader send a token elsewhere.
 */
export function linkBase(
  settings: { readonly publicUrl: string | null; readonly listenUrl: string },
  isTrusted: IsTrustedProxy,
): LinkBase {
  const { publicUrl, listenUrl } = settings;
  if (publicUrl !== null) return () => publicUrl;
  const ownProtocol = new URL(listenUrl).protocol.slice(0, -1);
  return (request) => {
    const peer = request.socket.remoteAddress;
    if (peer === undefined || !isTrusted(peer)) return listenUrl;
    // The last of several: what the proxy that is trusted added itself.
    const host = lastOf(request.headers['x-forwarded-host']);
    if (host === undefined || !isHost(host)) return listenUrl;
    const protocol = lastOf(request.headers['x-forwarded-proto'])?.toLowerCase();
    return `${protocol === 'http' || protocol === 'https' ? protocol : ownProtocol}://${host.toLowerCase()}`;
  };
}

/** Whether it is a host with its port, if any, as a URL has them: `1.2.3.400` and `localhost:70000` are none. */
export function isHost(text: string): boolean {
  return text.length <= LONGEST_HOST && HOST.test(text) && URL.canParse(`http://${text}`);
}

/**
 * Reads a list of addresses and networks (`10.0.0.0/8`, `::1`), separated by commas; `loopback`, `linklocal` and
 * `uniquelocal` stand for theirs. An empty one trusts nobody.
 * @throws ConfigurationError naming `RIPOSTE_TRUSTED_PROXIES`
 */
export function trustedProxies(list: string): IsTrustedProxy {
  const addresses = list
    .split(',')
    .map((address) => address.trim())
    .filter((address) => address !== '');
  if (addresses.length === 0) return () => false;
  try {
    const trusts = proxyAddr.compile(addresses);
    return (address) => trusts(address, 0);
  } catch (cause) {
    throw new ConfigurationError(
      `RIPOSTE_TRUSTED_PROXIES has to be a list of addresses and networks, as "10.0.0.0/8, ::1": ${(cause as Error).message}`,
      { cause },
    );
  }
}

function lastOf(header: string | string[] | undefined): string | undefined {
  return [header].flat().at(-1)?.split(',').at(-1)?.trim();
}
