import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { useRef } from 'react';
import { overviewQuery } from '../../api/queries.ts';
import type { Overview, OverviewWindow } from '../../api/types.ts';
import { serverTimeOf } from '../../api/server-clock.ts';
import { useActionChanges } from '../../live/live.tsx';
import { useMay } from '../../session/session.tsx';
import { Banner } from '../../ui/banner.tsx';
import { LinkButton } from '../../ui/button.tsx';
import { Card } from '../../ui/card.tsx';
import { Page } from '../../ui/page.tsx';
import { EmptyState, ErrorState, Skeleton } from '../../ui/states.tsx';
import { Segments } from '../../ui/tabs.tsx';
import { RelativeTime } from '../../ui/time.tsx';
import { BacklogChart, LatencyChart, ThroughputChart } from './charts.tsx';
import { Needs } from './needs.tsx';
import styles from './overview.module.css';
import { ProviderTable } from './provider-table.tsx';
import { Tiles } from './tiles.tsx';

const WINDOWS: readonly { readonly id: OverviewWindow; readonly label: string }[] = [
  { id: '1h', label: '1 hour' },
  { id: '24h', label: '24 hours' },
  { id: '7d', label: '7 days' },
];

/** Milliseconds after which the figures are asked for anew: where nothing changed, and at least between two changes. */
const IDLE_MS = 30_000;
/** Milliseconds after which the server goes on with what it has not counted yet. */
const GOES_ON_MS = 1500;
const BUSY_MS: Readonly<Record<OverviewWindow, number>> = { '1h': 3000, '24h': 10_000, '7d': 30_000 };

const route = getRouteApi('/shell/');

export function OverviewPage() {
  const { window = '1h' } = route.useSearch();
  const navigate = route.useNavigate();
  const mayAct = useMay('Operator');
  const { data, error, refetch, isPlaceholderData, dataUpdatedAt } = useOverview(window);
  return (
    <Page
      title="Overview"
      note={
        data === undefined ? undefined : (
          <>
            Updated <RelativeTime at={new Date(serverTimeOf(dataUpdatedAt)).toISOString()} />
          </>
        )
      }
      actions={
        <>
          <Segments
            label="Period"
            options={WINDOWS}
            value={window}
            onChange={(next) =>
              void navigate({ search: next === '1h' ? {} : { window: next }, replace: true })
            }
          />
          {mayAct && (
            <LinkButton variant="primary" href="/actions/new">
              New action
            </LinkButton>
          )}
        </>
      }
    >
      {data === undefined ? (
        error === null ? (
          <Loading />
        ) : (
          <Card>
            <ErrorState error={error} onRetry={() => void refetch()} />
          </Card>
        )
      ) : (
        <>
          {error !== null && (
            <Banner tone="warning" title="These figures may be out of date">
              {error.message}
            </Banner>
          )}
          <Figures overview={data} isStale={isPlaceholderData} />
        </>
      )}
    </Page>
  );
}

/** The overview, kept up to date: soon after something changed, and from time to time. */
function useOverview(window: OverviewWindow) {
  const queries = useQueryClient();
  const query = useQuery({
    ...overviewQuery(window),
    refetchInterval: ({ state }) => (state.data?.complete === false ? GOES_ON_MS : IDLE_MS),
    placeholderData: keepPreviousData,
  });
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  useActionChanges(() => {
    timer.current ??= setTimeout(() => {
      timer.current = null;
      void queries.invalidateQueries({ queryKey: ['overview'] });
    }, BUSY_MS[window]);
  });
  return query;
}

function Figures({ overview, isStale }: { readonly overview: Overview; readonly isStale: boolean }) {
  const { totals, now } = overview;
  const isEmpty = totals.created === 0 && totals.completed === 0 && totals.failed === 0;
  return (
    <>
      {!overview.complete && (
        <Banner tone="info">
          Still counting the actions of this period, newest first. The figures will be complete in a moment.
        </Banner>
      )}
      <Tiles overview={overview} />
      <Needs now={now} />
      {isEmpty ? (
        <Card>
          <EmptyState
            title="Nothing happened in this period"
            actions={<LinkButton href="/actions">All actions</LinkButton>}
          >
            Figures appear as soon as an action is requested, here or through the API.
          </EmptyState>
        </Card>
      ) : (
        <>
          <div className={styles['grid']} aria-busy={isStale}>
            <ThroughputChart overview={overview} />
            <BacklogChart overview={overview} />
            <LatencyChart overview={overview} of="startMs" />
            <LatencyChart overview={overview} of="totalMs" />
          </div>
          <ProviderTable overview={overview} />
        </>
      )}
    </>
  );
}

function Loading() {
  return (
    <>
      <p className="visually-hidden" role="status">
        Loading …
      </p>
      <div className={styles['tiles']} aria-busy>
        {[1, 2, 3, 4, 5].map((place) => (
          <Skeleton key={place} height="6rem" />
        ))}
      </div>
      <div className={styles['grid']} aria-busy>
        {[1, 2, 3, 4].map((place) => (
          <Skeleton key={place} height="19rem" />
        ))}
      </div>
    </>
  );
}
