import { useMutation, useQueryClient } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { ArrowUpRight, CircleCheck, CircleX, HeartPulse } from 'lucide-react';
import { request } from '../../api/client.ts';
import { providersQuery } from '../../api/queries.ts';
import type { Provider, ProviderAction } from '../../api/types.ts';
import { useMay, useSession } from '../../session/session.tsx';
import { Badge } from '../../ui/badge.tsx';
import { Banner } from '../../ui/banner.tsx';
import { Button, LinkButton } from '../../ui/button.tsx';
import { Card } from '../../ui/card.tsx';
import { Disclosure } from '../../ui/disclosure.tsx';
import { count, duration } from '../../ui/format.ts';
import { KeyValue } from '../../ui/key-value.tsx';
import { Page } from '../../ui/page.tsx';
import { EmptyState, ErrorState, SkeletonLines } from '../../ui/states.tsx';
import { RelativeTime } from '../../ui/time.tsx';
import { toast } from '../../ui/toast.tsx';
import { fieldsOf, type FormField } from '../actions/form-model.ts';
import { Who } from '../actions/who.tsx';
import { Figures } from './figures.tsx';
import { PauseButton } from './pause-button.tsx';
import { nameOf, stateOf } from './provider-state.ts';
import styles from './providers.module.css';
import { Quota } from './quota.tsx';
import { StateBadge } from './state-badge.tsx';
import { useProviders } from './use-providers.ts';

const route = getRouteApi('/shell/providers/$instance');
const BACK = { href: '/providers', label: 'Providers' };
const BREAKERS: Readonly<Record<Provider['breaker'], string>> = {
  closed: 'Closed: calls go through',
  open: 'Open: the vendor is not responding, so calls are on hold',
  halfOpen: 'Half open: one call is checking whether the vendor is back',
};

/** One provider instance: how it fares, and what it can do. */
export function ProviderPage() {
  const { instance } = route.useParams();
  const { data, error, isPending, refetch } = useProviders();
  const provider = data?.find(({ id }) => id === instance);
  if (provider !== undefined) return <Shown provider={provider} problem={error} />;
  return (
    <Page title={instance} back={BACK}>
      <Card>
        {data !== undefined ? (
          <EmptyState title="No such provider">
            No provider with this id serves this tenant. It may have been removed from the configuration.
          </EmptyState>
        ) : isPending || error === null ? (
          <SkeletonLines lines={6} />
        ) : (
          <ErrorState error={error} onRetry={() => void refetch()} />
        )}
      </Card>
    </Page>
  );
}

function Shown({ provider, problem }: { readonly provider: Provider; readonly problem: Error | null }) {
  const { id, vendor, paused, tenants, plugin, providerAliases, maintained, docUrl } = provider;
  const { words, tone } = stateOf(provider);
  const filter = [vendor, provider.provider, provider.subProvider].filter(Boolean).join('/');
  return (
    <Page
      title={nameOf(provider)}
      back={BACK}
      beside={<StateBadge provider={provider} />}
      note={id}
      actions={
        <>
          <LinkButton href={`/actions?provider=${encodeURIComponent(filter)}`}>View actions</LinkButton>
          <PauseButton provider={provider} />
        </>
      }
    >
      {problem !== null && (
        <Banner tone="warning" title="This may be out of date">
          {problem.message}
        </Banner>
      )}
      {paused !== null ? (
        <Banner tone="warning" title="Paused: nothing starts here">
          {paused.reason} (<RelativeTime at={paused.at} isPast />
          {paused.by !== undefined && (
            <>
              , by <Who {...paused.by} />
            </>
          )}
          )
        </Banner>
      ) : (
        (tone === 'warning' || tone === 'danger') && words !== null && <Banner tone={tone}>{words}</Banner>
      )}
      <Card>
        <Figures provider={provider} />
      </Card>
      <div className={styles['halves']}>
        <HealthCard provider={provider} />
        <Card title="Quota and breaker">
          <Quota provider={provider} />
          <KeyValue
            facts={[
              ['Breaker', BREAKERS[provider.breaker]],
              [
                'Next start',
                provider.waiting === null
                  ? 'At once'
                  : provider.waiting.reason === 'paused'
                    ? 'Once it is resumed'
                    : `In ${duration(provider.waiting.waitMs)}`,
              ],
            ]}
          />
        </Card>
      </div>
      <Card title={`What it can do (${count(provider.actions.length)})`} isFlush>
        <ul className={styles['actions']}>
          {provider.actions.map((action) => (
            <ActionItem key={action.name} action={action} instance={id} />
          ))}
        </ul>
      </Card>
      <Card title="Details">
        <KeyValue
          facts={[
            ['Vendor and provider', `${vendor} / ${provider.provider}`],
            ['Sub-provider', provider.subProvider],
            ['Also known as', providerAliases.length === 0 ? null : providerAliases.join(', ')],
            ['Plugin', `${plugin.name} ${plugin.version}`],
            ['Tenants', tenants === undefined ? null : tenants.includes('*') ? 'all' : tenants.join(', ')],
            ['Documentation', linkOf(docUrl)],
            [
              'Last synchronised',
              maintained === null ? null : (
                <>
                  <RelativeTime at={maintained.at} isPast />
                  {`: ${count(maintained.checked)} checked, ${count(maintained.added)} restored, ${count(maintained.removed)} removed`}
                  {maintained.problems?.map((one) => (
                    <span key={one}>{one}</span>
                  ))}
                </>
              ),
            ],
          ]}
        />
      </Card>
    </Page>
  );
}

