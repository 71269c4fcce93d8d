import type { Provider } from '../../api/types.ts';
import { count, duration } from '../../ui/format.ts';
import { Meter } from '../../ui/meter.tsx';
import styles from './providers.module.css';

/** Share of a window below which it is told as short. */
const SHORT = 0.2;

/** What is left of each window of the vendor's quota, and when there is more. */
export function Quota({ provider: { quota } }: { readonly provider: Provider }) {
  if (quota === null)
    return <p className={styles['note']}>The remaining quota is unknown because Redis is not responding.</p>;
  if (quota.length === 0) return <p className={styles['note']}>No rate limit applies.</p>;
  return (
    <ul className={styles['windows']}>
      {quota.map(({ calls, perSeconds, actions, left, nextFreeMs }) => {
        const of = actions === null ? 'all actions' : actions.join(', ');
        const label = `${count(calls)} per ${duration(perSeconds * 1000)}`;
        return (
          <li key={`${calls} ${perSeconds} ${of}`} className={styles['window']}>
            <div className={styles['windowWords']}>
              <span>
                {label} <span className={styles['note']}>· {of}</span>
              </span>
              <span className="figures">
                {count(left)} left
                {left <= 0 && nextFreeMs > 0 && `, more in ${duration(nextFreeMs)}`}
              </span>
            </div>
            <Meter
              label={`Left of ${label}, ${of}`}
              value={left}
              of={calls}
              tone={left <= 0 ? 'danger' : left <= calls * SHORT ? 'warning' : 'info'}
            />
          </li>
        );
      })}
    </ul>
  );
}
