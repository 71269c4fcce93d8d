import { queryOptions } from '@tanstack/react-query';
import { request, setCsrfToken, withQuery } from './client.ts';
import type {
  ActionDetails,
  NamedApplication,
  Operator,
  Overview,
  OverviewWindow,
  Page,
  Provider,
  SavedView,
  Session,
} from './types.ts';

/** Who is signed in; its answer brings the token that every unsafe request needs. */
export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: async ({ signal }) => {
    const session = await request<Session>('/api/v1/session', { signal });
    setCsrfToken(session.signedIn ? session.csrfToken : null);
    return session;
  },
  staleTime: 5 * 60_000,
  gcTime: Infinity,
  refetchOnWindowFocus: 'always',
});

export const overviewQuery = (window: OverviewWindow) =>
  queryOptions({
    queryKey: ['overview', window],
    queryFn: ({ signal }) => request<Overview>(withQuery('/api/v1/overview', { window }), { signal }),
  });

/** The people of the tenant; for administrators. */
export const operatorsQuery = queryOptions({
  queryKey: ['operators'],
  queryFn: async ({ signal }) => (await request<Page<Operator>>('/api/v1/operators', { signal })).value,
});

export const providersQuery = queryOptions({
  queryKey: ['providers'],
  queryFn: async ({ signal }) => (await request<Page<Provider>>('/api/v1/providers', { signal })).value,
});

export const actionQuery = (id: string) =>
  queryOptions({
    queryKey: ['action', id],
    queryFn: ({ signal }) => request<ActionDetails>(`/api/v1/actions/${encodeURIComponent(id)}`, { signal }),
  });

/** What applications are called; it changes seldom. */
export const applicationsQuery = queryOptions({
  queryKey: ['applications'],
  queryFn: async ({ signal }) =>
    (await request<Page<NamedApplication>>('/api/v1/applications', { signal })).value,
  staleTime: 5 * 60_000,
});

export const viewsQuery = queryOptions({
  queryKey: ['views'],
  queryFn: async ({ signal }) => (await request<Page<SavedView>>('/api/v1/views', { signal })).value,
});
