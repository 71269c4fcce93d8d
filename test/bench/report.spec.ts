import { describe, expect, it } from 'vitest';
import { chartPage } from './chart-page.js';
import { rowsOf, verdictsOf, type Findings, type Goal } from './findings.js';
import { readOptions } from './options.js';
import { beginReport, cellsOf } from './report.js';

const load = '32 connections';
const measurement = (subject: string, round: number, completedPerSecond: number) => ({
  load,
  subject,
  round,
  figures: { completedPerSecond },
});
/** The machine is twice as quick in the second round, and ten times in the third. */
const FINDINGS: Findings = {
  title: 'Pipelines',
  note: 'ours & <theirs>',
  measurements: [
    measurement('ours', 0, 90),
    measurement('theirs', 0, 100),
    measurement('theirs', 1, 200),
    measurement('ours', 1, 200),
    measurement('ours', 2, 800),
    measurement('theirs', 2, 1000),
  ],
  comparisons: [{ of: 'ours', to: 'theirs' }],
  charts: ['completedPerSecond'],
};
const goal = (bound: { readonly least?: number; readonly most?: number; readonly to?: string }): Goal => ({
  what: 'a goal',
  anyOf: [{ load, figure: 'completedPerSecond', of: 'ours', ...bound }],
});
const verdicts = (...goals: readonly Goal[]) => verdictsOf({ ...FINDINGS, goals }, rowsOf(FINDINGS));

describe('a row of the report', () => {
  const [row] = rowsOf(FINDINGS);

  it('tells the median of each subject with its spread', () =>
    expect(row?.subjects['ours']).toEqual({ median: 200, min: 90, max: 800 }));

  it('tells the median of the ratios of each round', () =>
    expect(row?.ratios).toEqual([
      { of: 'ours', to: 'theirs', rounds: [0.9, 1, 0.8], median: 0.9, min: 0.8, max: 1 },
    ]));

  it('says what it is of, and in which unit', () =>
    expect(row && cellsOf(row)).toEqual({
      load,
      figure: 'completed, 1/s',
      ours: '200 (90–800)',
      theirs: '200 (100–1000)',
      'ours ÷ theirs': '0.9 (0.8–1)',
    }));
});

describe('a goal', () => {
  it.each([
    ['a ratio that is enough', { to: 'theirs', least: 0.9 }, true],
    ['a ratio that is not', { to: 'theirs', least: 0.91 }, false],
    ['a figure that is low enough', { most: 200 }, true],
    ['a figure that is not', { most: 199 }, false],
  ])('is judged by %s', (_, bound, reached) => expect(verdicts(goal(bound))).toMatchObject([{ reached }]));

  it('is reached by one of its bounds', () => {
    const either = { what: 'either', anyOf: [...goal({ least: 1000 }).anyOf, ...goal({ most: 200 }).anyOf] };
    expect(verdicts(either)).toMatchObject([{ reached: true, measured: '200 1/s, 200 1/s' }]);
  });

  it('is left out where nothing was measured for it', () => {
    const other = { what: 'another load', anyOf: [{ ...goal({ least: 1 }).anyOf[0], load: '1 connection' }] };
    expect(verdicts(other as Goal)).toEqual([]);
  });
});

it('the page needs nothing else, draws each subject, and takes text for text', () => {
  const page = chartPage(beginReport(readOptions([]))([FINDINGS]));
  expect(page).toMatch(/^<!doctype html>\s*<html/);
  expect(page).toContain('<svg');
  expect(page).toContain('ours &amp; &lt;theirs&gt;');
  expect(page.match(/ours ÷ theirs/g)?.length).toBeGreaterThanOrEqual(2);
  expect(page).not.toMatch(/<script|<link|src="http/);
});
