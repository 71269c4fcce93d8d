import type { HealthReport, InstanceContext, ProviderError, Surroundings } from '#provider-sdk';

/**
 * What is to be done at a firewall, in the words of OpenC2's Stateless Packet Filtering profile (SLPF v1.0, section 2):
 * an action at a target. Domains and URLs are targets of our own, for devices that know them.
 */
export interface FirewallIntent {
  readonly verb: 'deny' | 'remove';
  readonly target: FirewallTarget;
  /** When the effect is to end; null: it stays until it is removed. */
  readonly until: Date | null;
}

export interface FirewallTarget {
  readonly kind: 'ipv4_net' | 'ipv6_net' | 'domain_name' | 'uri';
  /** Canonical: a host without a prefix, a network with one, a domain in ASCII, a URL. */
  readonly value: string;
}

/** An entry of a list, as it is on the device. */
export interface DeviceEntry {
  /** As it was written: canonical where the device keeps it another way. */
  readonly value: string;
  /**
   * Milliseconds until the device drops it by itself; null: never. Absent: the device does not say, and it is not written
   * again for its time.
   */
  readonly leftMs?: number | null;
  /** The device itself shows that it is of Riposte. Absent: it does not tell. */
  readonly isMarked?: boolean;
}

/** An entry to be written. */
export interface NewEntry {
  readonly value: string;
  /** Milliseconds after which the device may drop it; null: it stays. */
  readonly leftMs: number | null;
}

export interface ListChanges {
  /** To be taken away, before anything is added. What is not there is no failure. */
  readonly remove: readonly string[];
  /** To be added, or to get another time. What is there already is no failure. */
  readonly add: readonly NewEntry[];
}

/** What a driver may use of a call. */
export type DriverContext<Settings> = Pick<
  InstanceContext<Settings>,
  'instance' | 'settings' | 'secrets' | 'signal' | 'http' | 'ledger' | 'log'
>;

/** What of the surroundings a driver may know better than its process. */
export type DeviceSurroundings = Pick<Surroundings, 'ownAddresses' | 'gateways'>;

/** What a device, or a feed, has lists of. */
export interface FirewallLists<Settings = unknown> {
  /**
   * The list that a target goes into.
   *
   * @param tenantId of whom it is blocked for, in small letters
   * @returns a refusal in words where the device cannot do such a thing
   */
  listOf(
    settings: Settings,
    target: FirewallTarget,
    tenantId: string,
  ): { readonly list: string } | { readonly refused: string };
  /** True where an entry's time is kept by the device, to about a second. */
  readonly expires: boolean;
  /** The longest time that the device can keep, milliseconds: what is to stay longer is written without an end. Default any. */
  readonly longestMs?: number;
  /** True where a wider network covers what is in it, and both cannot stand side by side. */
  readonly covers: boolean;
  /** Names and addresses of the device and its interface: never blocked. */
  vendorHosts?(settings: Settings): readonly string[];
  /**
   * Addresses and gateways besides those of this process that are the device's: never blocked. It is asked for each block,
   * and may answer as it did within the last minute.
   *
   * @throws ProviderError where they cannot be read: nothing is blocked then
   */
  surroundings?(context: DriverContext<Settings>): Promise<DeviceSurroundings>;
  health(context: DriverContext<Settings>): Promise<HealthReport>;
}

/**
 * The way to one kind of device. It knows lists and entries and nothing of actions: who wants what, and when it is to
 * be written, is the list writer's.
 */
export interface FirewallDriver<Settings = unknown> extends FirewallLists<Settings> {
  /**
   * Makes on the device what the lists stand in and what enforces them, where it is missing: on start and every few
   * minutes. To repeat it changes nothing.
   * @throws ProviderError where it cannot be made, saying what to do
   */
  provision?(context: DriverContext<Settings>): Promise<void>;
  /**
   * All entries of a list.
   * @throws ProviderError `permanent` when the device was not set up for it, saying how
   */
  read(context: DriverContext<Settings>, list: string): Promise<readonly DeviceEntry[]>;
  /**
   * Writes all changes with as few requests as the device allows. It is read again afterwards, so that an answer is no proof.
   *
   * @returns why single entries failed, by their value
   * @throws ProviderError where none was written, or nobody knows which
   */
  write(
    context: DriverContext<Settings>,
    list: string,
    changes: ListChanges,
  ): Promise<ReadonlyMap<string, ProviderError>>;
  /**
   * For a device that cannot be asked for its entries: has it make again those of these that it lost. In maintenance, while
   * nobody else writes the list; it may look at some of them each time.
   *
   * @returns what was lost and is there again
   * @throws ProviderError where the device cannot be asked at all
   */
  restore?(
    context: DriverContext<Settings>,
    list: string,
    values: readonly string[],
  ): Promise<readonly string[]>;
  /** Ends what is under way from or to newly blocked addresses. Best effort. */
  killStates?(context: DriverContext<Settings>, values: readonly string[]): Promise<void>;
}

/** Lists that firewalls come for: there is no device to be written to, what the ledger notes as written is published. */
export interface FirewallFeed<Settings = unknown> extends FirewallLists<Settings> {
  /** Entries that a list may have. */
  mostEntries(settings: Settings): number;
}
