import { randomUUID } from 'node:crypto';
import { Command, InvalidArgumentError, Option } from 'commander';
import { ROLES, type Application } from '#domain';
import type { Database } from '#persistence';
import { chainOfApplication, doneOnRecord, type Doing } from './audit-events.js';
import { RefusedError, withDatabase } from './database.js';
import { guid } from './guid.js';
import { collectRoles } from './roles.js';

interface Expiring {
  /** Milliseconds; absent: never. */
  readonly expires?: number;
  readonly json?: true;
}

const LONGEST_NAME = 120;
const DAY_MS = 86_400_000;
const UNIT_MS = { h: 3_600_000, d: DAY_MS } as const;
const LONGEST_EXPIRY_MS = 3650 * DAY_MS;

/**
 * `riposte apps`: the applications that get tokens from the built-in issuer. A secret is printed once, when it is made.
 * @param check refuses where the built-in issuer is off
 */
export function appsCommand(check: () => Promise<void>): Command {
  return new Command('apps')
    .description('Register applications with the built-in issuer, and revoke them.')
    .hook('preAction', check)
    .addCommand(addCommand())
    .addCommand(listCommand())
    .addCommand(newSecretCommand())
    .addCommand(removeSecretCommand())
    .addCommand(revokeCommand())
    .addCommand(restoreCommand());
}

function addCommand(): Command {
  return new Command('add')
    .description('Register an application; prints its client id and a secret, which is not shown again.')
    .requiredOption('--tenant <guid>', 'tenant it acts for', guid)
    .requiredOption('--name <name>', 'its name, for people', name)
    .requiredOption('--role <role>', `role, repeatable: ${ROLES.join(', ')}`, collectRoles)
    .addOption(expiresOption())
    .addOption(jsonOption())
    .action(async (options: Expiring & { tenant: string; name: string; role: string[] }) => {
      const appId = randomUUID();
      const { newClientSecret } = await import('#auth');
      const { secret, kept } = await newClientSecret();
      const application = { appId, tenantId: options.tenant, name: options.name, roles: options.role };
      await withDatabase(process.env, async (database) => {
        const doing: Doing = {
          chain: options.tenant,
          kind: 'application.added',
          about: { appId },
          details: { name: options.name, roles: options.role, secretId: kept.id },
        };
        await doneOnRecord(database, [doing], () =>
          database.applications.add(application, { ...kept, expiresInMs: options.expires ?? null }),
        );
      });
      print(
        options,
        { tenantId: options.tenant, clientId: appId, clientSecret: secret, secretId: kept.id },
        `tenant         ${options.tenant}\nclient id      ${appId}\nclient secret  ${secret}\n`,
      );
    });
}

function listCommand(): Command {
  return new Command('list')
    .description('Show the applications, their roles and secrets (not the secrets themselves).')
    .option('--tenant <guid>', 'of one tenant only', guid)
    .addOption(jsonOption())
    .action(async (options: { tenant?: string; json?: true }) => {
      const found = await withDatabase(process.env, ({ applications }) =>
        applications.list(options.tenant ?? null),
      );
      print(options, found.map(shown), found.map(described).join('\n'));
      if (found.length === 0) process.stderr.write('There are no applications. See: apps add --help\n');
    });
}

function newSecretCommand(): Command {
  return new Command('new-secret')
    .description('Add a secret beside those an application has; printed once.')
    .argument('<client-id>', 'the application', guid)
    .addOption(expiresOption())
    .addOption(jsonOption())
    .action(async (appId: string, options: Expiring) => {
      const { newClientSecret } = await import('#auth');
      const { secret, kept } = await newClientSecret();
      const outcome = await changed(appId, 'application.changed', { addedSecret: kept.id }, (applications) =>
        applications.addSecret(appId, { ...kept, expiresInMs: options.expires ?? null }),
      );
      if (outcome === 'unknown') throw unknownApplication(appId);
      if (outcome === 'full') {
        throw new RefusedError(
          `Application ${appId} has as many secrets as it may have. Remove one: apps remove-secret ${appId} SECRET_ID`,
        );
      }
      print(
        options,
        { clientId: appId, clientSecret: secret, secretId: kept.id },
        `client id      ${appId}\nclient secret  ${secret}\nsecret id      ${kept.id}\n`,
      );
    });
}

