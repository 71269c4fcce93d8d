import styles from './code-block.module.css';
import { CopyButton } from './copy-button.tsx';

/** Text to be read by the letter, as JSON; it scrolls where it is long. */
export function CodeBlock({ label, text }: { readonly label: string; readonly text: string }) {
  return (
    <div className={styles['block']}>
      <div className={styles['copy']}>
        <CopyButton text={text} label={`Copy ${label}`} />
      </div>
      {/* What scrolls has to be reached by the keyboard. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre className={styles['text']} role="region" aria-label={label} tabIndex={0}>
        {text}
      </pre>
    </div>
  );
}
