/** Milliseconds that two clocks may differ by without a word: the server tells its own by the second, and answers take time. */
const TOLERATED_MS = 2000;

let aheadMs = 0;

/**
 * Hears the server's time, by which the console tells all times: the clock of a reader's device may be hours off.
 *
 * @param date the header `Date` of an answer; null: it has none
 * @param sentAt milliseconds since 1970 by the device's clock, as of the request
 * @param receivedAt as of the answer
 */
export function hearServerTime(date: string | null, sentAt: number, receivedAt: number): void {
  const time = Date.parse(date ?? '');
  if (Number.isNaN(time)) return;
  const difference = time + 500 - (sentAt + receivedAt) / 2;
  aheadMs = Math.abs(difference) <= TOLERATED_MS + (receivedAt - sentAt) / 2 ? 0 : difference;
}

/** Milliseconds since 1970 by the server's clock. */
export function serverNow(): number {
  return serverTimeOf(Date.now());
}

/** A time by the device's clock, by the server's; both in milliseconds since 1970. */
export function serverTimeOf(time: number): number {
  return time + aheadMs;
}
