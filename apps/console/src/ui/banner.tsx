import { CircleAlert, CircleCheck, CircleHelp, Info, TriangleAlert, type LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';
import type { Tone } from './badge.tsx';
import styles from './banner.module.css';
import tones from './tones.module.css';
import { classNames } from './class-names.ts';

const ICONS: Readonly<Record<Tone, LucideIcon>> = {
  neutral: Info,
  info: Info,
  success: CircleCheck,
  warning: TriangleAlert,
  danger: CircleAlert,
  unknown: CircleHelp,
};

/** Something to know about the whole page or form. Of what went wrong it is said at once. */
export function Banner({
  tone = 'info',
  title,
  actions,
  children,
}: {
  readonly tone?: Tone;
  readonly title?: string;
  readonly actions?: ReactNode;
  readonly children?: ReactNode;
}) {
  const Icon = ICONS[tone];
  return (
    <div className={classNames(styles['banner'], tones[tone])} role={tone === 'danger' ? 'alert' : 'status'}>
      <Icon size={16} aria-hidden />
      <div className={styles['text']}>
        {title !== undefined && <p className={styles['title']}>{title}</p>}
        {children}
      </div>
      {actions}
    </div>
  );
}
