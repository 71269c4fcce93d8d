import type { Provider } from '#provider-sdk';
import { FEED_PLUGIN, provider as feed } from './drivers/feed.js';
import { fortigate } from './drivers/fortigate.js';
import { nftables } from './drivers/nftables.js';
import { openc2 } from './drivers/openc2.js';
import { opnsense } from './drivers/opnsense.js';
import { panos } from './drivers/panos.js';
import { unbound } from './drivers/unbound.js';

export { FEED_LISTS, FEED_PLUGIN, feedListName, type FeedList, type FeedSettings } from './drivers/feed.js';
export { ListWriter, difference } from './list-writer.js';
export type { DeviceEntry, FirewallDriver, ListChanges } from './driver.js';

/** What makes each firewall that is written to, with a memory of its own, as each worker has. */
export const firewallMakers = { fortigate, nftables, openc2, opnsense, panos, unbound } as const;

/** The shipped firewalls, by the plugin name riposte.config.yaml calls them. */
export const firewalls: Readonly<Record<string, Provider>> = {
  [FEED_PLUGIN]: feed,
  fortigate: fortigate(),
  nftables: nftables(),
  openc2: openc2(),
  opnsense: opnsense(),
  panos: panos(),
  unbound: unbound(),
};
