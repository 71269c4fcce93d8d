import { useQuery } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { Lock } from 'lucide-react';
import { actionQuery, providersQuery } from '../../api/queries.ts';
import { useMay } from '../../session/session.tsx';
import { Banner } from '../../ui/banner.tsx';
import { Card } from '../../ui/card.tsx';
import { Page } from '../../ui/page.tsx';
import { EmptyState, ErrorState, SkeletonLines } from '../../ui/states.tsx';
import { findAction, typedOf } from './form-model.ts';
import { NewActionForm, type Beginning } from './new-action-form.tsx';

const route = getRouteApi('/shell/actions/new');

/** A new action, by a form made of what its provider says it takes. */
export function NewActionPage() {
  const { from, provider, action } = route.useSearch();
  const mayAct = useMay('Operator');
  const providers = useQuery(providersQuery);
  const original = useQuery({ ...actionQuery(from ?? ''), enabled: from !== undefined });
  const isLoading = providers.isPending || (from !== undefined && original.isPending);
  return (
    <Page
      title="New action"
      isNarrow
      back={
        from === undefined
          ? { href: '/actions', label: 'Actions' }
          : { href: `/actions/${from}`, label: 'The original' }
      }
      note="It is recorded first, then carried out exactly once or reported as unknown."
    >
      {!mayAct ? (
        <Card>
          <EmptyState icon={Lock} title="Your role is read-only">
            An administrator of this tenant can make you an Operator.
          </EmptyState>
        </Card>
      ) : isLoading ? (
        <Card>
          <SkeletonLines lines={6} />
        </Card>
      ) : providers.isError ? (
        <Card>
          <ErrorState error={providers.error} onRetry={() => void providers.refetch()} />
        </Card>
      ) : providers.data?.length === 0 ? (
        <Card>
          <EmptyState title="No provider serves this tenant">
            Providers and the tenants they serve are set in the installation’s configuration.
          </EmptyState>
        </Card>
      ) : (
        <>
          {original.isError && (
            <Banner tone="warning" title="The original could not be loaded">
              {original.error.message}
            </Banner>
          )}
          <NewActionForm key={from ?? ''} providers={providers.data ?? []} beginning={beginningOf()} />
        </>
      )}
    </Page>
  );

  function beginningOf(): Beginning {
    const all = providers.data ?? [];
    const like = original.data;
    const instance = like?.providerInstance ?? provider ?? (all.length === 1 ? all[0]?.id : undefined);
    const found = findAction(
      all.find(({ id }) => id === instance),
      like?.name ?? action,
    );
    return {
      instance: instance ?? null,
      action: found?.name ?? null,
      typed: like === undefined || found === undefined ? {} : typedOf(like, found.parameters),
      reason: like?.actionReason ?? '',
      clientContext: like?.clientContext ?? '',
      hasSecrets: like?.parameters.some(({ value }) => value === null) === true,
    };
  }
}
