import { availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os';
import { FIGURES } from './figures.js';
import { rounded, rowsOf, verdictsOf, type Findings, type Row, type Verdict } from './findings.js';
import type { BenchOptions } from './options.js';
import type { Summary } from './statistics.js';

/** A section as the report holds it: what was measured, and what follows from it. */
export interface ReportedSection extends Findings {
  readonly rows: readonly Row[];
  readonly verdicts: readonly Verdict[];
}

/** Everything a run found; written as `report.json`. */
export interface Report {
  readonly startedAt: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly options: BenchOptions;
  readonly sections: readonly ReportedSection[];
}

/** Begins a report: the machine is described as it is before it is put under load. */
export function beginReport(options: BenchOptions): (findings: readonly Findings[]) => Report {
  const startedAt = new Date().toISOString();
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: rounded(totalmem() / 1024 ** 3),
    system: `${platform()} ${release()}`,
    node: process.version,
    // Of a machine that is to be measured it is near 0.
    loadBefore: rounded(loadavg()[0] ?? Number.NaN),
  };
  return (findings) => ({
    startedAt,
    machine,
    options,
    sections: findings.map((one) => {
      const rows = rowsOf(one);
      return { ...one, rows, verdicts: verdictsOf(one, rows) };
    }),
  });
}

/** Prints the report's tables. */
export function print({ machine, options, sections }: Report): void {
  for (const section of sections) {
    console.log(`\n${section.title}. ${section.note}`);
    console.log(
      `Medians (and spread) of ${options.rounds} rounds; ratios are medians of the ratios of each round.`,
    );
    console.table(section.rows.map(cellsOf));
    if (section.verdicts.length > 0) console.table(section.verdicts);
  }
  console.log(
    Object.entries(machine)
      .map(([name, value]) => `${name}: ${value}`)
      .join(', '),
  );
}

/** A row's cells by their column. */
export function cellsOf({ load, figure, subjects, ratios }: Row): Readonly<Record<string, string>> {
  const { title, unit } = FIGURES[figure];
  return {
    load,
    figure: unit === '' ? title : `${title}, ${unit}`,
    ...Object.fromEntries(Object.entries(subjects).map(([name, summary]) => [name, cell(summary)])),
    ...Object.fromEntries(ratios.map(({ of, to, ...summary }) => [`${of} ÷ ${to}`, cell(summary)])),
  };
}

function cell({ median, min, max }: Summary): string {
  return min === max ? String(rounded(median)) : `${rounded(median)} (${rounded(min)}–${rounded(max)})`;
}
