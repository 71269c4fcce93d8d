import { QueryClient } from '@tanstack/react-query';
import { ApiError } from './api-error.ts';

/** What the console keeps of the API's answers. Live updates say when they are old, so that few are asked for twice. */
export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      gcTime: 5 * 60_000,
      refetchOnWindowFocus: true,
      retry: (failures, error) => failures < 3 && mayPass(error),
      retryDelay: (failures, error) => {
        const asked = error instanceof ApiError ? error.retryAfter : null;
        return asked === null ? Math.min(1000 * 2 ** failures, 10_000) : Math.min(asked * 1000, 30_000);
      },
    },
    mutations: { retry: false },
  },
});

/** Whether the same request may succeed a little later. */
function mayPass(error: Error): boolean {
  if (!(error instanceof ApiError)) return false;
  return error.status === 0 || error.status === 429 || error.status === 503;
}
