import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CommanderError } from 'commander';
import { chartPage } from './chart-page.js';
import type { Findings } from './findings.js';
import { readOptions, type BenchOptions, type SectionName } from './options.js';
import { profile } from './profile.js';
import { beginReport, print, type Report } from './report.js';
import type { Section } from './section.js';
import { operatorConsole } from './sections/console.js';
import { cost } from './sections/cost.js';
import { growth } from './sections/growth.js';
import { pipelines } from './sections/pipelines.js';
import { processes } from './sections/processes.js';
import { raw } from './sections/raw.js';
import { scheduler } from './sections/scheduler.js';
import { start } from './sections/start.js';

/**
 * `npm run bench`: the product beside yardsticks, by turns in one run, on servers of its own. Absolute figures do not
 * carry to another machine; the ratios do. See docs/performance.md.
 */

const SECTIONS: Readonly<Record<SectionName, Section>> = {
  raw,
  pipelines,
  start,
  processes,
  growth,
  scheduler,
  cost,
  console: operatorConsole,
};

/** Once aborted, the section in hand takes down what it has brought up, after its round. */
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    if (interrupted.signal.aborted) process.exit(130);
    interrupted.abort();
    console.log('Stopping after this round; once more stops at once …');
  });
const say = (line: string): void => {
  interrupted.signal.throwIfAborted();
  console.log(line);
};

try {
  const options = readOptions(process.argv.slice(2));
  if (!existsSync('/proc/self/stat'))
    throw new Error('The bench reads CPU and memory from /proc: it needs Linux.');
  await (options.profile ? profile(options, say) : bench(options));
  process.exit();
} catch (error) {
  if (interrupted.signal.aborted) process.exit(130);
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode;
}

async function bench(options: BenchOptions): Promise<void> {
  const reportOf = beginReport(options);
  const findings: Findings[] = [];
  for (const name of options.only) {
    say(`\n${name}`);
    findings.push(await SECTIONS[name](options, say));
    // After each: what was measured outlives a section that fails.
    await write(reportOf(findings));
  }
  print(reportOf(findings));
  say(`${path.join(options.out, 'report.html')}, report.json`);
}

async function write(report: Report): Promise<void> {
  const { out } = report.options;
  await mkdir(out, { recursive: true });
  await writeFile(path.join(out, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
  await writeFile(path.join(out, 'report.html'), chartPage(report));
}
