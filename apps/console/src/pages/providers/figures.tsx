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
      <Figure name="Waiting" value={waiting} note="of all tenants" />
      <Figure
        name="Typically"
        value={latency == null ? '–' : duration(latency.p50)}
        note="of the last hour"
      />
      <Figure name="At worst" value={latency == null ? '–' : duration(latency.p99)} note="but for 1 in 100" />
      <Figure name="Actions" value={count(actions.length)} note="it knows" />
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
