import { useQueryClient } from '@tanstack/react-query';
import { useRouter } from '@tanstack/react-router';
import { useEffect, useEffectEvent, useRef, useState } from 'react';
import { sessionQuery } from '../api/queries.ts';
import { serverNow } from '../api/server-clock.ts';
import { Button } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { plural } from '../ui/format.ts';
import { toast } from '../ui/toast.tsx';
import { signOut, useSession } from './session.tsx';

/** Milliseconds between the question and the end: time to reach a key. */
const WARNED_MS = 60_000;
/** Milliseconds before the end that cannot be put off, at which it is told. */
const TOLD_BEFORE_MS = 5 * 60_000;
/** Milliseconds between two notes to the other tabs that somebody is there. */
const NOTE_EVERY_MS = 10_000;
/** Milliseconds an unattended page stays signed in at least, and at most, whatever the clocks of the two sides say. */
const LEAST_MS = 2 * WARNED_MS;
const MOST_MS = 24 * 3_600_000;

const channel = new BroadcastChannel('riposte-presence');

/**
 * Ends the session of a page at which nobody is any more. The server cannot tell: the page asks it for news by itself.
 * It asks before, and who is there stays signed in.
 */
export function IdleGuard() {
  const queries = useQueryClient();
  const router = useRouter();
  const { idleUntil, endsAt } = useSession();
  const [{ idleMs, openedAt }] = useState(() => {
    const now = Date.now();
    return {
      idleMs: Math.min(MOST_MS, Math.max(LEAST_MS, Date.parse(idleUntil) - serverNow())),
      openedAt: now,
    };
  });
  const seenAt = useRef(openedAt);
  const isLeaving = useRef(false);
  const notedAt = useRef(0);
  const [leftMs, setLeftMs] = useState<number | null>(null);

  const stay = (): void => {
    seenAt.current = Date.now();
    setLeftMs(null);
    channel.postMessage('here');
    void queries.fetchQuery({ ...sessionQuery, staleTime: 0 });
  };
  const leave = async (): Promise<void> => {
    try {
      await signOut(queries);
    } catch {
      // Without the server nothing more is shown, and it ends the session by itself.
      queries.removeQueries();
    }
    await router.invalidate();
  };
  const onInput = useEffectEvent(() => {
    // Once it has asked, only an answer counts.
    if (leftMs !== null) return;
    seenAt.current = Date.now();
    if (seenAt.current - notedAt.current < NOTE_EVERY_MS) return;
    notedAt.current = seenAt.current;
    channel.postMessage('here');
  });
  const onElsewhere = useEffectEvent(() => {
    seenAt.current = Date.now();
    setLeftMs(null);
  });
  const onTick = useEffectEvent(() => {
    const left = seenAt.current + idleMs - Date.now();
    if (left > WARNED_MS) return;
    setLeftMs(left);
    if (left > 0 || isLeaving.current) return;
    isLeaving.current = true;
    void leave();
  });

  useEffect(() => {
    const input = (): void => onInput();
    const elsewhere = (): void => onElsewhere();
    for (const name of ['pointerdown', 'keydown', 'wheel', 'touchstart'] as const)
      document.addEventListener(name, input, { passive: true, capture: true });
    channel.addEventListener('message', elsewhere);
    const timer = setInterval(() => onTick(), 1000);
    return () => {
      for (const name of ['pointerdown', 'keydown', 'wheel', 'touchstart'] as const)
        document.removeEventListener(name, input, { capture: true });
      channel.removeEventListener('message', elsewhere);
      clearInterval(timer);
    };
  }, []);

  useEffect(() => {
    const tellInMs = Date.parse(endsAt) - TOLD_BEFORE_MS - serverNow();
    if (tellInMs < 0 || tellInMs > MOST_MS) return undefined;
    const timer = setTimeout(
      () =>
        toast(
          'Your session reaches its maximum length in 5 minutes. You will have to sign in again.',
          'danger',
        ),
      tellInMs,
    );
    return () => clearTimeout(timer);
  }, [endsAt]);

  return (
    <Dialog
      title="Are you still there?"
      isOpen={leftMs !== null}
      onClose={stay}
      isAlert
      actions={
        <Button variant="primary" onPress={stay} autoFocus>
          Stay signed in
        </Button>
      }
    >
      <p>
        You have been inactive for a while. Your session ends in{' '}
        <span className="figures">{plural(Math.max(0, Math.ceil((leftMs ?? 0) / 1000)), 'second')}</span>;
        unsaved changes will be lost.
      </p>
    </Dialog>
  );
}
