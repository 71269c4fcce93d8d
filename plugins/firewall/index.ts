import type { Provider } from '#provider-sdk';
import { FEED_PLUGIN, provider as feed } from './drivers/feed.js';
import { nftables } from './drivers/nftables.js';
import { openc2 } from './drivers/openc2.js';
import { unbound } from './drivers/unbound.js';
import { opnsense } from './drivers/opnsense.js';
import { panos } from './drivers/panos.js';

export { firewallProvider, type FirewallDeclaration } from './firewall-provider.js';
export { FEED_LISTS, FEED_PLUGIN, feedListName, type FeedList, type FeedSettings } from './drivers/feed.js';
export { ListWriter, difference } from './list-writer.js';
export type {
  DeviceEntry,
  DriverContext,
  FirewallDriver,
  FirewallFeed,
  FirewallTarget,
  ListChanges,
  NewEntry,
} from './driver.js';

/** What makes each shipped firewall, by the plugin name riposte.config.yaml calls it. */
export const firewallMakers: Readonly<Record<'opnsense' | 'panos', () => Provider>> = {
  opnsense,
  panos,
};

/** The shipped firewalls, by the plugin name. */
export const firewalls: Readonly<Record<string, Provider>> = {
  [FEED_PLUGIN]: feed,
  nftables,
  openc2,
  unbound,
  ...Object.fromEntries(Object.entries(firewallMakers).map(([name, make]) => [name, make()])),
};
