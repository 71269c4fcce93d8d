import { FIGURES, type Figure, type Figures } from './figures.js';
import { ratiosOf, summaryOf, type Summary } from './statistics.js';

/** One look at one subject, in one round. */
export interface Measurement {
  /** What it was put under, or asked: `32 connections`. */
  readonly load: string;
  readonly subject: string;
  readonly round: number;
  readonly figures: Figures;
}

/** Which subject is set in relation to which. */
export interface Comparison {
  readonly of: string;
  readonly to: string;
}

/** A bound on a figure's median or, where there is a `to`, on the median of its ratio to that subject's. */
interface Bound {
  readonly load: string;
  readonly figure: Figure;
  readonly of: string;
  readonly to?: string;
  readonly least?: number;
  readonly most?: number;
}

/** What is aimed at. One of its bounds is enough. */
export interface Goal {
  readonly what: string;
  readonly anyOf: readonly Bound[];
}

/** What a section of the benchmark found. */
export interface Findings {
  readonly title: string;
  readonly note: string;
  readonly measurements: readonly Measurement[];
  readonly comparisons: readonly Comparison[];
  /** The figures that are drawn. */
  readonly charts: readonly Figure[];
  readonly goals?: readonly Goal[];
}

interface Ratio extends Comparison, Summary {
  readonly rounds: readonly number[];
}

/** A figure under one load: of each subject, and in relation. */
export interface Row {
  readonly load: string;
  readonly figure: Figure;
  readonly subjects: Readonly<Record<string, Summary>>;
  readonly ratios: readonly Ratio[];
}

export interface Verdict {
  readonly what: string;
  readonly measured: string;
  readonly reached: boolean;
}

/** The rows of a section's table, in the order in which loads and figures were first measured. */
export function rowsOf({ measurements, comparisons }: Findings): readonly Row[] {
  const loads = [...new Set(measurements.map(({ load }) => load))];
  const figures = (Object.keys(FIGURES) as Figure[]).filter((figure) =>
    measurements.some((one) => one.figures[figure] !== undefined),
  );
  return loads.flatMap((load) =>
    figures.flatMap((figure) => {
      const values = new Map<string, Map<number, number>>();
      for (const one of measurements) {
        const value = one.figures[figure];
        if (one.load !== load || value === undefined) continue;
        const ofSubject = values.get(one.subject) ?? new Map<number, number>();
        values.set(one.subject, ofSubject.set(one.round, value));
      }
      if (values.size === 0) return [];
      const subjects = Object.fromEntries(
        [...values].map(([subject, rounds]) => [subject, summaryOf([...rounds.values()])]),
      );
      const ratios = comparisons.flatMap(({ of, to }) => {
        const rounds = ratiosOf(values.get(of) ?? new Map(), values.get(to) ?? new Map());
        return rounds.length === 0 ? [] : [{ of, to, rounds, ...summaryOf(rounds) }];
      });
      return [{ load, figure, subjects, ratios }];
    }),
  );
}

/** Which goals were reached. One that none of its figures was measured for is left out. */
export function verdictsOf({ goals = [] }: Findings, rows: readonly Row[]): readonly Verdict[] {
  return goals.flatMap(({ what, anyOf }) => {
    const measured = anyOf.flatMap((bound) => {
      const value = measuredOf(bound, rows);
      return value === undefined ? [] : [{ bound, value }];
    });
    if (measured.length === 0) return [];
    return [
      {
        what,
        measured: measured.map(({ bound, value }) => told(bound, value)).join(', '),
        reached: measured.some(
          ({ bound: { least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY }, value }) =>
            value >= least && value <= most,
        ),
      },
    ];
  });
}

/** To three digits, or the whole number where it has more. */
export function rounded(value: number): number {
  return Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3));
}

function measuredOf({ load, figure, of, to }: Bound, rows: readonly Row[]): number | undefined {
  const row = rows.find((one) => one.load === load && one.figure === figure);
  if (to === undefined) return row?.subjects[of]?.median;
  return row?.ratios.find((ratio) => ratio.of === of && ratio.to === to)?.median;
}

function told({ figure, to }: Bound, value: number): string {
  const { unit } = FIGURES[figure];
  return to === undefined ? `${rounded(value)} ${unit}` : `${rounded(value)} × ${to}`;
}