function HealthCard({ provider: { id, health } }: { readonly provider: Provider }) {
  const { operates } = useSession();
  const queries = useQueryClient();
  const check = useMutation({
    mutationFn: () => request(`/api/v1/providers/${encodeURIComponent(id)}/health`, { method: 'POST' }),
    onSuccess: () => queries.invalidateQueries({ queryKey: providersQuery.queryKey }),
    onError: (error) => toast(`The health check failed. ${error.message}`, 'danger'),
  });
  return (
    <Card
      title="Health"
      {...(operates
        ? {
            actions: (
              <Button size="small" isPending={check.isPending} onPress={() => check.mutate()}>
                <HeartPulse size={14} aria-hidden />
                Check now
              </Button>
            ),
          }
        : {})}
    >
      {health === null ? (
        <p className={styles['note']}>Not checked yet.</p>
      ) : (
        <>
          <p className={styles['health']}>
            {health.ok ? (
              <CircleCheck size={16} className={styles['ok']} aria-label="Healthy" />
            ) : (
              <CircleX size={16} className={styles['bad']} aria-label="Unhealthy" />
            )}
            <span>{health.message}</span>
          </p>
          {health.checks !== undefined && health.checks.length > 0 && (
            <ul className={styles['checks']}>
              {health.checks.map(({ name, ok, message }) => (
                <li key={name} className={styles['health']}>
                  {ok ? (
                    <CircleCheck size={15} className={styles['ok']} aria-label="Passed" />
                  ) : (
                    <CircleX size={15} className={styles['bad']} aria-label="Failed" />
                  )}
                  <span>
                    <strong>{name}</strong> {message}
                  </span>
                </li>
              ))}
            </ul>
          )}
          <p className={styles['note']}>
            Checked <RelativeTime at={health.at} isPast />
          </p>
        </>
      )}
    </Card>
  );
}

function ActionItem({ action, instance }: { readonly action: ProviderAction; readonly instance: string }) {
  const mayAct = useMay('Operator');
  const fields = fieldsOf(action.parameters);
  return (
    <li className={styles['action']}>
      <div className={styles['actionHead']}>
        <div>
          <h3>{action.name}</h3>
          <p className={styles['note']}>{action.title}</p>
        </div>
        <div className={styles['badges']}>
          {action.deprecated !== null && <Badge tone="warning">Deprecated</Badge>}
          {action.revertible && <Badge tone="success">Can be undone</Badge>}
          {action.cancellable && <Badge>Can be cancelled</Badge>}
          {action.blastRadius !== null && <Badge tone="warning">Limited: {action.blastRadius}</Badge>}
          {mayAct && (
            <LinkButton
              size="small"
              href={`/actions/new?provider=${encodeURIComponent(instance)}&action=${encodeURIComponent(action.name)}`}
            >
              New
            </LinkButton>
          )}
        </div>
      </div>
      <Disclosure
        title={
          fields.length === 0 ? 'Takes no parameters' : `Takes ${fields.map(({ name }) => name).join(', ')}`
        }
        level={4}
      >
        <KeyValue
          facts={[
            ...fields.map((field) => [field.name, parameterInWords(field)] as const),
            ['Also known as', action.aliases.length === 0 ? null : action.aliases.join(', ')],
            ['Must finish within', duration(action.deadlineSeconds * 1000)],
            ['Lane', action.lane],
            ['Needs', action.requiredPermissions.length === 0 ? null : action.requiredPermissions.join(', ')],
            ['Documentation', linkOf(action.docUrl)],
          ]}
        />
      </Disclosure>
    </li>
  );
}

function parameterInWords({ kind, isRequired, description, example, choices, initial }: FormField): string {
  const parts = [
    isRequired ? 'required' : 'optional',
    kind === 'choice' ? `one of ${choices.join(', ')}` : kind,
    initial === '' ? null : `default ${initial}`,
    description,
    example === null ? null : `for example ${example}`,
  ];
  return parts.filter((part) => part !== null).join(' · ');
}

function linkOf(url: string | null) {
  if (url === null || !/^https?:\/\//i.test(url)) return url;
  return (
    <a href={url} target="_blank" rel="noreferrer">
      {url} <ArrowUpRight size={13} aria-hidden />
    </a>
  );
}
