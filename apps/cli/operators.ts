import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { Command, InvalidArgumentError, Option } from 'commander';
import { TENANT_ROLES, UserError, type OperatorAccount, type TenantRole } from '#domain';
import type { AuditKind } from '#audit';
import type { OperatorStore } from '#persistence';
import { chainsOfOperator, doneOnRecord, type Doing } from './audit-events.js';
import { RefusedError, withDatabase } from './database.js';
import { givenPath } from './given-path.js';
import { guid } from './guid.js';

interface Printing {
  readonly json?: true;
}

/**
 * `riposte operators`: the accounts of people who sign in to the console. It works on the database, so that whoever runs
 * the installation gets in again when no administrator can. A password that is made is printed once.
 */
export function operatorsCommand(): Command {
  return new Command('operators')
    .description('The accounts of people who sign in to the console with a password kept here.')
    .hook('preAction', requireLocalAccounts)
    .addCommand(addCommand())
    .addCommand(addFirstCommand(), { hidden: true })
    .addCommand(listCommand())
    .addCommand(setRoleCommand())
    .addCommand(resetPasswordCommand())
    .addCommand(
      simple('disable', 'Let nobody sign in with an account; its sessions end at once.', (operators, name) =>
        operators.setDisabled(name, true),
      ),
    )
    .addCommand(
      simple('enable', 'Put a disabled account back into use.', (operators, name) =>
        operators.setDisabled(name, false),
      ),
    )
    .addCommand(removeCommand())
    .addCommand(
      simple('sign-out', 'End all sessions of an account at once.', (operators, name) =>
        operators.endSessions(name),
      ),
    );
}

async function requireLocalAccounts(): Promise<void> {
  const { loadConfig, usesLocalAccounts } = await import('#config');
  const config = await loadConfig({ ...process.env, RIPOSTE_EMBEDDED: '1' }, process.cwd());
  if (usesLocalAccounts(config)) return;
  throw new RefusedError(
    'Accounts are not kept here: the configuration names issuers that people sign in by (console.issuers). To use both, set console.localAccounts to true.',
  );
}

interface AddOptions extends Printing {
  readonly tenant: string;
  readonly role: TenantRole;
  readonly displayName?: string;
  readonly operates?: true;
  readonly passwordFile?: string;
}

function addCommand(): Command {
  return new Command('add')
    .description('Make an account, or give one that is there a role in another tenant with `set-role`.')
    .argument('<name>', 'to sign in by; small letters')
    .requiredOption('--tenant <guid>', 'tenant', guid)
    .addOption(roleOption().makeOptionMandatory())
    .option('--display-name <name>', 'for people; default: the name')
    .option('--operates', 'may operate the installation: queues, pauses, workers')
    .option('--password-file <path>', 'the password, or - for stdin; default: one is made, for one sign-in')
    .addOption(jsonOption())
    .action(async (given: string, options: AddOptions) => {
      const { checkNewPassword, displayName, newPassword, operatorName } = await import('#auth');
      const chosen = options.passwordFile === undefined ? null : await passwordIn(options.passwordFile);
      const { name, asShown } = refused(() => {
        const known = operatorName(given);
        if (chosen !== null) checkNewPassword(chosen, known);
        return { name: known, asShown: displayName(options.displayName ?? known) };
      });
      const password = chosen ?? newPassword();
      await make({
        name,
        displayName: asShown,
        password,
        mustChangePassword: chosen === null,
        operates: options.operates === true,
        grant: { tenantId: options.tenant, role: options.role },
      });
      if (chosen === null) tellPassword(options, name, password);
      else process.stderr.write(`Made the account ${name}.\n`);
    });
}

/** For the launcher: makes `admin` where there is no account yet. */
function addFirstCommand(): Command {
  return new Command('add-first')
    .description('Make the administrator of a new installation, where there is no account yet.')
    .requiredOption('--tenant <guid>', 'tenant', guid)
    .addOption(jsonOption())
    .action(async ({ tenant: tenantId, ...options }: Printing & { tenant: string }) => {
      const { newPassword } = await import('#auth');
      if (await withDatabase(process.env, ({ operators }) => operators.any())) return;
      const password = newPassword();
      const name = 'admin';
      await make({
        name,
        displayName: 'Administrator',
        password,
        mustChangePassword: true,
        operates: true,
        grant: { tenantId, role: 'Administrator' },
      });
      tellPassword(options, name, password);
    });
}

function listCommand(): Command {
  return new Command('list')
    .description('Show the accounts, with their roles.')
    .option('--tenant <guid>', 'of one tenant only', guid)
    .addOption(jsonOption())
    .action(async (options: Printing & { tenant?: string }) => {
      const found = await withDatabase(process.env, ({ operators }) =>
        operators.list(options.tenant ?? null),
      );
      print(options, found.map(shown), found.map(described).join(''));
      if (found.length === 0) process.stderr.write('There are no accounts. See: operators add --help\n');
    });
}

interface RoleOptions {
  readonly tenant?: string;
  readonly role?: TenantRole;
  readonly operates?: boolean;
}

function setRoleCommand(): Command {
  return new Command('set-role')
    .description('Give an account a role in a tenant, or have it operate the installation; its sessions end.')
    .argument('<name>')
    .option('--tenant <guid>', 'tenant of the role', guid)
    .addOption(roleOption())
    .option('--operates', 'may operate the installation')
    .option('--no-operates', 'may not')
    .action(async (name: string, { tenant, role, operates }: RoleOptions) => {
      if ((tenant === undefined) !== (role === undefined) || (role === undefined && operates === undefined))
        throw new RefusedError('Give --tenant together with --role, or --operates, or --no-operates.');
      const grant = tenant === undefined || role === undefined ? undefined : { tenantId: tenant, role };
      await changed(name, 'Changed', (operators) => operators.setRights(name, { grant, operates }), {
        ...(grant === undefined ? {} : { tenant: grant.tenantId, role: grant.role }),
        ...(operates === undefined ? {} : { operates }),
      });
    });
}

