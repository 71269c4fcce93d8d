import type { ReactNode } from 'react';
import { Mark } from './mark.tsx';
import { useDocumentTitle } from '../ui/page.tsx';
import styles from './gate.module.css';

/** A page before the shell: one card with one thing to do. */
export function Gate({
  title,
  note,
  children,
}: {
  readonly title: string;
  readonly note: string;
  readonly children: ReactNode;
}) {
  useDocumentTitle(title);
  return (
    <main className={styles['gate']}>
      <div className={styles['card']}>
        <div className={styles['brand']}>
          <Mark size={28} />
          Riposte
        </div>
        <div className={styles['words']}>
          <h1>{title}</h1>
          <p className={styles['note']}>{note}</p>
        </div>
        {children}
      </div>
    </main>
  );
}
