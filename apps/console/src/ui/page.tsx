import { ChevronLeft } from 'lucide-react';
import { useEffect, useRef, type ReactNode } from 'react';
import { Link } from 'react-aria-components/Link';
import { classNames } from './class-names.ts';
import styles from './page-header.module.css';

export interface PageProps {
  /** Its heading, and the title of the document. */
  readonly title: string;
  /** What stands beside the heading, as a StatusBadge. */
  readonly beside?: ReactNode;
  readonly note?: ReactNode;
  readonly actions?: ReactNode;
  /** Where it is a part of. */
  readonly back?: { readonly href: string; readonly label: string };
  /** For forms, which are read in one column. */
  readonly isNarrow?: boolean;
  readonly children: ReactNode;
}

/** A page of the shell: its head, and below it what it is about. */
export function Page({ title, beside, note, actions, back, isNarrow = false, children }: PageProps) {
  useDocumentTitle(title);
  return (
    <div className={classNames(styles['page'], isNarrow && styles['narrow'])}>
      <header className={styles['header']}>
        <div className={styles['words']}>
          {back !== undefined && (
            <Link href={back.href} className={styles['back'] ?? ''}>
              <ChevronLeft size={14} aria-hidden />
              {back.label}
            </Link>
          )}
          <div className={styles['title']}>
            <h1>{title}</h1>
            {beside}
          </div>
          {note !== undefined && <p className={styles['note']}>{note}</p>}
        </div>
        {actions !== undefined && <div className={styles['actions']}>{actions}</div>}
      </header>
      {children}
    </div>
  );
}

/** The document's title, with the product's name behind, as long as the page is shown. */
export function useDocumentTitle(title: string): void {
  const shown = useRef('');
  useEffect(() => {
    shown.current = `${title} · Riposte`;
    document.title = shown.current;
  }, [title]);
}
