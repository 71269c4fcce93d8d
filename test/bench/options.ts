import path from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';

/** What `npm run bench` can measure, and whether it does where nothing else is asked for. */
const IS_DEFAULT = {
  raw: true,
  pipelines: true,
  start: true,
  processes: false,
  growth: false,
  scheduler: false,
  cost: false,
  console: false,
} as const;

export type SectionName = keyof typeof IS_DEFAULT;

export interface BenchOptions {
  /** Rounds of each subject, interleaved. */
  readonly rounds: number;
  /** Seconds of load in a round. */
  readonly seconds: number;
  /** Connections that send one request after the other; one load for each number. */
  readonly connections: readonly number[];
  readonly only: readonly SectionName[];
  /** growth, console: actions in the large database. */
  readonly actions: number;
  /** growth: times each question is asked in a round. */
  readonly samples: number;
  /** Instead of a benchmark: CPU profiles of the product's processes under load. */
  readonly profile: boolean;
  /** Directory of the report's files and the profiles. */
  readonly out: string;
}

const NAMES = Object.keys(IS_DEFAULT) as SectionName[];

/**
 * Reads the command line.
 * @throws CommanderError once it has printed the usage or what is wrong; its `exitCode` is the process's
 */
export function readOptions(args: readonly string[]): BenchOptions {
  const defaults = NAMES.filter((name) => IS_DEFAULT[name]);
  const command = new Command('npm run bench --')
    .description('The product beside yardsticks measured in the same run, on servers of its own.')
    .option('--rounds <n>', 'rounds of each, interleaved', positive, 5)
    .option('--seconds <n>', 'seconds of load in a round', positive, 8)
    .addOption(
      new Option('--connections <list>', 'connections that send one request after the other')
        .argParser(numbers)
        .default([1, 32, 256], '1,32,256'),
    )
    .addOption(
      new Option('--only <sections...>', 'what is measured')
        .choices(NAMES)
        .default(defaults, defaults.join(' ')),
    )
    .option(
      '--actions <n>',
      'growth, console: actions in the large database (console: 1,000,000 at most)',
      positive,
      2_000_000,
    )
    .option('--samples <n>', 'growth: times each question is asked in a round', positive, 100)
    .option('--profile', 'instead: CPU profiles of the API and the worker under load', false)
    .option('--out <dir>', 'where the report is written', 'bench-results')
    .allowExcessArguments(false)
    .exitOverride();
  const { out, ...options } = command.parse(args, { from: 'user' }).opts<BenchOptions>();
  return { ...options, out: path.resolve(out) };
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError('It has to be a whole number from 1 on.');
  return value;
}

function numbers(text: string): readonly number[] {
  return text.split(',').map(positive);
}
