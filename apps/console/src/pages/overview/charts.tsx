import { useMemo } from 'react';
import type { Overview, Percentiles } from '../../api/types.ts';
import { Card } from '../../ui/card.tsx';
import { Chart, type Series } from '../../ui/chart/chart.tsx';
import { count, duration, plural, shortCount, shortDateTime } from '../../ui/format.ts';
import { backlogOver } from './backlog.ts';

interface OfOverview {
  readonly overview: Overview;
}

/** How many actions were asked for, and how many ended, in each step. */
export function ThroughputChart({ overview: { throughput, totals, bucketSeconds } }: OfOverview) {
  const times = useMemo(() => throughput.map(({ at }) => at), [throughput]);
  const series = useMemo<readonly Series[]>(
    () => [
      {
        label: 'Requested',
        colour: '--chart-1',
        isFilled: true,
        values: throughput.map(({ created }) => created),
      },
      {
        label: 'Completed',
        colour: '--chart-2',
        dash: 'dashed',
        values: throughput.map(({ completed }) => completed),
      },
      {
        label: 'Failed',
        colour: '--chart-3',
        dash: 'dotted',
        values: throughput.map(({ failed }) => failed),
      },
    ],
    [throughput],
  );
  return (
    <Card title="Throughput" note={`Actions per ${duration(bucketSeconds * 1000)}`}>
      <Chart
        label="Throughput"
        summary={`${plural(totals.created, 'action')} requested, ${count(totals.completed)} completed, ${count(totals.failed + totals.outcomeUnknown)} failed.`}
        times={times}
        series={series}
        format={count}
        formatAxis={shortCount}
        isCount
      />
    </Card>
  );
}

/** How many actions had not ended, at the end of each step. */
export function BacklogChart({ overview }: OfOverview) {
  const { throughput, now } = overview;
  const times = useMemo(() => throughput.map(({ at }) => at), [throughput]);
  const values = useMemo(() => backlogOver(overview), [overview]);
  const series = useMemo<readonly Series[]>(
    () => [{ label: 'Unfinished', colour: '--chart-4', isFilled: true, values }],
    [values],
  );
  const most = Math.max(0, ...values);
  return (
    <Card title="Backlog" note="Unfinished actions">
      <Chart
        label="Backlog"
        summary={`${plural(now.queued + now.throttled + now.running, 'action')} now, ${count(most)} at most; ${count(now.throttled)} held back by a quota, a pause or a busy target.`}
        times={times}
        series={series}
        format={count}
        formatAxis={shortCount}
        isCount
      />
    </Card>
  );
}

const LATENCIES = {
  startMs: { title: 'Time to start', note: 'From the request until a worker picked it up' },
  totalMs: { title: 'Time to finish', note: 'From the request until it completed or failed' },
} as const;

/** How long actions took: half of them, 95 of 100, 99 of 100. */
export function LatencyChart({
  overview: { latency },
  of,
}: OfOverview & { readonly of: keyof typeof LATENCIES }) {
  const { title, note } = LATENCIES[of];
  const times = useMemo(() => latency.map(({ at }) => at), [latency]);
  const series = useMemo<readonly Series[]>(() => {
    const line = (name: keyof Percentiles): readonly (number | null)[] =>
      latency.map((step) => step[of]?.[name] ?? null);
    return [
      { label: 'p50', colour: '--chart-6', values: line('p50') },
      { label: 'p95', colour: '--chart-1', dash: 'dashed', values: line('p95') },
      { label: 'p99', colour: '--chart-5', dash: 'dotted', values: line('p99') },
    ];
  }, [latency, of]);
  return (
    <Card title={title} note={note}>
      <Chart label={title} summary={slowest(latency, of)} times={times} series={series} format={duration} />
    </Card>
  );
}

function slowest(latency: Overview['latency'], of: keyof typeof LATENCIES): string {
  const worst = latency.reduce<Overview['latency'][number] | null>(
    (most, step) => ((step[of]?.p95 ?? -1) > (most?.[of]?.p95 ?? -1) ? step : most),
    null,
  );
  const values = worst?.[of];
  if (worst == null || values == null) return 'No data for this period.';
  return `Slowest at ${shortDateTime(new Date(worst.at))}: half took up to ${duration(values.p50)}, 95 of 100 up to ${duration(values.p95)}.`;
}
