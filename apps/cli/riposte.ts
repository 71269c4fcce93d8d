import { Command } from 'commander';
import { BackupError } from '#persistence';
import { RefusedError } from './database.js';
import { exportCommand } from './export.js';
import { importCommand } from './import.js';

/** The command line for operators. What it tells goes to stderr; stdout is for what was asked for. */

const program = new Command('npm run riposte --')
  .description('Tools for operators. They work on the database itself.')
  .addCommand(exportCommand())
  .addCommand(importCommand());

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof RefusedError || error instanceof BackupError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