function removeSecretCommand(): Command {
  return new Command('remove-secret')
    .description('Remove a secret; tokens it got live on until they expire, an hour at most.')
    .argument('<client-id>', 'the application', guid)
    .argument('<secret-id>', 'as `apps list` shows it')
    .action(async (appId: string, secretId: string) => {
      const removed = await changed(
        appId,
        'application.changed',
        { removedSecret: secretId },
        (applications) => applications.removeSecret(appId, secretId),
      );
      if (!removed) {
        throw new RefusedError(
          `There is no application ${appId} with a secret ${secretId}; nothing was changed. See: apps list`,
        );
      }
      process.stderr.write(`Removed secret ${secretId} of application ${appId}.\n`);
    });
}

function revokeCommand(): Command {
  return new Command('revoke')
    .description('End the tokens of an application, within 10 s, and give it no more.')
    .argument('<client-id>', 'the application', guid)
    .action(async (appId: string) => {
      if (!(await changed(appId, 'application.revoked', {}, (applications) => applications.revoke(appId))))
        throw unknownApplication(appId);
      process.stderr.write(`Revoked application ${appId}: its tokens end within 10 s.\n`);
    });
}

function restoreCommand(): Command {
  return new Command('restore')
    .description('Give a revoked application tokens again; those it had stay ended.')
    .argument('<client-id>', 'the application', guid)
    .action(async (appId: string) => {
      if (!(await changed(appId, 'application.restored', {}, (applications) => applications.restore(appId))))
        throw unknownApplication(appId);
      process.stderr.write(`Restored application ${appId}: it can get new tokens.\n`);
    });
}

/** Does something to an application, once that is on record. */
function changed<T>(
  appId: string,
  kind: 'application.changed' | 'application.revoked' | 'application.restored',
  details: Readonly<Record<string, string>>,
  change: (applications: Database['applications']) => Promise<T>,
): Promise<T> {
  return withDatabase(process.env, async (database) => {
    const chain = await chainOfApplication(database, appId);
    return doneOnRecord(database, [{ chain, kind, about: { appId }, details }], () =>
      change(database.applications),
    );
  });
}

function shown({ secrets, ...application }: Application): object {
  return {
    ...application,
    secrets: secrets.map(({ id, hint, createdAt, expiresAt }) => ({ id, hint, createdAt, expiresAt })),
  };
}

function described({ appId, tenantId, name: title, roles, secrets, disabledAt }: Application): string {
  const state = disabledAt === null ? '' : `, revoked ${disabledAt.toISOString()}`;
  const lines = secrets.map(({ id, hint, expiresAt }) => {
    const until = expiresAt === null ? 'does not expire' : `until ${expiresAt.toISOString()}`;
    return `  secret ${id}  rps_${hint}…  ${until}\n`;
  });
  return `${appId}  ${title}${state}\n  tenant ${tenantId}\n  roles  ${roles.join(', ')}\n${lines.join('')}`;
}

function print({ json }: { readonly json?: true }, value: unknown, text: string): void {
  process.stdout.write(json === true ? `${JSON.stringify(value)}\n` : text);
}

function unknownApplication(appId: string): RefusedError {
  return new RefusedError(`There is no application ${appId}; nothing was changed. See: apps list`);
}

function jsonOption(): Option {
  return new Option('--json', 'print JSON');
}

function expiresOption(): Option {
  return new Option(
    '--expires <time>',
    'life of the secret: 12h, 180d; at most 3650d. Default: it does not expire',
  ).argParser((text) => {
    const match = /^(\d{1,5})([hd])$/.exec(text);
    const ms = match === null ? 0 : Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
    if (ms < 1 || ms > LONGEST_EXPIRY_MS)
      throw new InvalidArgumentError('It has to be between 1h and 3650d, for example 180d.');
    return ms;
  });
}

function name(text: string): string {
  const trimmed = text.trim();
  if (trimmed === '' || trimmed.length > LONGEST_NAME || /\p{Cc}/u.test(trimmed))
    throw new InvalidArgumentError(`It has to be one line of 1 to ${LONGEST_NAME} characters.`);
  return trimmed;
}
