import type { Provider } from '#provider-sdk';

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
export const firewalls: Readonly<Record<string, Provider>> = {};
