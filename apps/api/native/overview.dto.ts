import { ApiProperty } from '@nestjs/swagger';
import {
  InstanceFigures,
  type FiguresOverTime,
  type OpenFigures,
  type Percentiles,
  type SpanFigures,
  type SpanSeconds,
} from '#persistence';

/** How long a look back an overview takes, and by what spans. */
export const WINDOWS = {
  '1h': { seconds: 60, spans: 60 },
  '24h': { seconds: 900, spans: 96 },
  '7d': { seconds: 7200, spans: 84 },
} as const satisfies Record<string, { readonly seconds: SpanSeconds; readonly spans: number }>;
export type WindowName = keyof typeof WINDOWS;
export const WINDOW_NAMES = Object.keys(WINDOWS) as readonly WindowName[];

const integer = { type: 'integer' } as const;
const dateTime = { type: String, format: 'date-time' } as const;
const BEGINS = 'When the span begins.';

/** Milliseconds, within 10 %. */
export class PercentilesDto {
  @ApiProperty({ ...integer, description: 'Milliseconds; half took no longer.' })
  p50!: number;
  @ApiProperty(integer)
  p95!: number;
  @ApiProperty(integer)
  p99!: number;
}

class TotalsDto {
  @ApiProperty(integer)
  created!: number;
  @ApiProperty(integer)
  completed!: number;
  @ApiProperty({ ...integer, description: 'Without those of unknown outcome and the cancelled.' })
  failed!: number;
  @ApiProperty({ ...integer, description: 'Also those that somebody has resolved since.' })
  outcomeUnknown!: number;
  @ApiProperty(integer)
  cancelled!: number;
}

class ThroughputDto {
  @ApiProperty({ ...dateTime, description: BEGINS })
  at!: string;
  @ApiProperty(integer)
  created!: number;
  @ApiProperty(integer)
  completed!: number;
  @ApiProperty({ ...integer, description: 'With those of unknown outcome, without the cancelled.' })
  failed!: number;
  @ApiProperty(integer)
  cancelled!: number;
}

class LatencyDto {
  @ApiProperty({ ...dateTime, description: BEGINS })
  at!: string;
  @ApiProperty({
    type: PercentilesDto,
    nullable: true,
    description: 'From creation to start, of what ended in the span; null: nothing did that was started.',
  })
  startMs!: Percentiles | null;
  @ApiProperty({
    type: PercentilesDto,
    nullable: true,
    description: 'From creation to end; null: nothing ended.',
  })
  totalMs!: Percentiles | null;
}

class ProviderFiguresDto {
  @ApiProperty()
  instance!: string;
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'Null: the instance is not configured any more.',
  })
  vendor!: string | null;
  @ApiProperty({ type: String, nullable: true })
  provider!: string | null;
  @ApiProperty(integer)
  completed!: number;
  @ApiProperty({ ...integer, description: 'Without those of unknown outcome and the cancelled.' })
  failed!: number;
  @ApiProperty(integer)
  outcomeUnknown!: number;
  @ApiProperty(integer)
  cancelled!: number;
  @ApiProperty({
    type: 'object',
    additionalProperties: integer,
    description: 'How many ended with each errorInfo.code.',
    example: { 404: 3, 503: 12 },
  })
  byCode!: Readonly<Record<string, number>>;
  @ApiProperty({
    type: PercentilesDto,
    nullable: true,
    description: 'From creation to end; null: nothing ended.',
  })
  totalMs!: Percentiles | null;
}

class OldestWaitingDto {
  @ApiProperty({ format: 'uuid' })
  id!: string;
  @ApiProperty(dateTime)
  createdDateTime!: string;
  @ApiProperty(integer)
  ageMs!: number;
}

class NowDto {
  @ApiProperty({
    ...integer,
    description: 'Not started: their turn has not come. Each number is 10000 where it is more.',
  })
  queued!: number;
  @ApiProperty({ ...integer, description: 'Not started: held back.' })
  throttled!: number;
  @ApiProperty(integer)
  running!: number;
  @ApiProperty({ ...integer, description: 'Of unknown outcome, and nobody has resolved them.' })
  unresolved!: number;
  @ApiProperty({ type: OldestWaitingDto, nullable: true, description: 'Of what was not started.' })
  oldestWaiting!: OldestWaitingDto | null;
}

