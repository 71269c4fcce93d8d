/** Words for figures and times. Everything is English, for so is what the API says. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const local = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
const localShort = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
});
const counts = new Intl.NumberFormat('en-GB');
const compact = new Intl.NumberFormat('en-GB', { notation: 'compact', maximumFractionDigits: 1 });

/** 12,345 */
export function count(value: number): string {
  return counts.format(value);
}

/** 12.3k */
export function shortCount(value: number): string {
  return value < 10_000 ? counts.format(value) : compact.format(value);
}

/** `1 action`, `2 actions`; the plural is the word with an s unless it is given. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A length of time in its two largest units: `850 ms`, `2.4 s`, `3 min 20 s`, `4 h 5 min`, `2 d 3 h`. */
export function duration(ms: number): string {
  if (Math.round(ms) < SECOND) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / SECOND).toFixed(1)} s`;
  const seconds = Math.round(ms / SECOND);
  const units = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ] as const;
  const first = units.findIndex(([length]) => seconds >= length);
  return units
    .slice(first, first + 2)
    .map(([length, unit], place) => {
      const rest = place === 0 ? seconds : seconds % (units[first]?.[0] ?? 1);
      return [Math.floor(rest / length), unit] as const;
    })
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ');
}

/** How long ago, or until when, as of now: `just now`, `20 s ago`, `in 3 min`, `2 d ago`. */
export function relative(at: Date, now: number): string {
  const ms = at.getTime() - now;
  const size = Math.abs(ms);
  // What the server has just done may be later than the last look at this clock.
  if (size < 5 * SECOND) return ms < 2 * SECOND ? 'just now' : 'in a moment';
  const [length, unit] =
    size < MINUTE
      ? ([SECOND, 's'] as const)
      : size < HOUR
        ? ([MINUTE, 'min'] as const)
        : size < 2 * DAY
          ? ([HOUR, 'h'] as const)
          : ([DAY, 'd'] as const);
  const text = `${Math.floor(size / length)} ${unit}`;
  return ms <= 0 ? `${text} ago` : `in ${text}`;
}

/** In the reader's time zone, to the second: `29 Nov 2026, 03:12:45`. */
export function dateTime(at: Date): string {
  return local.format(at);
}

/** In the reader's time zone, without year and seconds. */
export function shortDateTime(at: Date): string {
  return localShort.format(at);
}

/** In both the reader's zone and UTC, for what is compared with logs. */
export function bothTimes(at: Date): string {
  return `${local.format(at)} local · ${at.toISOString().replace('T', ' ').replace('Z', ' UTC')}`;
}
