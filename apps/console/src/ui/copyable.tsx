import { CopyButton } from './copy-button.tsx';
import styles from './copyable.module.css';

/** A text with a button that copies it. */
export function Copyable({
  text,
  label,
  isMono = false,
}: {
  readonly text: string;
  /** What the button says, as `Copy the id`. */
  readonly label: string;
  readonly isMono?: boolean;
}) {
  return (
    <span className={styles['copyable']}>
      {isMono ? (
        <code className={styles['text']}>{text}</code>
      ) : (
        <span className={styles['text']}>{text}</span>
      )}
      <CopyButton text={text} label={label} />
    </span>
  );
}
