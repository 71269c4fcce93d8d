import { useNavigate } from '@tanstack/react-router';
import { useEffect, useEffectEvent, useRef, useState } from 'react';
import { useMay } from '../session/session.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { KeyValue } from '../ui/key-value.tsx';
import { DESTINATIONS } from './navigation.ts';
import { usePreferences } from './preferences.ts';
import styles from './shell.module.css';

/** Milliseconds in which the letter has to follow a `g`. */
const FOLLOWS_WITHIN_MS = 1200;

/** The keys that work on every page, and the dialog that tells them. A page's search field has `data-shortcut="search"`. */
export function Shortcuts() {
  const [isOpen, setOpen] = useState(false);
  const [{ shortcuts }] = usePreferences();
  const navigate = useNavigate();
  const mayAct = useMay('Operator');
  const mayManage = useMay('Administrator');
  const goesAt = useRef(-Infinity);
  const destinations = DESTINATIONS.filter(
    ({ role }) => role === undefined || (role === 'Operator' ? mayAct : mayManage),
  );

  const onKey = useEffectEvent((event: KeyboardEvent) => {
    if (!shortcuts || isElsewhere(event)) return;
    const follows = event.timeStamp - goesAt.current < FOLLOWS_WITHIN_MS;
    goesAt.current = event.key === 'g' && !follows ? event.timeStamp : -Infinity;
    if (event.key === '?') {
      event.preventDefault();
      setOpen(true);
    } else if (event.key === '/') {
      event.preventDefault();
      const field = document.querySelector<HTMLElement>('[data-shortcut="search"]');
      if (field === null) void navigate({ to: '/actions' });
      else field.focus();
    } else {
      const wanted = destinations.find(
        ({ key, isDirect = false }) => key === event.key && isDirect !== follows,
      );
      if (wanted === undefined) return;
      event.preventDefault();
      void navigate({ to: wanted.href });
    }
  });
  useEffect(() => {
    const listener = (event: KeyboardEvent): void => onKey(event);
    document.addEventListener('keydown', listener);
    return () => document.removeEventListener('keydown', listener);
  }, []);

  return (
    <Dialog title="Keyboard shortcuts" isOpen={isOpen} onClose={() => setOpen(false)}>
      <KeyValue
        facts={[
          ...destinations.map(
            ({ label, key, isDirect }) =>
              [label, <Keys key={key} keys={isDirect === true ? [key] : ['g', key]} />] as const,
          ),
          ['Search', <Keys key="/" keys={['/']} />],
          ['Actions list: next, previous', <Keys key="jk" keys={['j', 'k']} />],
          ['Actions list: select', <Keys key="x" keys={['x']} />],
          ['This list', <Keys key="?" keys={['?']} />],
          ['Close a dialog or menu', <Keys key="Esc" keys={['Esc']} />],
        ]}
      />
      <p>Turn them off under Account and appearance.</p>
    </Dialog>
  );
}

function Keys({ keys }: { readonly keys: readonly string[] }) {
  return keys.map((key) => (
    <kbd key={key} className={styles['kbd']}>
      {key}
    </kbd>
  ));
}

/** Whether the key is meant for something else: a field, a list, an open dialog, the browser. */
export function isElsewhere(event: KeyboardEvent): boolean {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return true;
  const target = event.target instanceof Element ? event.target : null;
  return (
    target?.closest(
      'input, textarea, select, [contenteditable], [role=listbox], [role=menu], [role=dialog]',
    ) != null || document.querySelector('[role=dialog], [role=alertdialog]') !== null
  );
}
