import type { OperatorWithPassword } from '../../api/types.ts';
import { Banner } from '../../ui/banner.tsx';
import { Button } from '../../ui/button.tsx';
import { CopyButton } from '../../ui/copy-button.tsx';
import { Dialog } from '../../ui/dialog.tsx';
import styles from './people.module.css';

/** Shows the password that the server gave an account, once: it keeps a hash alone. */
export function OneTimePassword({
  person,
  onClose,
}: {
  /** Null: there is none to show. */
  readonly person: OperatorWithPassword | null;
  readonly onClose: () => void;
}) {
  if (person === null) return null;
  return (
    <Dialog
      title={`Password for ${person.name}`}
      isOpen
      onClose={onClose}
      isAlert
      actions={
        <Button variant="primary" onPress={onClose}>
          Done
        </Button>
      }
    >
      <p>
        Give it to {person.displayName === '' ? person.name : person.displayName} on a way that only the two
        of you read. It must be changed at the first sign-in.
      </p>
      <div className={styles['secret']}>
        <span data-secret>{person.password}</span>
        <CopyButton text={person.password} label="Copy the password" />
      </div>
      <Banner tone="warning">It is shown only once and cannot be looked up later.</Banner>
    </Dialog>
  );
}
