import { Fragment, type ReactNode } from 'react';
import styles from './key-value.module.css';

/** Facts about one thing, each with its name. What is null is left out. */
export function KeyValue({
  facts,
}: {
  readonly facts: readonly (readonly [name: string, value: ReactNode])[];
}) {
  return (
    <dl className={styles['list']}>
      {facts.map(
        ([name, value]) =>
          value !== null &&
          value !== undefined && (
            <Fragment key={name}>
              <dt className={styles['key']}>{name}</dt>
              <dd className={styles['value']}>{value}</dd>
            </Fragment>
          ),
      )}
    </dl>
  );
}
