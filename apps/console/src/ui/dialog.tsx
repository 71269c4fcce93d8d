import { X } from 'lucide-react';
import { useEffect, useState, type ReactNode } from 'react';
import { Dialog as AriaDialog } from 'react-aria-components/Dialog';
import { Heading } from 'react-aria-components/Heading';
import { Modal, ModalOverlay } from 'react-aria-components/Modal';
import { ApiError } from '../api/api-error.ts';
import { Button, IconButton } from './button.tsx';
import { Banner } from './banner.tsx';
import { classNames } from './class-names.ts';
import styles from './dialog.module.css';

export interface DialogProps {
  readonly title: string;
  readonly isOpen: boolean;
  readonly onClose: () => void;
  /** Buttons at its end, the one that does it last. */
  readonly actions?: ReactNode;
  readonly isWide?: boolean;
  /** For what must be answered: a click outside does not close it, and it is announced as an alert. */
  readonly isAlert?: boolean;
  readonly children: ReactNode;
}

/** Something to read or to answer before one goes on. Escape closes it, and the focus goes back to where it was, or, where that is gone, to the page. */
export function Dialog({
  title,
  isOpen,
  onClose,
  actions,
  isWide = false,
  isAlert = false,
  children,
}: DialogProps) {
  return (
    <ModalOverlay
      className={styles['overlay'] ?? ''}
      isOpen={isOpen}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
      isDismissable={!isAlert}
    >
      <Modal className={classNames(styles['modal'], isWide && styles['wide'])}>
        <AriaDialog className={styles['dialog'] ?? ''} role={isAlert ? 'alertdialog' : 'dialog'}>
          <div className={styles['head']}>
            <Heading slot="title" level={2}>
              {title}
            </Heading>
            {!isAlert && (
              <IconButton label="Close" size="small" onPress={onClose}>
                <X size={16} aria-hidden />
              </IconButton>
            )}
          </div>
          <FocusOnceGone />
          <div className={styles['body']}>{children}</div>
          {actions !== undefined && <div className={styles['actions']}>{actions}</div>}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
}

/** Frames after a dialog in which what opened it may go: it has a second, for what was done shows then. */
const FRAMES_WATCHED = 60;

/** Once it is gone, hands the focus to the page where nothing has it: what opened the dialog is no more. */
function FocusOnceGone() {
  useEffect(
    () => () => {
      let frames = 0;
      const look = (): void => {
        // What gave the focus back has had its turn: it does that a frame after the dialog is gone.
        if (frames > 2 && (document.activeElement ?? document.body) === document.body)
          document.getElementById('main')?.focus({ preventScroll: true });
        frames += 1;
        if (frames < FRAMES_WATCHED) requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    },
    [],
  );
  return null;
}

export interface ConfirmDialogProps {
  readonly title: string;
  readonly isOpen: boolean;
  readonly onClose: () => void;
  /** What its button says: what will happen, as `Cancel 12 actions`. */
  readonly confirm: string;
  /** What the button says that leaves all as it is. Default `Keep as is`. */
  readonly dismiss?: string;
  readonly isDangerous?: boolean;
  readonly isDisabled?: boolean;
  /** What is done; the dialog closes once it has succeeded, and else shows why not. */
  readonly onConfirm: () => Promise<unknown>;
  /** What it will mean, in words. */
  readonly children: ReactNode;
}

/** Asks before something is done that cannot simply be taken back. */
export function ConfirmDialog({
  title,
  isOpen,
  onClose,
  confirm,
  dismiss = 'Keep as is',
  isDangerous = false,
  isDisabled = false,
  onConfirm,
  children,
}: ConfirmDialogProps) {
  const [isPending, setPending] = useState(false);
  const [problem, setProblem] = useState<Error | null>(null);
  const close = (): void => {
    setProblem(null);
    onClose();
  };
  const run = async (): Promise<void> => {
    setPending(true);
    setProblem(null);
    try {
      await onConfirm();
      close();
    } catch (error) {
      setProblem(error instanceof Error ? error : new Error(String(error)));
    } finally {
      setPending(false);
    }
  };
  return (
    <Dialog
      title={title}
      isOpen={isOpen}
      onClose={close}
      isAlert
      actions={
        <>
          <Button onPress={close} isDisabled={isPending} autoFocus={isDangerous}>
            {dismiss}
          </Button>
          <Button
            variant={isDangerous ? 'danger' : 'primary'}
            onPress={() => void run()}
            isPending={isPending}
            isDisabled={isDisabled}
          >
            {confirm}
          </Button>
        </>
      }
    >
      {children}
      {problem !== null && (
        <Banner tone="danger">
          {problem.message}
          {problem instanceof ApiError && problem.requestId !== null && ` (request ${problem.requestId})`}
        </Banner>
      )}
    </Dialog>
  );
}
