import 'uplot/dist/uPlot.min.css';
import { useEffect, useId, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import { Button } from '../button.tsx';
import { shortDateTime } from '../format.ts';
import { Table } from '../table.tsx';
import styles from './chart.module.css';
import { resolveColours, useColourScheme } from './colours.ts';

/** A line of a chart. */
export interface Series {
  readonly label: string;
  /** A token of tokens.css, as `--chart-1`. */
  readonly colour: string;
  /** Tells it from the others without its colour. Default solid. */
  readonly dash?: 'dashed' | 'dotted';
  /** Fills what is below it. */
  readonly isFilled?: boolean;
  /** One for each time; null: there was none. */
  readonly values: readonly (number | null)[];
}

export interface ChartProps {
  /** What it shows, as the name of its table. */
  readonly label: string;
  /** What is to be seen in it, in a sentence or two: for everybody, and instead of it for who does not see. */
  readonly summary: string;
  /** ISO 8601, rising, in equal steps. */
  readonly times: readonly string[];
  readonly series: readonly Series[];
  /** A value in words, with its unit. */
  readonly format: (value: number) => string;
  /** Of the axis, where that has to be shorter. */
  readonly formatAxis?: (value: number) => string;
  /** Whole numbers only. */
  readonly isCount?: boolean;
}

const DASHES: Readonly<Record<NonNullable<Series['dash']>, number[]>> = { dashed: [6, 4], dotted: [2, 3] };
const FONT = '11px "Inter Variable", sans-serif';

/** Lines over time. The same is there as a table; what the pointer is at is told above. */
export function Chart({
  label,
  summary,
  times,
  series,
  format,
  formatAxis = format,
  isCount = false,
}: ChartProps) {
  const [pointed, setPointed] = useState<number | null>(null);
  const [isTable, setTable] = useState(false);
  const tableId = useId();
  const scheme = useColourScheme();
  // What the plot is made of. New data alone does not make it anew.
  const shape = JSON.stringify([scheme, isCount, series.map(({ values: _values, ...rest }) => rest)]);
  const at = pointed === null ? undefined : times[pointed];
  return (
    <figure className={styles['chart']} aria-label={label}>
      <div className={styles['legend']}>
        {series.map(({ label: name, colour, dash, values }) => {
          const value = pointed === null ? null : values[pointed];
          return (
            <span key={name} className={styles['entry']}>
              <span
                className={styles['line']}
                data-dash={dash ?? 'solid'}
                style={{ color: `var(${colour})` }}
              />
              {name}
              {value != null && <span className={`figures ${styles['value'] ?? ''}`}>{format(value)}</span>}
            </span>
          );
        })}
        {at !== undefined && (
          <span className={`figures ${styles['at'] ?? ''}`}>{shortDateTime(new Date(at))}</span>
        )}
      </div>
      <div className={styles['plot']} role="img" aria-label={`${label}. ${summary}`}>
        <Plot
          key={shape}
          times={times}
          series={series}
          formatAxis={formatAxis}
          isCount={isCount}
          onPoint={setPointed}
        />
      </div>
      <figcaption className={styles['foot']}>
        <span className={styles['summary']}>{summary}</span>
        <Button
          size="small"
          variant="quiet"
          aria-expanded={isTable}
          aria-controls={tableId}
          aria-label={`${isTable ? 'Hide' : 'Show'} the table: ${label}`}
          onPress={() => setTable(!isTable)}
        >
          {isTable ? 'Hide the table' : 'As a table'}
        </Button>
      </figcaption>
      <div id={tableId} hidden={!isTable} className={styles['table']}>
        {isTable && (
          <Table
            label={label}
            rows={times.map((time, index) => ({ time, index })).toReversed()}
            rowKey={({ time }) => time}
            columns={[
              { id: 'at', heading: 'From', cell: ({ time }) => shortDateTime(new Date(time)) },
              ...series.map(({ label: heading, values }) => ({
                id: heading,
                heading,
                isFigure: true,
                cell: ({ index }: { readonly index: number }) => {
                  const value = values[index];
                  return value == null ? '–' : format(value);
                },
              })),
            ]}
          />
        )}
      </div>
    </figure>
  );
}

interface PlotProps extends Required<Pick<ChartProps, 'times' | 'series' | 'formatAxis' | 'isCount'>> {
  /** Called with the place in `times` that the pointer is at; null: at none. */
  readonly onPoint: (index: number | null) => void;
}

/** The drawing alone. But for its data it stays as it was first, so that another one takes another `key`. */
function Plot({ times, series, formatAxis, isCount, onPoint }: PlotProps) {
  const plotElement = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = useMemo<uPlot.AlignedData>(
    () => [times.map((at) => Date.parse(at) / 1000), ...series.map(({ values }) => [...values])],
    [times, series],
  );
  const latest = useRef({ data, series, formatAxis, isCount, onPoint });
  useEffect(() => {
    latest.current = { data, series, formatAxis, isCount, onPoint };
  });

  useEffect(() => {
    const element = plotElement.current;
    if (element === null) return undefined;
    const { data: first, series: lines, isCount: whole } = latest.current;
    const colours = resolveColours(element, [
      '--text-muted',
      '--chart-grid',
      '--surface-card',
      ...lines.map(({ colour }) => colour),
    ]);
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: element.clientHeight,
        padding: [8, 20, 0, 0],
        legend: { show: false },
        cursor: {
          y: false,
          points: {
            size: 7,
            width: 2,
            fill: (_plot, index) => colours(lines[index - 1]?.colour ?? '--text-muted'),
          },
          drag: { x: false, y: false },
        },
        scales: {
          y: { range: (_plot, _least, most) => [0, niceTop(most, whole)] },
        },
        axes: [
          {
            stroke: colours('--text-muted'),
            font: FONT,
            grid: { show: false },
            ticks: { stroke: colours('--chart-grid'), size: 4 },
            values: [
              [86_400, '{D} {MMM}', null, null, null, null, null, null, 1],
              [60, '{HH}:{mm}', '\n{D} {MMM}', null, '\n{D} {MMM}', null, null, null, 1],
              [1, '{HH}:{mm}:{ss}', '\n{D} {MMM}', null, '\n{D} {MMM}', null, null, null, 1],
            ],
          },
          {
            stroke: colours('--text-muted'),
            font: FONT,
            size: 52,
            gap: 6,
            grid: { stroke: colours('--chart-grid'), width: 1 },
            ticks: { show: false },
            values: (_plot, values) => values.map((value) => latest.current.formatAxis(value)),
            ...(whole
              ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6] }
              : {}),
          },
        ],
        series: [
          {},
          ...lines.map(({ label: name, colour, dash, isFilled = false }) => ({
            label: name,
            stroke: colours(colour),
            width: 1.75,
            // Of what has no neighbour there is no line.
            points: { show: true, size: 5, fill: colours(colour), filter: withoutNeighbours },
            ...(dash === undefined ? {} : { dash: DASHES[dash] }),
            ...(isFilled ? { fill: translucent(colours(colour)) } : {}),
          })),
        ],
        hooks: { setCursor: [({ cursor }) => latest.current.onPoint(cursor.idx ?? null)] },
      },
      first,
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() =>
      made.setSize({ width: element.clientWidth, height: element.clientHeight }),
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, []);

  useEffect(() => {
    plot.current?.setData(data);
  }, [data]);

  return <div ref={plotElement} className={styles['canvas']} />;
}

/** The places of values between two that are missing. */
function withoutNeighbours({ data }: uPlot, line: number): number[] {
  const values = data[line] ?? [];
  return [...values.keys()].filter(
    (place) => values[place] != null && values[place - 1] == null && values[place + 1] == null,
  );
}

/** The end of the axis: something above the largest value, and never nothing. */
function niceTop(most: number | null, isCount: boolean): number {
  const top = (most ?? 0) * 1.08;
  return isCount ? Math.max(Math.ceil(top), 4) : top > 0 ? top : 1;
}

function translucent(colour: string): string {
  return colour.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.12)');
}
