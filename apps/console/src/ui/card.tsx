import { useId, type ReactNode } from 'react';
import styles from './card.module.css';
import { classNames } from './class-names.ts';

export interface CardProps {
  readonly title?: string;
  readonly note?: ReactNode;
  readonly actions?: ReactNode;
  /** Its content, as a table, goes to its edges. */
  readonly isFlush?: boolean;
  readonly children: ReactNode;
}

/** A part of a page, with a heading of the second level where it has a title. */
export function Card({ title, note, actions, isFlush = false, children }: CardProps) {
  const id = useId();
  return (
    <section className={styles['card']} {...(title === undefined ? {} : { 'aria-labelledby': id })}>
      {(title !== undefined || actions !== undefined) && (
        <div className={styles['head']}>
          <div>
            {title !== undefined && <h2 id={id}>{title}</h2>}
            {note !== undefined && <p className={styles['note']}>{note}</p>}
          </div>
          {actions}
        </div>
      )}
      <div
        className={classNames(
          styles['body'],
          isFlush && (title === undefined ? styles['bare'] : styles['flush']),
        )}
      >
        {children}
      </div>
    </section>
  );
}
