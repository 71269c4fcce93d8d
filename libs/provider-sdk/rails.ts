import { getPublicSuffix } from 'tldts';
import { Type, type Static, type TObject } from 'typebox';
import { ConfigurationError } from '#domain';
import { addressBlock, addressBlockOf, ipv4Within, overlap, type AddressBlock } from './address-block.js';
import { CANONICAL } from './indicators.js';
import { literalOf } from './network-guard.js';
import { readSurroundings, type Surroundings } from './surroundings.js';

/**
 * What nobody may block, by whichever driver: the machine's own way to the network and to the vendor, networks that
 * are no single attacker's, and what an operator lists.
 */

/** Settings of a plugin that blocks: spread them into the properties of its own. */
export const RAIL_SETTINGS = {
  /** Allows private addresses (RFC 1918, RFC 6598, ULA) to be blocked. */
  allowPrivate: Type.Boolean({ default: false }),
  /** The widest networks that may be blocked. */
  minPrefix: Type.Object(
    {
      v4: Type.Integer({ minimum: 1, maximum: 32, default: 24 }),
      v6: Type.Integer({ minimum: 1, maximum: 128, default: 48 }),
    },
    { additionalProperties: false, default: {} },
  ),
  /** Addresses, networks and domains that are never blocked; a domain with all names below it. */
  neverBlock: Type.Array(
    Type.Union([
      Type.String({ format: 'ip', examples: ['198.51.100.7'] }),
      Type.String({ format: 'cidr', examples: ['198.51.100.0/24'] }),
      Type.String({ format: 'domain', examples: ['corp.example'] }),
    ]),
    { maxItems: 10_000, default: [] },
  ),
} as const;

/** What the rails need of a plugin's settings; what is not there is as its default. */
export type RailSettings = Partial<Static<TObject<typeof RAIL_SETTINGS>>>;

/** Why a value is not blocked. */
export interface RailRefusal {
  /** For people: what is refused, why, and what to do where it is wanted nevertheless. */
  readonly message: string;
  /** The setting by which an operator can allow it, such as `settings.allowPrivate`; null where nothing can. */
  readonly key: string | null;
}

export interface BlockRails {
  /**
   * Says whether a value may be blocked: an address, a network, a domain or an http(s) URL, which is judged by its host.
   * Asks nobody: what a name stands for is not looked up.
   *
   * @returns null where it may be
   */
  check(value: string): RailRefusal | null;
}

export interface BlockRailsOptions {
  /** Names and addresses by which the vendor is reached. Default none. See `HostAddresses`. */
  readonly vendorHosts?: readonly string[];
  /** Default: of this machine, read now. */
  readonly surroundings?: Surroundings;
}

interface Protected<Of> {
  readonly what: Of;
  /** What it is, with an article. */
  readonly named: string;
  readonly key: string | null;
}
type ProtectedBlock = Protected<AddressBlock>;
interface ProtectedName extends Protected<string> {
  /** Whether names below it are protected, too. */
  readonly below: boolean;
}

const networks = (named: string, ...blocks: readonly string[]): readonly ProtectedBlock[] =>
  blocks.map((block) => ({ what: addressBlock(block), named, key: null }));

/** Protected whatever is configured. What is more to the point comes first. */
const ALWAYS: readonly ProtectedBlock[] = [
  // AWS, Azure, Google, OpenStack; AWS by IPv6; Azure's platform; Alibaba; Oracle.
  ...networks(
    'a metadata address of the cloud',
    '169.254.169.254',
    'fd00:ec2::254',
    '168.63.129.16',
    '100.100.100.200',
    '192.0.0.192',
  ),
  ...networks('the loopback', '127.0.0.0/8', '::1'),
  ...networks('an unspecified address', '0.0.0.0/8', '::'),
  ...networks('link-local', '169.254.0.0/16', 'fe80::/10'),
  ...networks('multicast or broadcast', '224.0.0.0/4', 'ff00::/8', '255.255.255.255'),
];

const PRIVATE = [
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  'fc00::/7',
  'fec0::/10',
].map(addressBlock);

const NEVER_BLOCK = 'settings.neverBlock';

/**
 * The rails of one provider instance. It reads the machine's addresses, gateways and name servers once: make it anew
 * for each call of the plugin, or keep it for a minute.
 *
 * @throws ConfigurationError naming the entry of `neverBlock` that is no address, network or domain
 */
