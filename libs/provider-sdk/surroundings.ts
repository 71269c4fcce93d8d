import { getServers } from 'node:dns';
import { readFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';

/** What this machine needs to stay reachable, and to reach others. Addresses are written plainly, without ports. */
export interface Surroundings {
  readonly ownAddresses: readonly string[];
  readonly ownNames: readonly string[];
  readonly gateways: readonly string[];
  readonly nameServers: readonly string[];
}

/**
 * Reads them anew. What cannot be read (elsewhere than on Linux, or from a plugin in a process of its own, there are no
 * routes to be read) is left out.
 *
 * @param textOf reads a file of the system, and gives an empty text where it cannot
 */
export function readSurroundings(textOf: (file: string) => string = systemFile): Surroundings {
  return {
    ownAddresses: Object.values(networkInterfaces()).flatMap((addresses = []) =>
      addresses.map(({ address }) => withoutZone(address)),
    ),
    ownNames: [hostname()],
    gateways: [...ipv4Gateways(textOf('/proc/net/route')), ...ipv6Gateways(textOf('/proc/net/ipv6_route'))],
    nameServers: getServers().map(nameServerAddress),
  };
}

/** Gateways of the routes to everywhere, from the text of /proc/net/route: addresses are hexadecimal, last byte first. */
function ipv4Gateways(text: string): readonly string[] {
  return rowsOf(text).flatMap(([, destination, gateway = '', , , , , mask]) =>
    destination === '00000000' && mask === '00000000' && /^(?!0{8})[0-9a-f]{8}$/i.test(gateway)
      ? [[...Buffer.from(gateway, 'hex')].toReversed().join('.')]
      : [],
  );
}

/** Gateways of the routes to everywhere, from the text of /proc/net/ipv6_route. */
function ipv6Gateways(text: string): readonly string[] {
  return rowsOf(text).flatMap(([destination, bits, , , gateway = '']) =>
    destination === '0'.repeat(32) && bits === '00' && /^(?!0{32})[0-9a-f]{32}$/i.test(gateway)
      ? [(gateway.match(/.{4}/g) ?? []).join(':')]
      : [],
  );
}

function rowsOf(text: string): readonly (readonly string[])[] {
  return text.split('\n').map((line) => line.trim().split(/\s+/));
}

function systemFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** `192.0.2.53:5353` and `[2001:db8::53]:5353` without their port. */
function nameServerAddress(server: string): string {
  const bracketed = /^\[(.*)\](?::\d+)?$/.exec(server)?.[1];
  if (bracketed !== undefined) return withoutZone(bracketed);
  return withoutZone(server.split(':').length === 2 ? (server.split(':')[0] ?? server) : server);
}

function withoutZone(address: string): string {
  return address.replace(/%.*/s, '');
}
