import { Command } from 'commander';
import { ConfigurationError } from '#domain';
import { BackupError } from '#persistence';
import { appsCommand } from './apps.js';
import { requireBuiltinIssuer } from './builtin-issuer.js';
import { RefusedError } from './database.js';
import { exportCommand } from './export.js';
import { importCommand } from './import.js';
import { commandName } from './command-name.js';
import { issuerCommand } from './issuer.js';

/** The command line for operators. What it tells goes to stderr; stdout is for what was asked for. */

const program = new Command(commandName('riposte'))
  .description('Tools for operators. They work on the database itself.')
  .addCommand(exportCommand())
  .addCommand(importCommand())
  .addCommand(appsCommand(requireBuiltinIssuer))
  .addCommand(issuerCommand(requireBuiltinIssuer));

try {
  await program.parseAsync();
} catch (error) {
  const expected = [RefusedError, BackupError, ConfigurationError].some((known) => error instanceof known);
  if (!(expected && error instanceof Error)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
