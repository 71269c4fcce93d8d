import { useQuery } from '@tanstack/react-query';
import { providersQuery } from '../../api/queries.ts';

/** Milliseconds: quota, backlog and latency move without an event of their own. */
const ASKED_EVERY_MS = 10_000;

/** The provider instances as they are now. */
export function useProviders() {
  return useQuery({ ...providersQuery, refetchInterval: ASKED_EVERY_MS });
}
