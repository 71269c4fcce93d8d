import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { DIST_DIR } from '../support/project-dir.js';
import type { Report } from './report.js';

const MAIN = path.join(DIST_DIR, 'test/bench/main.js');

async function bench(...args: readonly string[]): Promise<string> {
  const out = await mkdtemp(path.join(tmpdir(), 'riposte-bench-spec-'));
  onTestFinished(() => rm(out, { recursive: true, force: true }));
  await promisify(execFile)(process.execPath, [
    MAIN,
    '--rounds',
    '1',
    '--seconds',
    '1',
    '--out',
    out,
    ...args,
  ]);
  return out;
}

it('measures the product, both yardsticks and the noise in one run, and writes JSON and a page', async () => {
  const out = await bench('--only', 'raw', 'pipelines', '--connections', '4');
  const report = JSON.parse(await readFile(path.join(out, 'report.json'), 'utf8')) as Report;
  const [, pipelines] = report.sections;
  const row = (load: string, figure: string) =>
    pipelines?.rows.find((one) => one.load === load && one.figure === figure);
  const completed = row('4 connections', 'completedPerSecond');
  const everyone = ['riposte', 'minimal', 'grouped', 'riposte again'];
  expect(Object.keys(completed?.subjects ?? {}).toSorted()).toEqual(everyone.toSorted());
  expect(completed?.ratios.map(({ of, to }) => `${of}/${to}`)).toEqual([
    'riposte/minimal',
    'riposte/grouped',
    'riposte again/riposte',
  ]);
  for (const subject of everyone) {
    expect(row('light, 5 a second', 'dispatchP99Ms')?.subjects[subject]?.median).toBeGreaterThan(0);
    expect(row('at rest', 'waitingRedisBytes')?.subjects[subject]?.median).toBeGreaterThan(0);
  }
  expect(await readFile(path.join(out, 'report.html'), 'utf8')).toContain('<svg');
}, 180_000);

it('measures what an action costs among many', async () => {
  const out = await bench('--only', 'growth', '--actions', '20000', '--samples', '5');
  const report = JSON.parse(await readFile(path.join(out, 'report.json'), 'utf8')) as Report;
  const loads = new Set(report.sections[0]?.rows.map(({ load }) => load));
  expect([...loads]).toEqual(
    expect.arrayContaining([
      'get one action',
      'a pass of the sweep',
      'create, claim and end',
      '32 connections',
    ]),
  );
}, 180_000);

it('measures what the scheduler costs, and that it tells what it does, by copies without', async () => {
  const out = await bench('--only', 'scheduler', 'cost', '--connections', '4');
  const report = JSON.parse(await readFile(path.join(out, 'report.json'), 'utf8')) as Report;
  expect(
    report.sections.map(({ rows }) =>
      rows.find(({ figure }) => figure === 'completedPerSecond')?.ratios.map(({ of, to }) => `${of}/${to}`),
    ),
  ).toEqual([
    ['on/off', 'on again/on'],
    ['all but traces/off', 'a tenth traced/off', 'off again/off'],
  ]);
}, 180_000);

it('writes CPU profiles of the API and the worker', async () => {
  const out = await bench('--profile', '--connections', '4');
  for (const role of ['api', 'worker']) {
    const profile = JSON.parse(await readFile(path.join(out, 'profiles', `${role}.cpuprofile`), 'utf8')) as {
      readonly nodes: readonly object[];
    };
    expect(profile.nodes.length).toBeGreaterThan(100);
  }
}, 120_000);
