import {
  infiniteQueryOptions,
  keepPreviousData,
  useInfiniteQuery,
  useQuery,
  useQueryClient,
} from '@tanstack/react-query';
import { useEffect, useEffectEvent, useMemo, useRef, useState } from 'react';
import { pathOf, request } from '../../api/client.ts';
import { providersQuery } from '../../api/queries.ts';
import type { NativeAction, Page } from '../../api/types.ts';
import { serverNow } from '../../api/server-clock.ts';
import { useActionChanges } from '../../live/live.tsx';
import { listPath, type ListSearch } from './list-search.ts';
import { isFinal, newToList, patchPages, replaceRow } from './live-rows.ts';

/** Actions a page: more than a screen has, and few enough to be there at once. */
const PAGE = 60;
/** Milliseconds between two looks for rows of which a change did not tell all. */
const DETAILS_EVERY_MS = 1000;
/** Rows that are loaded anew in one of them. */
const DETAILS_AT_ONCE = 8;
/** New ones that are counted: nobody reads more, and a busy tenant has as many in seconds. */
export const MOST_FRESH = 1000;

const actionsQuery = (search: ListSearch) =>
  infiniteQueryOptions({
    queryKey: ['actions', search],
    queryFn: ({ pageParam, signal }) =>
      request<Page<NativeAction>>(pageParam ?? listPath(search, serverNow(), PAGE), { signal }),
    initialPageParam: null as string | null,
    getNextPageParam: ({ nextLink }) => (nextLink === undefined ? undefined : pathOf(nextLink)),
    placeholderData: keepPreviousData,
    // All pages would be asked for again, one after the other; changes come by themselves.
    refetchOnWindowFocus: false,
  });

/** A list of actions, page by page, of which the rows stay true and in their places. */
export function useActions(search: ListSearch) {
  const queries = useQueryClient();
  const query = actionsQuery(search);
  const list = useInfiniteQuery(query);
  const { data: providers } = useQuery(providersQuery);
  const rows = useMemo(() => list.data?.pages.flatMap(({ value }) => value) ?? [], [list.data]);
  const key = JSON.stringify(search);
  const [fresh, setFresh] = useState<{ readonly key: string; readonly ids: ReadonlySet<string> }>({
    key,
    ids: new Set(),
  });
  const isOwn = !list.isPlaceholderData;
  const [isRestarting, setRestarting] = useState(false);
  const incomplete = useRef(new Set<string>());
  const visible = useRef<readonly string[]>([]);

  useActionChanges((changes) => {
    if (!isOwn) return;
    queries.setQueryData(query.queryKey, (pages) => pages && patchPages(pages, changes));
    const ids = newToList(
      rows,
      changes,
      search,
      (provider) =>
        providers?.find(
          (one) => [one.vendor, one.provider, one.subProvider].filter(Boolean).join('/') === provider,
        )?.id,
    );
    if (ids.length > 0)
      setFresh((before) => {
        const known = before.key === key ? before.ids : new Set<string>();
        return known.size >= MOST_FRESH ? before : { key, ids: new Set([...known, ...ids]) };
      });
    const loaded = new Set(rows.map(({ id }) => id));
    for (const { id, status } of changes)
      if (loaded.has(id) && (status === 'Failed' || !isFinal(status as NativeAction['status'])))
        incomplete.current.add(id);
  });

  const complete = useEffectEvent(async () => {
    const ids = visible.current.filter((id) => incomplete.current.has(id)).slice(0, DETAILS_AT_ONCE);
    await Promise.all(
      ids.map(async (id) => {
        incomplete.current.delete(id);
        try {
          const action = await request<NativeAction>(`/api/v1/actions/${id}`);
          queries.setQueryData(query.queryKey, (pages) => pages && replaceRow(pages, action));
        } catch {
          // The row stays as it is: what changed of it is shown.
        }
      }),
    );
  });
  useEffect(() => {
    const timer = setInterval(() => void complete(), DETAILS_EVERY_MS);
    return () => clearInterval(timer);
  }, []);

  return {
    list,
    rows,
    /** How many there are that the list does not show yet. */
    freshCount: fresh.key === key ? fresh.ids.size : 0,
    isRestarting,
    /** Begins the list anew, at its first page. */
    restart: async (): Promise<void> => {
      setRestarting(true);
      setFresh({ key, ids: new Set() });
      queries.setQueryData(
        query.queryKey,
        (pages) => pages && { pages: pages.pages.slice(0, 1), pageParams: pages.pageParams.slice(0, 1) },
      );
      await queries.invalidateQueries({ queryKey: query.queryKey, exact: true });
      setRestarting(false);
    },
    /** Says which rows are on the screen, of which everything shall be known. */
    onVisible: (ids: readonly string[]): void => {
      visible.current = ids;
    },
  };
}
