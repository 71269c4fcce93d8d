import {
  Circle,
  CircleAlert,
  CircleCheck,
  CircleDashed,
  CircleHelp,
  CircleX,
  type LucideIcon,
} from 'lucide-react';
import type { Tone } from '../../ui/badge.tsx';
import { classNames } from '../../ui/class-names.ts';
import { AbsoluteTime, RelativeTime } from '../../ui/time.tsx';
import type { TimelineEntry } from './timeline.ts';
import styles from './timeline-list.module.css';

const ICONS: Readonly<Record<Tone, LucideIcon>> = {
  neutral: Circle,
  info: Circle,
  success: CircleCheck,
  warning: CircleAlert,
  danger: CircleX,
  unknown: CircleHelp,
};

/** What happened, the first above, and below it what is to come. */
export function Timeline({ entries }: { readonly entries: readonly TimelineEntry[] }) {
  return (
    <ol className={styles['timeline']}>
      {entries.map(({ id, at, title, detail, tone, isAhead }) => {
        const Icon = isAhead ? CircleDashed : ICONS[tone];
        return (
          <li key={id} className={classNames(styles['entry'], isAhead && styles['ahead'])}>
            <span className={classNames(styles['mark'], styles[tone])}>
              <Icon size={16} aria-hidden />
            </span>
            <div className={styles['words']}>
              <p className={styles['title']}>
                {title}
                {isAhead && <span className="visually-hidden"> (to come)</span>}
              </p>
              {detail !== undefined && <p className={styles['detail']}>{detail}</p>}
            </div>
            <div className={styles['time']}>
              {isAhead ? <RelativeTime at={at} /> : <AbsoluteTime at={at} />}
            </div>
          </li>
        );
      })}
    </ol>
  );
}
