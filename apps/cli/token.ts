import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { BuiltinIssuer } from '#auth';
import { ConfigurationError, ROLES } from '#domain';
import { recordSignedToken } from './audit-events.js';
import { requireBuiltinIssuer } from './builtin-issuer.js';
import { commandName } from './command-name.js';
import { guid } from './guid.js';
import { collectRoles } from './roles.js';

/**
 * Prints one bearer token, and nothing else, on stdout. It reads the issuer's key from the data dir, and refuses where
 * the configuration turns that issuer off.
 */

const UNIT_SECONDS = { '': 1, s: 1, m: 60, h: 3600 } as const;
const MOST_SECONDS = 24 * 3600;

const program = new Command(commandName('token'))
  .description('Sign an access token with the key of the built-in issuer.')
  .requiredOption('--tenant <guid>', 'tenant the token is for', guid)
  .requiredOption('--app <guid>', 'application (client id) the token is for', guid)
  .requiredOption('--role <role>', `role, repeatable: ${ROLES.join(', ')}`, collectRoles)
  .option(
    '--expires <seconds>',
    'life of the token in seconds, or with a unit: 90s, 30m, 12h; at most 24h',
    duration,
    3600,
  )
  .showHelpAfterError()
  .action(async (options: { tenant: string; app: string; role: string[]; expires: number }) => {
    await requireBuiltinIssuer();
    const dataDir = path.resolve(process.env['RIPOSTE_DATA_DIR'] || '.riposte');
    const issuer = await BuiltinIssuer.open(dataDir);
    const wanted = { tenantId: options.tenant, appId: options.app, roles: options.role };
    await recordSignedToken(dataDir, wanted);
    const token = await issuer.issue({ ...wanted, expiresInSeconds: options.expires });
    process.stdout.write(`${token}\n`);
  });

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof ConfigurationError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

function duration(text: string): number {
  const match = /^(\d{1,6})([smh]?)$/.exec(text);
  const seconds = match === null ? 0 : Number(match[1]) * UNIT_SECONDS[match[2] as keyof typeof UNIT_SECONDS];
  if (seconds < 1 || seconds > MOST_SECONDS)
    throw new InvalidArgumentError('It has to be between 1s and 24h, for example 3600 or 12h.');
  return seconds;
}