function resetPasswordCommand(): Command {
  return new Command('reset-password')
    .description('Give an account another password, printed once and good for one sign-in; its sessions end.')
    .argument('<name>')
    .addOption(jsonOption())
    .action(async (name: string, options: Printing) => {
      const { hashOfPassword, newPassword } = await import('#auth');
      const password = newPassword();
      const hash = await hashOfPassword(password);
      const account = await recorded(name, 'operator.passwordReset', {}, (operators) =>
        operators.setPassword(name, { hash, mustChange: true }),
      );
      if (account === null) throw unknownAccount(name);
      tellPassword(options, account.name, password);
    });
}

function removeCommand(): Command {
  return new Command('remove')
    .description('Remove an account, or take it out of one tenant; its sessions end at once.')
    .argument('<name>')
    .option('--tenant <guid>', 'out of this tenant only', guid)
    .action(async (name: string, { tenant }: { tenant?: string }) =>
      changed(
        name,
        'Removed',
        (operators) => operators.remove(name, tenant ?? null),
        tenant === undefined ? {} : { tenant },
      ),
    );
}

function simple(
  command: string,
  description: string,
  change: (operators: OperatorStore, name: string) => Promise<boolean>,
): Command {
  return new Command(command)
    .description(description)
    .argument('<name>')
    .action((name: string) =>
      changed(name, 'Changed', (operators) => change(operators, name), { did: command }),
    );
}

async function make({
  password,
  ...account
}: Omit<Parameters<OperatorStore['add']>[0], 'passwordHash'> & { readonly password: string }): Promise<void> {
  const { hashOfPassword } = await import('#auth');
  const passwordHash = await hashOfPassword(password);
  const made = await withDatabase(process.env, async (database) => {
    const doing: Doing = {
      chain: account.grant.tenantId,
      kind: 'operator.added',
      about: { operator: account.name },
      details: { role: account.grant.role, operates: account.operates },
    };
    return doneOnRecord(
      database,
      [doing],
      () => database.operators.add({ ...account, passwordHash }),
      (isMade) => (isMade ? null : 'notAllowed'),
    );
  });
  if (!made)
    throw new RefusedError(
      `There is an account ${account.name}; nothing was changed. A role in another tenant: operators set-role ${account.name}`,
    );
}

async function changed(
  name: string,
  what: 'Changed' | 'Removed',
  change: (operators: OperatorStore) => Promise<boolean>,
  details: Readonly<Record<string, string | boolean>>,
): Promise<void> {
  const kind = what === 'Removed' ? 'operator.removed' : 'operator.changed';
  if (!(await recorded(name, kind, details, change))) throw unknownAccount(name);
  process.stderr.write(`${what} the account ${name.toLowerCase()}. Its sessions have ended.\n`);
}

/** Does something to an account, once that is on record. */
function recorded<T>(
  name: string,
  kind: AuditKind,
  details: Readonly<Record<string, string | boolean>>,
  change: (operators: OperatorStore) => Promise<T>,
): Promise<T> {
  return withDatabase(process.env, async (database) => {
    const tenant = details['tenant'];
    const chains = [
      ...(await chainsOfOperator(database, name)),
      ...(typeof tenant === 'string' ? [tenant] : []),
    ];
    const about = { operator: name.toLowerCase().slice(0, 64) };
    return doneOnRecord(
      database,
      [...new Set(chains)].map((chain) => ({ chain, kind, about, details })),
      () => change(database.operators),
    );
  });
}

/** A value that is wrong, said in the words of whoever checks it. */
function refused<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new RefusedError(error.message, { cause: error });
  }
}

async function passwordIn(path: string): Promise<string> {
  const given = path === '-' ? await text(process.stdin) : await readFile(givenPath(path), 'utf8');
  return given.replace(/\r?\n$/, '');
}

function tellPassword(options: Printing, name: string, password: string): void {
  print(options, { name, password }, `name      ${name}\npassword  ${password}\n`);
}

function shown(account: OperatorAccount): object {
  const { passwordHash: _hash, generation: _generation, ...rest } = account;
  return rest;
}

function described({
  name,
  displayName,
  grants,
  operates,
  disabledAt,
  lastSignInAt,
}: OperatorAccount): string {
  const states = [
    ...(operates ? ['operates the installation'] : []),
    ...(disabledAt === null ? [] : [`disabled ${disabledAt.toISOString()}`]),
    lastSignInAt === null ? 'never signed in' : `last signed in ${lastSignInAt.toISOString()}`,
  ];
  const lines = grants.map(({ tenantId, role }) => `  tenant ${tenantId}  ${role}\n`);
  return `${name}  ${displayName}, ${states.join(', ')}\n${lines.join('')}`;
}

function print({ json }: Printing, value: unknown, plain: string): void {
  process.stdout.write(json === true ? `${JSON.stringify(value)}\n` : plain);
}

function unknownAccount(name: string): RefusedError {
  return new RefusedError(`There is no account ${name}; nothing was changed. See: operators list`);
}

function jsonOption(): Option {
  return new Option('--json', 'print JSON');
}

function roleOption(): Option {
  return new Option('--role <role>', TENANT_ROLES.join(', ')).argParser((given) => {
    const role = TENANT_ROLES.find((known) => known.toLowerCase() === given.toLowerCase());
    if (role === undefined) throw new InvalidArgumentError(`Known roles: ${TENANT_ROLES.join(', ')}.`);
    return role;
  });
}
