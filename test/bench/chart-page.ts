import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { FIGURES, type Figure } from './figures.js';
import { cellsOf, type Report, type ReportedSection } from './report.js';
import { rounded } from './findings.js';

const WIDTH = 900;
const LEFT = 150;
const BAR = 22;

const STYLE = `
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; }
  h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 3rem; } h3 { font-size: 1rem; margin-bottom: 0; }
  .scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; }
  table { border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums; white-space: nowrap; }
  th, td { text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid #d8dee4; }
  .missed { color: #b3261e; } .reached { color: #146c2e; }
`;

/** What is used of the DOM, whose types are not among this project's. */
interface Element {
  textContent: string;
  innerHTML: string;
  className: string;
  readonly outerHTML: string;
  setAttribute(name: string, value: string): void;
  append(...elements: readonly Element[]): void;
}
interface Document {
  readonly documentElement: Element;
  readonly head: Element;
  readonly body: Element;
  createElement(name: string): Element;
}

/** The report as one HTML page that needs nothing else: charts as SVG, and the tables. */
export function chartPage({ startedAt, machine, options, sections }: Report): string {
  const { document } = parseHTML('<html lang="en"><head></head><body></body></html>') as {
    readonly document: Document;
  };
  const page = new Page(document);
  page.head('Riposte: benchmark', STYLE);
  page.add('h1', 'Riposte: benchmark');
  page.add(
    'p',
    `${startedAt}. ${options.rounds} rounds of ${options.seconds} s each, interleaved; medians and spread. ` +
      Object.entries(machine)
        .map(([name, value]) => `${name}: ${value}`)
        .join(', '),
  );
  for (const section of sections) {
    page.add('h2', section.title);
    page.add('p', section.note);
    for (const figure of section.charts) {
      const { title, unit, better } = FIGURES[figure];
      page.add('h3', `${title}, ${unit} (${better} is better)`);
      page.svg(figureChart(document, section, figure));
    }
    const [lead] = section.charts;
    if (lead !== undefined && section.comparisons.length > 0) {
      page.add('h3', `${FIGURES[lead].title}: ratio of each round, and the median`);
      page.svg(ratioChart(document, section, lead));
    }
    if (section.verdicts.length > 0)
      page.table(
        section.verdicts.map(({ what, measured, reached }) => ({
          goal: what,
          measured,
          '': reached ? 'reached' : 'missed',
        })),
      );
    page.table(section.rows.map(cellsOf));
  }
  return `<!doctype html>\n${document.documentElement.outerHTML}\n`;
}

/** Median bars with the spread over them, one facet per load. */
function figureChart(document: Document, { rows }: ReportedSection, figure: Figure): string {
  const bars = rows
    .filter((row) => row.figure === figure)
    .flatMap(({ load, subjects }) =>
      Object.entries(subjects).map(([subject, summary]) => ({ load, subject, ...summary })),
    );
  return plotted(document, bars.length, [
    Plot.barX(bars, { fy: 'load', y: 'subject', x: 'median', fill: 'subject', sort: { y: null, fy: null } }),
    Plot.ruleY(bars, { fy: 'load', y: 'subject', x1: 'min', x2: 'max' }),
    Plot.text(bars, {
      fy: 'load',
      y: 'subject',
      x: 'max',
      text: ({ median }: { readonly median: number }) => String(rounded(median)),
      textAnchor: 'start',
      dx: 6,
    }),
    Plot.ruleX([0]),
  ]);
}

/** Each round's ratio as a dot and their median as a line, beside the line of equality. */
function ratioChart(document: Document, { rows }: ReportedSection, figure: Figure): string {
  const ratios = rows
    .filter((row) => row.figure === figure)
    .flatMap(({ load, ratios: of }) =>
      of.map((ratio) => ({ load, pair: `${ratio.of} ÷ ${ratio.to}`, ...ratio })),
    );
  const dots = ratios.flatMap(({ load, pair, rounds }) => rounds.map((ratio) => ({ load, pair, ratio })));
  return plotted(document, ratios.length, [
    Plot.ruleX([1], { strokeDasharray: '4 3' }),
    Plot.dot(dots, { fy: 'load', y: 'pair', x: 'ratio', stroke: 'pair', sort: { y: null, fy: null } }),
    Plot.tickX(ratios, { fy: 'load', y: 'pair', x: 'median', strokeWidth: 2 }),
    Plot.text(ratios, {
      fy: 'load',
      y: 'pair',
      x: 'max',
      text: ({ median }: { readonly median: number }) => String(rounded(median)),
      textAnchor: 'start',
      dx: 8,
    }),
  ]);
}

function plotted(document: Document, lines: number, marks: readonly Plot.Markish[]): string {
  const { outerHTML } = Plot.plot({
    document,
    width: WIDTH,
    height: 60 + lines * BAR * 1.6,
    marginLeft: LEFT,
    marginRight: 220,
    // Room for the number beside the longest.
    x: { label: null, grid: true, zero: true, insetRight: 50 },
    y: { label: null },
    fy: { label: null },
    marks: [...marks],
  }) as Element;
  return outerHTML;
}

/** Elements one below the other. Text goes in as text, never as HTML. */
class Page {
  readonly #document: Document;

  constructor(document: Document) {
    this.#document = document;
  }

  head(title: string, style: string): void {
    const charset = this.#document.createElement('meta');
    charset.setAttribute('charset', 'utf-8');
    this.#document.head.append(charset, this.#element('title', title), this.#element('style', style));
  }

  add(name: string, text: string): void {
    this.#document.body.append(this.#element(name, text));
  }

  svg(markup: string): void {
    const figure = this.#document.createElement('figure');
    figure.innerHTML = markup;
    this.#document.body.append(figure);
  }

  table(rows: readonly Readonly<Record<string, string>>[]): void {
    const columns = [...new Set(rows.flatMap(Object.keys))];
    const table = this.#document.createElement('table');
    const row = (name: string, cells: readonly string[]): Element => {
      const line = this.#document.createElement('tr');
      for (const text of cells) {
        const cell = this.#element(name, text);
        if (text === 'reached' || text === 'missed') cell.className = text;
        line.append(cell);
      }
      return line;
    };
    table.append(
      row('th', columns),
      ...rows.map((one) =>
        row(
          'td',
          columns.map((column) => one[column] ?? ''),
        ),
      ),
    );
    const scroll = this.#document.createElement('div');
    scroll.className = 'scroll';
    scroll.append(table);
    this.#document.body.append(scroll);
  }

  #element(name: string, text: string): Element {
    const element = this.#document.createElement(name);
    element.textContent = text;
    return element;
  }
}