/** How a tenant's actions fare. */
export class OverviewDto {
  @ApiProperty({ enum: WINDOW_NAMES })
  window!: WindowName;
  @ApiProperty(dateTime)
  from!: string;
  @ApiProperty(dateTime)
  to!: string;
  @ApiProperty({ ...integer, description: 'Seconds of each span but the last, which is not over.' })
  bucketSeconds!: number;
  @ApiProperty({
    description: 'False: not all could be counted in time; asked again, it goes on where it stopped.',
  })
  complete!: boolean;
  @ApiProperty({ type: TotalsDto })
  totals!: TotalsDto;
  @ApiProperty({ type: [ThroughputDto] })
  throughput!: readonly ThroughputDto[];
  @ApiProperty({ type: [LatencyDto] })
  latency!: readonly LatencyDto[];
  @ApiProperty({ type: [ProviderFiguresDto], description: 'Where anything ended, the most first.' })
  providers!: readonly ProviderFiguresDto[];
  @ApiProperty({ type: NowDto })
  now!: NowDto;
}

/** Vendor and provider of a configured instance. */
export type NameOf = (instance: string) => { readonly vendor: string; readonly provider: string } | null;

export function toOverview(
  window: WindowName,
  { from, to, spans, complete }: FiguresOverTime,
  open: OpenFigures,
  nameOf: NameOf,
): OverviewDto {
  const all = instancesOf(spans.map(({ figures }) => figures));
  const totals = sumOf(all.values());
  return {
    window,
    from: from.toISOString(),
    to: to.toISOString(),
    bucketSeconds: WINDOWS[window].seconds,
    complete,
    totals: {
      created: spans.reduce((sum, { figures }) => sum + figures.created, 0),
      ...totals.outcomes,
    },
    throughput: spans.map(({ at, figures }) => {
      const { completed, failed, outcomeUnknown, cancelled } = sumOf(figures.instances.values()).outcomes;
      return {
        at: at.toISOString(),
        created: figures.created,
        completed,
        failed: failed + outcomeUnknown,
        cancelled,
      };
    }),
    latency: spans.map(({ at, figures }) => ({
      at: at.toISOString(),
      startMs: figures.start.percentiles(),
      totalMs: sumOf(figures.instances.values()).total.percentiles(),
    })),
    providers: [...all]
      .map(([instance, figures]) => ({
        instance,
        vendor: nameOf(instance)?.vendor ?? null,
        provider: nameOf(instance)?.provider ?? null,
        ...figures.outcomes,
        byCode: Object.fromEntries(figures.byCode),
        totalMs: figures.total.percentiles(),
      }))
      .toSorted((one, other) => endedOf(other) - endedOf(one) || (one.instance < other.instance ? -1 : 1)),
    now: {
      queued: open.queued,
      throttled: open.throttled,
      running: open.running,
      unresolved: open.unresolved,
      oldestWaiting: open.oldestWaiting && {
        id: open.oldestWaiting.id,
        createdDateTime: open.oldestWaiting.createdAt.toISOString(),
        ageMs: Math.max(0, open.at.getTime() - open.oldestWaiting.createdAt.getTime()),
      },
    },
  };
}

/** The time from creation to end at each instance. */
export function latenciesOf({ spans }: FiguresOverTime): ReadonlyMap<string, Percentiles | null> {
  const all = instancesOf(spans.map(({ figures }) => figures));
  return new Map([...all].map(([instance, { total }]) => [instance, total.percentiles()]));
}

function instancesOf(spans: readonly SpanFigures[]): ReadonlyMap<string, InstanceFigures> {
  const all = new Map<string, InstanceFigures>();
  for (const { instances } of spans) {
    for (const [id, figures] of instances) {
      const known = all.get(id) ?? new InstanceFigures();
      known.merge(figures);
      all.set(id, known);
    }
  }
  return all;
}

function sumOf(all: Iterable<InstanceFigures>): InstanceFigures {
  const sum = new InstanceFigures();
  for (const figures of all) sum.merge(figures);
  return sum;
}

function endedOf({ completed, failed, outcomeUnknown, cancelled }: ProviderFiguresDto): number {
  return completed + failed + outcomeUnknown + cancelled;
}
