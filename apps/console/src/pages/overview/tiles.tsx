import { Link } from '@tanstack/react-router';
import { CircleCheck, CircleHelp, Clock, Hourglass, LoaderCircle, type LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';
import { OPEN_COUNTED, type Overview, type OverviewWindow } from '../../api/types.ts';
import { count, duration, plural, shortCount } from '../../ui/format.ts';
import styles from './overview.module.css';

const PERIODS: Readonly<Record<OverviewWindow, string>> = {
  '1h': 'the last hour',
  '24h': 'the last 24 hours',
  '7d': 'the last 7 days',
};

/** What is to be known at a glance: how much there is now, and how it went. */
export function Tiles({ overview: { now, totals, window } }: { readonly overview: Overview }) {
  const ended = totals.completed + totals.failed + totals.outcomeUnknown;
  const { oldestWaiting } = now;
  return (
    <div className={styles['tiles']}>
      <Tile icon={LoaderCircle} label="Running" value={counted(now.running)} note="now" />
      <Tile
        icon={Clock}
        label="Waiting"
        value={counted(now.queued, now.throttled)}
        note={waitingInWords(now)}
      />
      {oldestWaiting === null ? (
        <Tile icon={Hourglass} label="Oldest waiting" value="–" note="nothing is waiting" />
      ) : (
        <Link to="/actions/$id" params={{ id: oldestWaiting.id }} className={styles['tile'] ?? ''}>
          <TileContent
            icon={Hourglass}
            label="Oldest waiting"
            value={duration(oldestWaiting.ageMs)}
            note="see why it is waiting"
          />
        </Link>
      )}
      <Tile
        icon={CircleCheck}
        label="Completed"
        value={ended === 0 ? '–' : share(totals.completed / ended)}
        note={`of ${plural(ended, 'action')} finished in ${PERIODS[window]}`}
      />
      <Link to="/inbox" className={styles['tile'] ?? ''}>
        <TileContent
          icon={CircleHelp}
          label="Outcome unknown"
          value={counted(now.unresolved)}
          note={now.unresolved === 0 ? 'nothing to check' : 'someone needs to check'}
        />
      </Link>
    </div>
  );
}

interface TileProps {
  readonly icon: LucideIcon;
  readonly label: string;
  readonly value: string;
  readonly note: ReactNode;
}

function Tile(props: TileProps) {
  return (
    <div className={styles['tile']}>
      <TileContent {...props} />
    </div>
  );
}

function TileContent({ icon: Icon, label, value, note }: TileProps) {
  return (
    <>
      <span className={styles['tileLabel']}>
        <Icon size={15} aria-hidden />
        {label}
      </span>
      <span className={`figures ${styles['tileValue'] ?? ''}`}>{value}</span>
      <span className={styles['tileNote']}>{note}</span>
    </>
  );
}

function waitingInWords({ queued, throttled }: Overview['now']): string {
  if (queued + throttled === 0) return 'nothing is waiting';
  return throttled === 0 ? 'all queued' : `${count(throttled)} of them held back`;
}

/** Their sum, and `+` where one of them is more than was counted. */
function counted(...numbers: readonly number[]): string {
  const sum = shortCount(numbers.reduce((total, number) => total + number, 0));
  return numbers.some((number) => number >= OPEN_COUNTED) ? `${sum}+` : sum;
}

/** 98.4 %; never rounded up to all of it. */
function share(part: number): string {
  if (part === 1) return '100 %';
  return `${Math.min(Math.round(part * 1000) / 10, 99.9)} %`;
}
