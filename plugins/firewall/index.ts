import type { Provider } from '#provider-sdk';
import { fortigate } from './drivers/fortigate.js';
import { nftables } from './drivers/nftables.js';
import { opnsense } from './drivers/opnsense.js';
import { panos } from './drivers/panos.js';
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

/** What makes each firewall that is reached by HTTP, with a memory of its own, as each worker has. */
export const firewallMakers = { fortigate, opnsense, panos } as const;

/** The shipped firewalls, by the plugin name riposte.config.yaml calls them. */
export const firewalls: Readonly<Record<string, Provider>> = {
  nftables,
  unbound,
  fortigate: fortigate(),
  opnsense: opnsense(),
  panos: panos(),
};
