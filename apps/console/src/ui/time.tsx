import { useEffect, useState, useSyncExternalStore } from 'react';
import { serverNow } from '../api/server-clock.ts';
import { bothTimes, dateTime, duration, relative } from './format.ts';

/** Milliseconds between two looks at the clock. */
const TICK_MS = 1000;

let now = serverNow();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

/** One clock for all times on the page. */
function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (timer === undefined) {
    now = serverNow();
    timer = setInterval(() => {
      now = serverNow();
      for (const one of listeners) one();
    }, TICK_MS);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** Milliseconds since 1970 by the server's clock, anew every second. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** How long ago something was, or when it will be; the exact time, local and UTC, on hover. */
export function RelativeTime({
  at,
  isPast = false,
}: {
  readonly at: string;
  /** It has happened: where this clock is behind, it was just now. */
  readonly isPast?: boolean;
}) {
  const date = new Date(at);
  const seen = useNow();
  const current = isPast ? Math.max(seen, date.getTime()) : seen;
  return (
    <time dateTime={at} title={bothTimes(date)} className="figures">
      {relative(date, current)}
    </time>
  );
}

/** When something was, to the second, in the reader's zone; UTC on hover. */
export function AbsoluteTime({ at }: { readonly at: string }) {
  const date = new Date(at);
  return (
    <time dateTime={at} title={bothTimes(date)} className="figures">
      {dateTime(date)}
    </time>
  );
}

/** How long it is until then, second by second; `now` once it is past. */
export function Countdown({ to }: { readonly to: string }) {
  const date = new Date(to);
  const [current, setCurrent] = useState(() => serverNow());
  useEffect(() => {
    const ticking = setInterval(() => setCurrent(serverNow()), 1000);
    return () => clearInterval(ticking);
  }, []);
  const left = Math.ceil((date.getTime() - current) / 1000) * 1000;
  return (
    <time dateTime={to} title={bothTimes(date)} className="figures">
      {left <= 0 ? 'now' : duration(left)}
    </time>
  );
}
