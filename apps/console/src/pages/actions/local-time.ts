/** A time as a field of the browser takes it: in the reader's zone, to the minute. */
export function localTime(time: Date): string {
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
