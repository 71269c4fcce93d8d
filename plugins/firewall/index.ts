import type { Provider } from '#provider-sdk';
import { FEED_PLUGIN, provider as feed } from './drivers/feed.js';

export { FEED_LISTS, FEED_PLUGIN, feedListName, type FeedList, type FeedSettings } from './drivers/feed.js';
export { ListWriter, difference } from './list-writer.js';
export type { DeviceEntry, FirewallDriver, ListChanges } from './driver.js';

/** The shipped firewalls, by the plugin name riposte.config.yaml calls them. */
export const firewalls: Readonly<Record<string, Provider>> = { [FEED_PLUGIN]: feed };
