import { CircleAlert, CircleCheck, X } from 'lucide-react';
import { useSyncExternalStore, type ReactNode } from 'react';
import { IconButton } from './button.tsx';
import { classNames } from './class-names.ts';
import styles from './toast.module.css';

interface Toast {
  readonly id: number;
  readonly tone: 'success' | 'danger';
  readonly content: ReactNode;
}

/** Milliseconds for which what went well is shown. What went wrong stays until it is closed. */
const SHOWN_MS = 6000;

let toasts: readonly Toast[] = [];
let nextId = 1;
const listeners = new Set<() => void>();

/** Says, for a while, what was done. It moves no focus, and is read out. */
export function toast(content: ReactNode, tone: Toast['tone'] = 'success'): void {
  const id = nextId++;
  set([...toasts.slice(-3), { id, tone, content }]);
  if (tone === 'success') setTimeout(() => dismiss(id), SHOWN_MS);
}

function dismiss(id: number): void {
  set(toasts.filter((one) => one.id !== id));
}

function set(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Where toasts are shown; once a page. */
export function ToastRegion() {
  const shown = useSyncExternalStore(subscribe, () => toasts);
  return (
    <div className={styles['region']} role="log" aria-label="Messages" aria-live="polite">
      {shown.map(({ id, tone, content }) => (
        <div key={id} className={classNames(styles['toast'], styles[tone])}>
          {tone === 'success' ? <CircleCheck size={16} aria-hidden /> : <CircleAlert size={16} aria-hidden />}
          <div className={styles['words']}>{content}</div>
          <IconButton label="Close the message" size="small" onPress={() => dismiss(id)}>
            <X size={14} aria-hidden />
          </IconButton>
        </div>
      ))}
    </div>
  );
}
