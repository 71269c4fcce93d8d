import { rm, writeFile } from 'node:fs/promises';

import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { runCampaign } from './campaign.js';
import { CHOICES, chosen } from './catalogue.js';
import { MUTANTS, buildMutant } from './mutants.js';
import { PROJECT_DIR } from '../support/project-dir.js';
import { hasPassed, recoveriesByFault, reportOf } from './report.js';
import { MOCK_MODES, MODES, type Mode } from './modes.js';

/**
 * `npm run faults`: a campaign of faults against real processes and real servers, refereed by the vendors' own
 * ledgers. See docs/guarantees.md.
 */

interface Options {
  readonly seed: number;
  readonly actions: number;
  readonly faults: number;
  readonly spacing: number;
  readonly only: readonly string[];
  readonly mode: Mode | undefined;
  readonly mutant: string | undefined;
  readonly naive: boolean;
  readonly drainSeconds: number;
  readonly json: string | undefined;
}

const options = new Command('npm run faults --')
  .description(
    'Hurt a whole installation at random, and check that nothing acknowledged was lost, done twice, stuck or told untrue.',
  )
  .option(
    '--seed <n>',
    'the same seed draws the same faults and actions',
    whole,
    Math.floor(Math.random() * 1_000_000),
  )
  .option('--actions <n>', 'actions to be acknowledged', whole, 10_000)
  .option('--faults <n>', 'faults to cause', whole, 50)
  .option('--spacing <seconds>', 'between the beginnings of two faults, on average', whole, 5)
  .addOption(
    new Option('--only <what>', `only these faults, repeatable: ${CHOICES.join(', ')}`)
      .default([], 'all that are in the random mix')
      .argParser(choice),
  )
  .addOption(
    new Option('--mode <mode>', 'only the mock vendor that treats repeats so, or Defender').choices(MODES),
  )
  .option('--drain-seconds <n>', 'how long everything may take to end once all faults are healed', whole, 180)
  .addOption(
    new Option('--mutant <name>', 'against a product with this guarantee broken').choices(
      MUTANTS.map(({ name }) => name),
    ),
  )
  .option('--naive', 'against a worker for which the job is the truth', false)
  .option('--json <file>', 'also write verdict, faults and recovery times there')
  .showHelpAfterError()
  .parse()
  .opts<Options>();

// The naive worker speaks to the mock vendor only.
const all = options.naive ? MOCK_MODES : MODES;
const modes = options.mode === undefined ? all : [options.mode];
const faults = chosen(options.only, modes);
if (faults.length === 0) {
  console.error(`No vendor of mode ${modes.join(', ')} can have these faults. Nothing was tested.`);
  process.exit(2);
}
for (const { id, title, impossible } of faults) {
  const why = impossible?.() ?? null;
  if (why === null) continue;
  console.error(`${id} (${title}) CANNOT BE CAUSED ON THIS MACHINE: ${why}. Nothing was tested.`);
  process.exit(2);
}
if (options.only.includes('F21'))
  console.log('F21: only the restore is caused; test/e2e/upgrade.full-spec.ts tests upgrades.');

const mutantDir = path.join(tmpdir(), `riposte-mutant-${process.pid}`);
const root = options.mutant === undefined ? PROJECT_DIR : await buildMutant(options.mutant, mutantDir);
console.log(
  `seed ${options.seed}: ${options.actions} actions, ${options.faults} faults of ${[...new Set(faults.map(({ id }) => id))].join(' ')}`,
);
const campaign = await runCampaign({
  seed: options.seed,
  actions: options.actions,
  faultCount: options.faults,
  spacingMs: options.spacing * 1000,
  faults,
  modes,
  root,
  drainWithinMs: options.drainSeconds * 1000,
  ...(options.naive ? { workerCommand: ['node', path.join(import.meta.dirname, 'naive-worker.js')] } : {}),
  say: (line) => console.log(line),
});
await rm(mutantDir, { recursive: true, force: true });
console.log(reportOf(campaign, options.actions));
if (options.json !== undefined) {
  const { verdict, evidence, seconds } = campaign;
  const json = {
    options,
    seconds,
    verdict,
    faults: evidence.faults,
    recoveries: recoveriesByFault(evidence),
  };
  await writeFile(options.json, `${JSON.stringify(json, null, 2)}\n`);
}
process.exit(hasPassed(campaign, options.actions) ? 0 : 1);

function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It has to be a whole number.');
  return Number(text);
}

function choice(text: string, before: readonly string[]): string[] {
  if (!CHOICES.includes(text)) throw new InvalidArgumentError(`Known: ${CHOICES.join(', ')}.`);
  return [...before, text];
}
