import { Command } from 'commander';
import { ConfigurationError } from '#domain';
import { actionCommand } from './action.js';
import { actionsCommand } from './actions.js';
import { CommandError, tellUsage } from './api-client.js';
import { auditCommand } from './audit.js';
import { appsCommand } from './apps.js';
import { requireBuiltinIssuer } from './builtin-issuer.js';
import { RefusedError } from './database.js';
import { completeCommand, completionCommand } from './completion.js';
import { doctorCommand } from './doctor.js';
import { exportCommand } from './export.js';
import { importCommand } from './import.js';
import { commandName } from './command-name.js';
import { issuerCommand } from './issuer.js';
import { operatorsCommand } from './operators.js';
import { pluginsCommand } from './plugins.js';
import { providersCommand } from './providers.js';
import { retentionCommand } from './retention.js';
import { secretsCommand } from './secrets.js';
import { setupCommand } from './setup.js';

/** The command line for operators. What it tells goes to stderr; stdout is for what was asked for. */

const program = new Command(commandName('riposte'))
  .description(
    'Providers and actions over the HTTP API; the other tools for operators work on the database or on files.',
  )
  .addCommand(providersCommand())
  .addCommand(actionsCommand())
  .addCommand(actionCommand())
  .addCommand(exportCommand())
  .addCommand(importCommand())
  .addCommand(appsCommand(requireBuiltinIssuer))
  .addCommand(issuerCommand(requireBuiltinIssuer))
  .addCommand(operatorsCommand())
  .addCommand(secretsCommand())
  .addCommand(auditCommand())
  .addCommand(setupCommand())
  .addCommand(retentionCommand())
  .addCommand(pluginsCommand())
  .addCommand(doctorCommand())
  .addCommand(completionCommand());
program.addCommand(completeCommand(program), { hidden: true });
tellUsage(program);

try {
  await program.parseAsync();
} catch (error) {
  const expected = [CommandError, RefusedError, ConfigurationError].some((known) => error instanceof known);
  if (!(expected && error instanceof Error)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error instanceof CommandError ? error.exitCode : 1;
}
