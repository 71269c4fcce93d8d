import type { Provider } from '#provider-sdk';
import { nftables } from './drivers/nftables.js';
import { openc2 } from './drivers/openc2.js';
import { unbound } from './drivers/unbound.js';

export { firewallProvider, type FirewallDeclaration } from './firewall-provider.js';
export { ListWriter, difference } from './list-writer.js';
export type {
  DeviceEntry,
  DriverContext,
  FirewallDriver,
  FirewallTarget,
  ListChanges,
  NewEntry,
} from './driver.js';

/** The shipped firewalls, by the plugin name riposte.config.yaml calls them. */
export const firewalls: Readonly<Record<string, Provider>> = { nftables, openc2, unbound };
