import { useMutation, useQuery } from '@tanstack/react-query';
import { Eye } from 'lucide-react';
import { request } from '../../api/client.ts';
import { providersQuery } from '../../api/queries.ts';
import type { ActionDetails, ObservedState } from '../../api/types.ts';
import { Banner } from '../../ui/banner.tsx';
import { Button } from '../../ui/button.tsx';
import { Card } from '../../ui/card.tsx';

/** Has the vendor asked whether the effect is in place now, where its plugin can tell and no parameter is hidden. */
export function Observation({ action }: { readonly action: ActionDetails }) {
  const { name, parameters, vendorInformation: at, providerInstance } = action;
  const { data: providers } = useQuery(providersQuery);
  const ask = useMutation({
    mutationFn: () => {
      const { vendor, provider, subProvider } = at;
      const vendorInformation = { vendor, provider, ...(subProvider === null ? {} : { subProvider }) };
      return request<ObservedState>('/api/v1/actions/observe', {
        method: 'POST',
        body: { name, parameters, vendorInformation },
      });
    },
  });
  const known = providers?.find(({ id }) => id === providerInstance);
  const isObservable = known?.actions.some(
    (one) => one.observable && [one.name, ...one.aliases].some((alias) => isSame(alias, name)),
  );
  if (isObservable !== true || parameters.some(({ value }) => value === null)) return null;
  const found = ask.data;
  return (
    <Card
      title="At the vendor now"
      actions={
        <Button size="small" isPending={ask.isPending} onPress={() => ask.mutate()}>
          <Eye size={14} aria-hidden />
          Ask the vendor now
        </Button>
      }
    >
      {ask.isError ? (
        <Banner tone="danger">{ask.error.message}</Banner>
      ) : found === undefined ? (
        <p>Asks whether the effect is in place. Nothing is changed there, or recorded here.</p>
      ) : (
        <Banner tone={found.inPlace === null ? 'unknown' : found.inPlace ? 'success' : 'neutral'}>
          {found.message}
        </Banner>
      )}
    </Card>
  );
}

/** As the API matches names. */
function isSame(one: string, another: string): boolean {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[_\s-]/g, '');
  return plain(one) === plain(another);
}
