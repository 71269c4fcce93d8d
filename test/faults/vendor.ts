import type { Random } from '../support/random.js';
import type { Effect } from './evidence.js';

export interface AskedFor {
  readonly name: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** A vendor as a process of its own, with a flushed ledger and bad days. */
export interface CampaignVendor {
  readonly baseUrl: string;
  /** Its instance in riposte.config.yaml, but for id and timeouts. */
  readonly instance: object;
  /** Where callers send its actions. */
  readonly vendorInformation: object;
  /**
   * What a client asks it for in its turn, each at a target of its own, so that the ledger tells them apart. All that is
   * drawn is drawn at once.
   */
  ask(turn: number, random: Random): AskedFor | Promise<AskedFor>;
  /** It takes its time, and now and then does something and never says so. */
  ordinaryDay(): Promise<void>;
  /** It misbehaves until the next ordinary day. What it does, for people. */
  badDay(random: Random): Promise<string>;
  /** What happened, by the ids of the product's actions. */
  ledger(): readonly Effect[];
  stop(): Promise<void>;
}
