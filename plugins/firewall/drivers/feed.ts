import { Type, type HealthReport } from '#provider-sdk';
import type { DriverContext, FirewallFeed, FirewallTarget } from '../driver.js';
import { firewallProvider } from '../firewall-provider.js';

/** The plugin's name in riposte.config.yaml. */
export const FEED_PLUGIN = 'feed';

/** The lists of each feed. */
export const FEED_LISTS = ['ip', 'domain', 'url'] as const;
export type FeedList = (typeof FEED_LISTS)[number];

/**
 * Name in the ledger of a tenant's list.
 * @param tenantId in small letters
 */
export function feedListName(tenantId: string, list: FeedList): string {
  return `${tenantId}/${list}`;
}

/** Characters of a URL in a list; firewalls cut or skip what is much longer. */
const LONGEST_URL = 2000;

const SETTINGS = {
  /** Entries that each list may have. The smallest firewall that fetches it has to be able to hold them. */
  maxEntries: Type.Integer({ minimum: 1, maximum: 150_000, default: 10_000 }),
  /**
   * Addresses and networks of the firewalls. No others may fetch, and they are never blocked. None: everybody who knows
   * the password may.
   */
  consumers: Type.Array(Type.String({ format: 'network', examples: ['192.0.2.10', '192.0.2.0/28'] }), {
    maxItems: 1000,
    default: [],
  }),
} as const;
export interface FeedSettings {
  readonly maxEntries: number;
  readonly consumers: readonly string[];
}

const LIST_OF = {
  ipv4_net: 'ip',
  ipv6_net: 'ip',
  domain_name: 'domain',
  uri: 'url',
} as const satisfies Readonly<Record<FirewallTarget['kind'], FeedList>>;

const feed: FirewallFeed<FeedSettings> = {
  // An entry whose time is over is not published any more, whoever writes.
  expires: true,
  // Else what is in a network whose time ends would be missing until the next maintenance.
  covers: false,
  listOf: (_settings, { kind, value }, tenantId) =>
    value.length > LONGEST_URL
      ? { refused: `A URL of a feed may have ${LONGEST_URL} characters; this one has ${value.length}.` }
      : { list: feedListName(tenantId, LIST_OF[kind]) },
  mostEntries: ({ maxEntries }) => maxEntries,
  vendorHosts: ({ consumers }) => consumers,
  health,
};

/** Whether firewalls come for it: what nobody fetches blocks nothing. */
async function health({ ledger }: DriverContext<FeedSettings>): Promise<HealthReport> {
  if (ledger === undefined) throw new TypeError('a feed needs the ledger of its entries');
  const lists = await ledger.lists();
  const checks = await Promise.all(
    lists.map(async (list) => {
      const [latest] = await ledger.readers(list);
      const message =
        latest === undefined
          ? 'has entries, and no firewall has fetched it in 30 days'
          : `was fetched last at ${latest.fetchedAt.toISOString()} by ${latest.name ?? 'a firewall'} (${latest.address})`;
      return { name: list, ok: latest !== undefined, message };
    }),
  );
  const unread = checks.filter(({ ok }) => !ok).map(({ name }) => name);
  return {
    // What is to be published is; that a firewall is set up is not ours to know.
    ok: true,
    message:
      unread.length === 0
        ? 'The feed is published.'
        : `The feed is published, and no firewall fetches ${unread.join(', ')}. Set one up to fetch it, as docs/plugins/feed.md shows.`,
    checks,
  };
}

export const provider = firewallProvider({
  vendor: 'Riposte',
  provider: 'Feed',
  version: '1.0.0',
  title: 'Lists of what is blocked, which firewalls fetch: external dynamic lists, threat feeds, URL tables.',
  docUrl:
    'https://docs.paloaltonetworks.com/network-security/security-policy/administration/objects/external-dynamic-lists',
  settings: SETTINGS,
  secrets: { required: ['feedPassword'], optional: ['previousFeedPassword'] },
  concurrency: 100,
  targets: { ip: true, domain: true, url: true },
  driver: feed,
});
