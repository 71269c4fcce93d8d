import { useQueryClient } from '@tanstack/react-query';
import { createContext, use, useEffect, useEffectEvent, useMemo, useState, type ReactNode } from 'react';
import { openEvents, type ChangedAction, type LiveState } from './events.ts';

type Listener = (actions: readonly ChangedAction[]) => void;

interface Live {
  readonly state: LiveState;
  readonly listeners: Set<Listener>;
}

const LiveContext = createContext<Live | null>(null);

/** Keeps what the console has loaded true: hears of changes, and has what they touch loaded anew. One a page. */
export function LiveProvider({ children }: { readonly children: ReactNode }) {
  const queries = useQueryClient();
  const [state, setState] = useState<LiveState>('connecting');
  const [listeners] = useState(() => new Set<Listener>());
  useEffect(
    () =>
      openEvents({
        url: '/api/v1/events',
        onActions(actions) {
          for (const { id } of actions) void queries.invalidateQueries({ queryKey: ['action', id] });
          for (const listener of listeners) listener(actions);
        },
        onProviders() {
          void queries.invalidateQueries({ queryKey: ['providers'] });
        },
        onReset() {
          void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'session' });
        },
        onState: setState,
      }),
    [queries, listeners],
  );
  const live = useMemo(() => ({ state, listeners }), [state, listeners]);
  return <LiveContext value={live}>{children}</LiveContext>;
}

/** How the page hears of changes. */
export function useLiveState(): LiveState {
  return useLive().state;
}

/** Calls the listener with the actions that changed, some times a second at most, as long as the component is shown. */
export function useActionChanges(listener: Listener): void {
  const { listeners } = useLive();
  const latest = useEffectEvent(listener);
  useEffect(() => {
    const one: Listener = (actions) => latest(actions);
    listeners.add(one);
    return () => {
      listeners.delete(one);
    };
  }, [listeners]);
}

function useLive(): Live {
  const live = use(LiveContext);
  if (live === null) throw new Error('a component outside of the shell listened for changes');
  return live;
}
