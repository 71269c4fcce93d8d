import { useMutation } from '@tanstack/react-query';
import { request } from '../../api/client.ts';
import type { NativeAction, Page } from '../../api/types.ts';
import { serverNow } from '../../api/server-clock.ts';
import { Button } from '../../ui/button.tsx';
import { count } from '../../ui/format.ts';
import { countPath, type ListSearch } from './list-search.ts';

/** Counts the whole list when it is asked to: of a long one that takes the server seconds, or too long. */
export function CountButton({ search }: { readonly search: ListSearch }) {
  const counting = useMutation({
    mutationFn: () => request<Page<NativeAction>>(countPath(search, serverNow())),
  });
  if (counting.data?.count !== undefined)
    return <span role="status">{count(counting.data.count)} in all</span>;
  if (counting.isError) return <span role="alert">Too many to count: {counting.error.message}</span>;
  return (
    <Button size="small" variant="quiet" isPending={counting.isPending} onPress={() => counting.mutate()}>
      Count all
    </Button>
  );
}
