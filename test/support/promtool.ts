import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The promtool program: `RIPOSTE_PROMTOOL`, else of `PATH`. Null where there is none, which is said. */
export async function findPromtool(): Promise<string | null> {
  const promtool = process.env['RIPOSTE_PROMTOOL'] || 'promtool';
  return run(promtool, ['--version']).then(
    () => promtool,
    () => {
      console.warn(
        'NO PROMTOOL: what is asked of Prometheus is not tried. It is in the package prometheus; RIPOSTE_PROMTOOL names it elsewhere.',
      );
      return null;
    },
  );
}

/** @throws Error with what promtool says, where it finds anything wrong */
export async function promtoolPasses(promtool: string, args: readonly string[], cwd?: string): Promise<void> {
  await run(promtool, [...args], { cwd });
}

/**
 * Runs something on a file of this content that is there meanwhile. JSON is YAML.
 * @throws what `work` throws
 */
export async function onFile<T>(content: object, work: (file: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), 'riposte-promtool-'));
  try {
    const file = path.join(folder, 'promtool.yaml');
    await writeFile(file, JSON.stringify(content));
    return await work(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * Holds what an expression of PromQL comes to over these series, each with its one value, against a number without labels;
 * against nothing, where `expected` is null.
 *
 * @throws Error with what promtool says, where it comes to anything else, or is no expression
 */
export async function promqlComesTo(
  promtool: string,
  expr: string,
  series: readonly (readonly [series: string, value: number])[],
  expected: number | null,
): Promise<void> {
  const test = {
    interval: '1m',
    input_series: series.map(([name, value]) => ({ series: name, values: `${value} ${value}` })),
    promql_expr_test: [
      { expr, eval_time: '1m', exp_samples: expected === null ? [] : [{ labels: '{}', value: expected }] },
    ],
  };
  await onFile({ tests: [test] }, (file) => promtoolPasses(promtool, ['test', 'rules', file]));
}
