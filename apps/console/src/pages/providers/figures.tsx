import type { Provider } from '../../api/types.ts';
import { count, duration } from '../../ui/format.ts';
import styles from './providers.module.css';

/** How far the API counts. */
const COUNTED = 10_000;

/** What waits at an instance, and how long its actions take. */
export function Figures({ provider: { backlog, latency, actions } }: { readonly provider: Provider }) {
  const waiting =
    backlog.waiting === null ? '?' : `${count(backlog.waiting)}${backlog.waiting >= COUNTED ? '+' : ''}`;
  return (
    <dl className={styles['figures']}>
      <Figure name="Waiting" value={waiting} note="across all tenants" />
      <Figure
        name="Typical time"
        value={latency == null ? '–' : duration(latency.p50)}
        note="median, last hour"
      />
      <Figure
        name="Slowest"
        value={latency == null ? '–' : duration(latency.p99)}
        note="99 in 100 are faster"
      />
      <Figure name="Actions" value={count(actions.length)} note="supported" />
    </dl>
  );
}

function Figure({
  name,
  value,
  note,
}: {
  readonly name: string;
  readonly value: string;
  readonly note: string;
}) {
  return (
    <div className={styles['figure']}>
      <dt>{name}</dt>
      <dd>
        <strong>{value}</strong>
        <span>{note}</span>
      </dd>
    </div>
  );
}
