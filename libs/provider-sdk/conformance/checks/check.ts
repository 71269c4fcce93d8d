import type { CheckId, Verdict } from '../report.js';
import type { Scene } from '../scene.js';

/** One check: what it is called, what has to hold before it says anything of its own, and how it is made. */
export interface Check {
  readonly id: CheckId;
  /** True when it counts what the vendor did. */
  readonly needsVendor: boolean;
  /** Where one of these failed, this one would only say the same again. */
  readonly after?: readonly CheckId[];
  run(scene: Scene): Promise<Verdict>;
}

export const NO_VENDOR = 'the plugin was given without a vendor, so there are no remote effects to count';
export const NO_EFFECT = 'no action has an effect at the vendor';
