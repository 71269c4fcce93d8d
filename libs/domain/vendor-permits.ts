import type { Caller, WaitReason } from './action.js';

/**
 * At most so many calls to the vendor in any period of this length, however it is laid. Several hold together.
 */
export interface RateWindow {
  readonly calls: number;
  readonly perSeconds: number;
  /** The actions whose calls count here; absent: all of the instance. */
  readonly actions?: readonly string[];
}

/** For what calls to the vendor are about to be made. */
export type PermitRequest = CallPurpose & {
  readonly instance: string;
  /** The manifest's name of the action. */
  readonly actionName: string;
  /** Calls that will be made, as far as is known. At least 1, and no more than a window holds that they count in. */
  readonly calls: number;
};

/**
 * What calls are for. `urgent` (a cancel, also that of a deadline) and `release` (the start of what lets go, an undoing) may use all of a window;
 * `start` what is not kept for those; `poll` half of that, so that asking how far things are does not keep others from
 * being started; `question`, which a tenant may ask at any time, a quarter, and each tenant an eighth, so that neither
 * polls nor other tenants' questions wait for it. A pause holds what starts something: `start` and `release`.
 */
export type CallPurpose =
  | { readonly purpose: 'urgent' | 'release' | 'start' | 'poll' }
  | { readonly purpose: 'question'; readonly tenantId: string };

/** The right to call the vendor, for the calls that were asked for. */
export interface Permit {
  /**
   * Before each call. Waits where more are made than were asked for, as the windows say.
   * @throws the signal's reason when it is aborted meanwhile
   */
  spend(signal: AbortSignal): Promise<void>;
  /**
   * The calls have been made, or will not be. The first time counts.
   * @param made how many, where that was counted; what was not used is given back. Default: all that were asked for
   */
  settle(made?: number): void;
}

export type PermitAnswer =
  | { readonly kind: 'granted'; readonly permit: Permit }
  /** Nothing was taken. To be asked again in `waitMs`, or when the reason has gone. */
  | { readonly kind: 'wait'; readonly reason: Exclude<WaitReason, 'targetBusy'>; readonly waitMs: number };

/** How a provider instance fares, as all workers together see it. */
export interface InstanceState {
  /** Null: a start would be permitted now. */
  readonly waiting: { readonly reason: Exclude<WaitReason, 'targetBusy'>; readonly waitMs: number } | null;
  readonly breaker: 'closed' | 'open' | 'halfOpen';
  /**
   * Per window: its bound, what is left of it, and milliseconds until the next call leaves it (0: none is in it). Null:
   * what is shared cannot be reached.
   */
  readonly windows: readonly (RateWindow & { readonly left: number; readonly nextFreeMs: number })[] | null;
}

/**
 * Who may call a vendor, and when: windows, the vendor's own `Retry-After`, a circuit breaker and pauses, shared by
 * all processes. A permit is taken before the claim, so that what waits for one is never Running.
 */
export interface VendorPermits {
  /** Never throws. While what is shared cannot be reached, each process keeps to its share of the windows. */
  take(request: PermitRequest): Promise<PermitAnswer>;
  /** What a call came to: `answered` (whatever it said), `failed` (an error of its own, or none in time), `unreachable`. */
  note(instance: string, came: 'answered' | 'failed' | 'unreachable'): void;
  /** The vendor asked not to be called for so long. */
  vendorBusy(instance: string, forMs: number): void;
  state(instance: string): Promise<InstanceState>;
  /**
   * Milliseconds until a start may be expected that has `ahead` others before it, by the windows alone.
   * @param actionName what is to be started; null: it is not known, and windows of single actions are left out
   */
  expectedMs(instance: string, ahead: number, actionName: string | null): Promise<number>;
}

/** A call that is on record in the store. */
export interface RecentCall {
  readonly actionName: string;
  readonly at: Date;
  readonly purpose: Exclude<PermitRequest['purpose'], 'question'>;
}

/** From where the windows are rebuilt after what was shared is lost. */
export interface RecentCalls {
  /**
   * Calls to the vendor of this instance within the last `withinMs`, as far as the records tell; more rather than
   * fewer where they do not.
   */
  recentCalls(instance: string, withinMs: number): Promise<readonly RecentCall[]>;
}

/** What a provider says of its own state. */
export interface HealthReport {
  readonly ok: boolean;
  /** In words, with what to do where something is wrong. */
  readonly message: string;
  readonly checks?: readonly { readonly name: string; readonly ok: boolean; readonly message: string }[];
}

/** What a comparison of a device with the ledger of its entries found and repaired. */
export interface Maintained {
  /** Entries compared. */
  readonly checked: number;
  /** Entries that were missing and were put back. */
  readonly added: number;
  /** Entries that nobody wants any more and were taken away. */
  readonly removed: number;
  /** What could not be repaired, in words. */
  readonly problems: readonly string[];
}

/** What is on record of a provider instance besides its configuration. */
export interface InstanceRecord {
  readonly instance: string;
  /** Null: it is not paused. */
  readonly paused: {
    readonly by: Pick<Caller, 'appId' | 'user'>;
    readonly at: Date;
    readonly reason: string;
  } | null;
  /** As a worker last found it; null: nobody has asked yet. */
  readonly health: (HealthReport & { readonly at: Date }) | null;
  /** What the last comparison of the device with its ledger found; null: there was none. */
  readonly maintained: (Maintained & { readonly at: Date }) | null;
}

/** Pauses and health of provider instances, for all processes. */
export interface InstanceRecords {
  list(): Promise<readonly InstanceRecord[]>;
  /** Nothing is started at it until it is resumed, nor undone. What was issued is still polled, and can be cancelled. */
  pause(instance: string, caller: Caller, reason: string): Promise<InstanceRecord>;
  resume(instance: string): Promise<InstanceRecord>;
  reportHealth(instance: string, report: HealthReport): Promise<void>;
  reportMaintained(instance: string, report: Maintained): Promise<void>;
}
