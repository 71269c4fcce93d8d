import { classNames } from './class-names.ts';
import styles from './meter.module.css';

/** How much of a whole there is; the words beside it say it, too. */
export function Meter({
  label,
  value,
  of,
  tone = 'info',
}: {
  readonly label: string;
  readonly value: number;
  readonly of: number;
  readonly tone?: 'info' | 'warning' | 'danger';
}) {
  const share = of <= 0 ? 0 : Math.max(0, Math.min(1, value / of));
  return (
    <div
      className={classNames(styles['meter'], styles[tone])}
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={of}
      aria-valuenow={Math.max(0, Math.min(of, value))}
    >
      <div className={styles['filled']} style={{ width: `${share * 100}%` }} />
    </div>
  );
}
