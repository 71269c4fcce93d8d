import type { Provider } from '../provider.js';
import type { VendorHttp } from '../vendor-http.js';
import type { VendorHttpOptions } from '../vendor-http-origin.js';
import type { CheckId } from './report.js';

/** Settings and secrets of one instance of the plugin, as an operator would configure them. */
export interface SampleInstance {
  readonly settings: Readonly<Record<string, unknown>>;
  /** At least 8 characters each, and others for each instance: they are looked for in all that the plugin says. */
  readonly secrets?: Readonly<Record<string, string>>;
}

/** Valid parameters of an action, by the names and with the types of its schema. */
export type Sample = Readonly<Record<string, unknown>>;

/** One thing that the vendor did to the outside world. */
export interface VendorEffect {
  /**
   * `did`: it carried an action out, or began to; `stopped`: it stopped work that was under way; `undid`: it took
   * back what it did. A request that changed nothing is no effect.
   */
  readonly what: 'did' | 'stopped' | 'undid';
  /** At what, in the vendor's words; for people. */
  readonly target: string;
  /** The idempotency key or tag that came with it; for people. */
  readonly key?: string;
}

/** The author's simulator of the vendor: a real HTTP server. What is optional lets more be checked. */
export interface SimulatedVendor {
  /** Where it listens, by plain http. All requests of the plugin are sent here, whatever host they name. */
  readonly baseUrl: string;
  /** Forgets effects, operations and what the other hooks made it do. Tokens it gave out stay good. */
  reset(): void | Promise<void>;
  /** What it did since the last `reset`, the oldest first. */
  effects(): readonly VendorEffect[] | Promise<readonly VendorEffect[]>;
  /** Requests that reached it since the last `reset`. Finds requests that go past the context. */
  calls?(): number | Promise<number>;
  /**
   * Lets the work under way come to its good end now. `operationId` is the id that the plugin gave it.
   * @returns true when it was still under way; false when it had ended or been stopped
   */
  finish?(operationId: string): boolean | Promise<boolean>;
  /** From now on, until `reset`, every operation is shown with this status, which the plugin has never heard of. */
  sayStatus?(text: string): void | Promise<void>;
  /** Puts the effect of such an action in place, as somebody else would have. No effect of ours. */
  preexisting?(action: string, sample: Sample): void | Promise<void>;
}

export interface ConformanceOptions {
  /** The plugin, or what makes one: then each worker that the kit plays gets its own, with a memory of its own. */
  readonly provider: Provider | (() => Provider | Promise<Provider>);
  /** Two, with secrets that differ. */
  readonly instances: readonly [SampleInstance, SampleInstance];
  /** For every action of the manifest, unless it is in `leaveOut`. */
  readonly samples: Readonly<Record<string, Sample>>;
  /** Actions that cannot be tried, each with why; the report says so. */
  readonly leaveOut?: Readonly<Record<string, string>>;
  /** Null for a plugin that calls no vendor: then most checks are not applicable. */
  readonly vendor: SimulatedVendor | null;
  /** Only these checks. Default: all. */
  readonly only?: readonly CheckId[];
  /** Interleavings of a cancel with the end of the work. Default 1,000; range 1 … 100,000. */
  readonly interleavings?: number;
  /** Makes what is drawn repeatable. Default 1. */
  readonly seed?: number;
  /** Milliseconds a call of the plugin may take against the simulator. Default 10,000; range 100 … 600,000. */
  readonly callTimeoutMs?: number;
  /** Makes the way to the vendor. Default: the SDK's own, which is the one that runs in production. */
  readonly http?: (options: VendorHttpOptions) => VendorHttp;
}