export function blockRails(settings: RailSettings, options: BlockRailsOptions = {}): BlockRails {
  const { surroundings = readSurroundings(), vendorHosts = [] } = options;
  const { allowPrivate = false, minPrefix = { v4: 24, v6: 48 } } = settings;
  const blocks = [...ALWAYS];
  const names: ProtectedName[] = [];
  const protect = (hosts: readonly string[], named: string, key: string | null, below = false): void => {
    for (const host of hosts.map(hostOf)) {
      const block = addressBlockOf(host);
      if (block !== null) blocks.push({ what: block, named, key });
      else names.push({ what: nameOf(host), named, key, below });
    }
  };
  protect(surroundings.ownAddresses, 'an address of this machine', null);
  protect(surroundings.ownNames, 'the name of this machine', null);
  protect(surroundings.gateways, 'a gateway of this machine', null);
  protect(surroundings.nameServers, 'a name server of this machine', null);
  protect(vendorHosts, 'a host of the vendor', null);
  for (const [index, entry] of (settings.neverBlock ?? []).entries()) {
    if (addressBlockOf(entry) === null && CANONICAL.domain(entry) === null)
      throw new ConfigurationError(
        `${NEVER_BLOCK}[${index}]: "${entry}" is no IP address, network or domain; write for example 198.51.100.0/24 or example.com`,
      );
    protect([entry], 'which is listed there', NEVER_BLOCK, true);
  }

  const checkBlock = (value: string, block: AddressBlock): RailRefusal | null => {
    if (block.bits === 0) return refusal(value, 'it is every address there is');
    const within = ipv4Within(block);
    if (within === 'all') return refusal(value, 'it holds every IPv4 address there is');
    const found = blocks.find(({ what }) => overlap(what, block));
    if (found !== undefined)
      return refusal(
        value,
        `it ${relationTo(found.what, block)} ${found.what.text} (${found.named})`,
        found.key,
      );
    if (!allowPrivate && PRIVATE.some((network) => overlap(network, block)))
      return refusal(value, 'it is private', 'settings.allowPrivate');
    if (within !== null) return checkBlock(value, within);
    const [family, least] =
      block.bytes.length === 4 ? (['v4', minPrefix.v4] as const) : (['v6', minPrefix.v6] as const);
    if (block.bits < least)
      return refusal(value, `it is wider than a /${least}`, `settings.minPrefix.${family}`);
    return null;
  };

  const checkName = (value: string, name: string): RailRefusal | null => {
    const found = names.find(
      ({ what, below }) => isAtOrBelow(what, name) || (below && isAtOrBelow(name, what)),
    );
    if (found !== undefined) {
      const relation = found.what === name ? 'is' : isAtOrBelow(name, found.what) ? 'is below' : 'holds';
      return refusal(value, `it ${relation} ${found.what} (${found.named})`, found.key);
    }
    if (!name.includes('.'))
      return refusal(value, 'it is a whole top-level domain, or a name within a network');
    // Names under which anybody may have one of their own: of registries (co.uk), and of hosters (github.io).
    if (getPublicSuffix(name, { allowPrivateDomains: true }) === name)
      return refusal(value, 'it is a public suffix, under which many have their names');
    return null;
  };

  return {
    check: (value) => {
      const host = hostOf(value);
      const block = addressBlockOf(host);
      if (block !== null) return checkBlock(value, block);
      // With another label after it, one label alone has the form of a domain, too.
      if (CANONICAL.domain(host.includes('.') ? host : `${host}.example`) === null)
        return refusal(value, 'it is no IP address, network, domain or http(s) URL');
      return checkName(value, nameOf(host));
    },
  };
}

function refusal(value: string, why: string, key: string | null = null): RailRefusal {
  const remedy =
    key === null
      ? 'This is never blocked.'
      : `An operator can allow it by ${key} of the provider instance, where that is meant.`;
  return { message: `${JSON.stringify(value)} is not blocked: ${why}. ${remedy}`, key };
}

function relationTo(protectedBlock: AddressBlock, { bits }: AddressBlock): string {
  if (bits === protectedBlock.bits) return 'is';
  return bits < protectedBlock.bits ? 'holds' : 'is within';
}

/** The host of a URL, an address without brackets; else the text itself. */
function hostOf(value: string): string {
  const url = CANONICAL.url(value);
  if (url === null) return value;
  const { hostname } = new URL(url);
  return literalOf(hostname) ?? hostname;
}

/** A name in the form in which it is compared: ASCII, lower case, no dot at its end. */
function nameOf(host: string): string {
  return CANONICAL.domain(host) ?? host.replace(/(?<!\.)\.+$/, '').toLowerCase();
}

function isAtOrBelow(name: string, parent: string): boolean {
  return name === parent || name.endsWith(`.${parent}`);
}
