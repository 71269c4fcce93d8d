/**
 * Time at the vendor. Moments are the wall's, as what others compare with their own clocks has to be; durations pass
 * `speed` times as fast: quota windows, the lives of actions and of links. With 60, an hour of quota is a minute.
 */
export class VendorClock {
  /** @param speed 1: as on the wall; above 0 */
  constructor(readonly speed: number) {}

  /** Milliseconds since 1970, on the wall. */
  now(): number {
    return Date.now();
  }

  /** Milliseconds on the wall that this many milliseconds of the vendor take. */
  lasting(vendorMs: number): number {
    return vendorMs / this.speed;
  }
}

/** As Defender writes moments, with seven digits of a second. */
export function shownTime(at: number): string {
  return new Date(at).toISOString().replace('Z', '0000Z');
}
