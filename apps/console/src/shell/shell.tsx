import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Outlet, useRouter, useRouterState } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import { sessionQuery } from '../api/queries.ts';
import { LiveProvider } from '../live/live.tsx';
import { ForcedPasswordChange } from '../pages/account/forced-password-change.tsx';
import { IdleGuard } from '../session/idle-guard.tsx';
import { SessionProvider, onSessionElsewhere } from '../session/session.tsx';
import { BottomBar, Sidebar, TopBar } from './bars.tsx';
import { Shortcuts } from './shortcuts.tsx';
import styles from './shell.module.css';

/** What stands around every page of somebody who is signed in. */
export function Shell() {
  const { data: session } = useQuery(sessionQuery);
  useOtherTabs();
  if (session?.signedIn !== true) return null;
  if (session.mustChangePassword) {
    return (
      <SessionProvider session={session}>
        <ForcedPasswordChange />
      </SessionProvider>
    );
  }
  return (
    <SessionProvider session={session}>
      <LiveProvider key={session.tenant.id}>
        <div className={styles['shell']}>
          <a href="#main" className={styles['skip']}>
            Skip to the content
          </a>
          <Sidebar />
          <TopBar />
          <Main />
          <BottomBar />
        </div>
        <Shortcuts />
        <IdleGuard />
      </LiveProvider>
    </SessionProvider>
  );
}

/** The page itself. It takes the focus when another page comes, so that it is read from its start. */
function Main() {
  const path = useRouterState({ select: ({ resolvedLocation }) => resolvedLocation?.pathname });
  const shown = useRef<string | undefined>(undefined);
  useEffect(() => {
    const isFirst = shown.current === undefined;
    if (path === undefined || shown.current === path) return;
    shown.current = path;
    // The first page begins with the navigation; what has the focus on a new page already, keeps it.
    if (isFirst || document.activeElement?.closest('main') != null) return;
    document.getElementById('main')?.focus({ preventScroll: true });
  }, [path]);
  return (
    <main id="main" className={styles['main']} tabIndex={-1}>
      <Outlet />
    </main>
  );
}

/** Follows what another tab does to the session. */
function useOtherTabs(): void {
  const queries = useQueryClient();
  const router = useRouter();
  useEffect(
    () =>
      onSessionElsewhere(() => {
        queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'session' });
        void queries.fetchQuery({ ...sessionQuery, staleTime: 0 }).then(() => router.invalidate());
      }),
    [queries, router],
  );
}
