import type { QueryClient } from '@tanstack/react-query';
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from '@tanstack/react-router';
import { whenSignedOut } from './api/client.ts';
import { sessionQuery } from './api/queries.ts';
import { queryClient } from './api/query-client.ts';
import type { OverviewWindow } from './api/types.ts';
import { parseListSearch } from './pages/actions/list-search.ts';
import { returnPath } from './session/return-to.ts';
import { takeSession } from './session/session.tsx';
import { PageLoading, PageProblem, PageUnknown, SiteProblem } from './shell/page-states.tsx';
import { Root } from './shell/root.tsx';

interface RouterContext {
  readonly queries: QueryClient;
}

const root = createRootRouteWithContext<RouterContext>()({
  component: Root,
  notFoundComponent: PageUnknown,
  errorComponent: SiteProblem,
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  validateSearch: (search: Record<string, unknown>): { returnTo?: string; problem?: string } => ({
    ...textOf(search, 'returnTo'),
    ...textOf(search, 'problem'),
  }),
  beforeLoad: async ({ context, search }) => {
    const session = await context.queries.ensureQueryData(sessionQuery);
    if (session.signedIn) redirect({ throw: true, href: returnPath(search.returnTo) });
  },
  errorComponent: SiteProblem,
  component: lazyRouteComponent(() => import('./pages/sign-in/sign-in-page.tsx'), 'SignInPage'),
});

/** All pages but the sign-in: of somebody who is signed in. */
const shell = createRoute({
  getParentRoute: () => root,
  id: 'shell',
  beforeLoad: async ({ context, location }) => {
    const session = await context.queries.ensureQueryData(sessionQuery);
    if (!session.signedIn) {
      redirect({
        throw: true,
        to: '/sign-in',
        search: location.href === '/' ? {} : { returnTo: location.href },
      });
    }
  },
  errorComponent: SiteProblem,
  component: lazyRouteComponent(() => import('./shell/shell.tsx'), 'Shell'),
});

const overview = createRoute({
  getParentRoute: () => shell,
  path: '/',
  validateSearch: (search: Record<string, unknown>): { window?: OverviewWindow } => {
    const { window } = search;
    return window === '24h' || window === '7d' ? { window } : {};
  },
  component: lazyRouteComponent(() => import('./pages/overview/overview-page.tsx'), 'OverviewPage'),
});

const actions = createRoute({
  getParentRoute: () => shell,
  path: '/actions',
  validateSearch: parseListSearch,
  component: lazyRouteComponent(() => import('./pages/actions/actions-page.tsx'), 'ActionsPage'),
});

const newAction = createRoute({
  getParentRoute: () => shell,
  path: '/actions/new',
  validateSearch: (
    search: Record<string, unknown>,
  ): { from?: string; provider?: string; action?: string } => ({
    ...textOf(search, 'from'),
    ...textOf(search, 'provider'),
    ...textOf(search, 'action'),
  }),
  component: lazyRouteComponent(() => import('./pages/actions/new-action-page.tsx'), 'NewActionPage'),
});

const action = createRoute({
  getParentRoute: () => shell,
  path: '/actions/$id',
  component: lazyRouteComponent(() => import('./pages/actions/action-page.tsx'), 'ActionPage'),
});

const inbox = createRoute({
  getParentRoute: () => shell,
  path: '/inbox',
  component: lazyRouteComponent(() => import('./pages/inbox/inbox-page.tsx'), 'InboxPage'),
});

const providers = createRoute({
  getParentRoute: () => shell,
  path: '/providers',
  component: lazyRouteComponent(() => import('./pages/providers/providers-page.tsx'), 'ProvidersPage'),
});

const provider = createRoute({
  getParentRoute: () => shell,
  path: '/providers/$instance',
  component: lazyRouteComponent(() => import('./pages/providers/provider-page.tsx'), 'ProviderPage'),
});

const people = createRoute({
  getParentRoute: () => shell,
  path: '/people',
  component: lazyRouteComponent(() => import('./pages/people/people-page.tsx'), 'PeoplePage'),
});

const account = createRoute({
  getParentRoute: () => shell,
  path: '/account',
  component: lazyRouteComponent(() => import('./pages/account/account-page.tsx'), 'AccountPage'),
});

export const router = createRouter({
  routeTree: root.addChildren([
    signIn,
    shell.addChildren([overview, actions, newAction, action, inbox, providers, provider, people, account]),
  ]),
  context: { queries: queryClient },
  defaultPreload: 'intent',
  // What a page shows is kept by the queries.
  defaultPreloadStaleTime: 0,
  defaultPendingComponent: PageLoading,
  defaultErrorComponent: PageProblem,
  defaultNotFoundComponent: PageUnknown,
  // What no page knows, or what `validateSearch` leaves out of an address, reaches no page.
  search: { strict: true },
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}

whenSignedOut(() => void leave());

/** The session has ended: to the sign-in, and afterwards back to where this was. */
async function leave(): Promise<void> {
  const before = queryClient.getQueryData(sessionQuery.queryKey);
  if (before?.signedIn !== true) return;
  takeSession(queryClient, await queryClient.fetchQuery({ ...sessionQuery, staleTime: 0 }));
  await router.invalidate();
}

function textOf<Key extends string>(search: Record<string, unknown>, key: Key): { [K in Key]?: string } {
  const value = search[key];
  return typeof value === 'string' ? ({ [key]: value } as { [K in Key]?: string }) : {};
}
