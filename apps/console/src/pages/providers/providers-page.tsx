import { Link } from '@tanstack/react-router';
import { Building2 } from 'lucide-react';
import type { Provider } from '../../api/types.ts';
import { Banner } from '../../ui/banner.tsx';
import { Card } from '../../ui/card.tsx';
import { Page } from '../../ui/page.tsx';
import { EmptyState, ErrorState, SkeletonLines } from '../../ui/states.tsx';
import { RelativeTime } from '../../ui/time.tsx';
import { Figures } from './figures.tsx';
import { PauseButton } from './pause-button.tsx';
import { nameOf, stateOf } from './provider-state.ts';
import styles from './providers.module.css';
import { Quota } from './quota.tsx';
import { StateBadge } from './state-badge.tsx';
import { useProviders } from './use-providers.ts';

/** Who carries out the tenant's actions, and how each of them fares. */
export function ProvidersPage() {
  const { data, isPending, error, refetch } = useProviders();
  return (
    <Page title="Providers" note="Where your actions are carried out, and the state of each provider now.">
      {data === undefined ? (
        <Card>
          {isPending || error === null ? (
            <SkeletonLines lines={6} />
          ) : (
            <ErrorState error={error} onRetry={() => void refetch()} />
          )}
        </Card>
      ) : data.length === 0 ? (
        <Card>
          <EmptyState icon={Building2} title="No provider serves this tenant">
            Providers and the tenants they serve are set in the installation’s configuration.
          </EmptyState>
        </Card>
      ) : (
        <>
          {error !== null && (
            <Banner tone="warning" title="This may be out of date">
              {error.message}
            </Banner>
          )}
          <div className={styles['grid']}>
            {data.map((provider) => (
              <ProviderCard key={provider.id} provider={provider} />
            ))}
          </div>
        </>
      )}
    </Page>
  );
}

function ProviderCard({ provider }: { readonly provider: Provider }) {
  const { words } = stateOf(provider);
  return (
    <Card>
      <div className={styles['head']}>
        <div className={styles['names']}>
          <h2>
            <Link
              to="/providers/$instance"
              params={{ instance: provider.id }}
              className={styles['link'] ?? ''}
            >
              {nameOf(provider)}
            </Link>
          </h2>
          <p className={styles['id']}>
            {provider.id} · {provider.plugin.name} {provider.plugin.version}
          </p>
        </div>
        <StateBadge provider={provider} />
      </div>
      {words !== null && (
        <p className={styles['words']}>
          {words}
          {provider.paused !== null && (
            <>
              {' '}
              (<RelativeTime at={provider.paused.at} isPast />)
            </>
          )}
        </p>
      )}
      <Figures provider={provider} />
      <Quota provider={provider} />
      <div className={styles['foot']}>
        <PauseButton provider={provider} />
      </div>
    </Card>
  );
}
