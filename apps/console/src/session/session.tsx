import { createContext, use, type ReactNode } from 'react';
import type { QueryClient } from '@tanstack/react-query';
import { request, setCsrfToken } from '../api/client.ts';
import { sessionQuery } from '../api/queries.ts';
import type { Role, Session, SignedIn } from '../api/types.ts';

const SessionContext = createContext<SignedIn | null>(null);
const RANKS: Readonly<Record<Role, number>> = { Viewer: 0, Operator: 1, Administrator: 2 };

/** Tells the other tabs of this browser that the session is another one, or gone. */
const channel = new BroadcastChannel('riposte-session');

export function SessionProvider({
  session,
  children,
}: {
  readonly session: SignedIn;
  readonly children: ReactNode;
}) {
  return <SessionContext value={session}>{children}</SessionContext>;
}

/** Who is signed in. Every page of the shell has somebody. */
export function useSession(): SignedIn {
  const session = use(SessionContext);
  if (session === null) throw new Error('a page outside of the shell used the session');
  return session;
}

/** Whether the signed-in person has at least the role in the tenant. The API checks for itself. */
export function useMay(role: Role): boolean {
  return RANKS[useSession().tenant.role] >= RANKS[role];
}

/** Takes over what the API says of the session from now on, and forgets what was loaded for another tenant or person. */
export function takeSession(queries: QueryClient, next: Session): void {
  const before = queries.getQueryData(sessionQuery.queryKey);
  setCsrfToken(next.signedIn ? next.csrfToken : null);
  queries.setQueryData(sessionQuery.queryKey, next);
  if (keyOf(before) === keyOf(next)) return;
  queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'session' });
  channel.postMessage('changed');
}

function keyOf(session: Session | undefined): string {
  return session?.signedIn === true ? `${session.user.kind} ${session.user.name} ${session.tenant.id}` : '';
}

/** Calls the listener when another tab signed in or out, or switched the tenant. The answer ends that. */
export function onSessionElsewhere(listener: () => void): () => void {
  channel.addEventListener('message', listener);
  return () => channel.removeEventListener('message', listener);
}

/** @throws ApiError `unauthenticated`: name or password is wrong; `tooManyRequests` with `retryAfter` */
export async function signIn(queries: QueryClient, name: string, password: string): Promise<void> {
  takeSession(
    queries,
    await request<Session>('/api/v1/session', { method: 'POST', body: { name, password } }),
  );
}

/** Ends this session, or, with `everywhere`, all of the person's. */
export async function signOut(queries: QueryClient, everywhere = false): Promise<void> {
  if (everywhere) await request('/api/v1/session/end-all', { method: 'POST' });
  else await request('/api/v1/session', { method: 'DELETE' });
  takeSession(queries, await request<Session>('/api/v1/session'));
}

export async function switchTenant(queries: QueryClient, tenantId: string): Promise<void> {
  takeSession(
    queries,
    await request<Session>('/api/v1/session/tenant', { method: 'PUT', body: { tenantId } }),
  );
}

/** The person's other sessions end. @throws ApiError `unauthenticated` or `invalidRequest`, in words */
export async function changePassword(queries: QueryClient, current: string, next: string): Promise<void> {
  const body = { current, new: next };
  takeSession(queries, await request<Session>('/api/v1/session/password', { method: 'PUT', body }));
}
