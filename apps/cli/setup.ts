import { randomBytes } from 'node:crypto';
import { Command } from 'commander';
import { withDatabase } from './database.js';

/** Bytes of a password. */
const PASSWORD_BYTES = 24;

/** `riposte setup`: what an administrator of the database does once, so that the processes need not be one. */
export function setupCommand(): Command {
  return new Command('setup')
    .description('Prepare the database, with the MONGODB_URI of an administrator of it. Safe to repeat.')
    .addCommand(indexesCommand())
    .addCommand(usersCommand());
}

function indexesCommand(): Command {
  return new Command('indexes')
    .description('Make the indexes that are missing, and wait for those that are being built.')
    .action(async () => {
      // It is what connecting does first of all.
      await withDatabase(process.env, () => Promise.resolve());
      process.stderr.write('All indexes are there.\n');
    });
}

interface MadeUser {
  readonly user: string;
  readonly role: string;
  /** Null: it has the one from before. */
  readonly password: string | null;
}

function usersCommand(): Command {
  return new Command('users')
    .description(
      'Make the indexes, and a user with a role of its own for the API, the workers, the retention and the commands. Prints each password once.',
    )
    .option('--new-passwords', 'also give those that are there already a new password')
    .option('--json', 'print JSON')
    .action(async ({ newPasswords, json }: { newPasswords?: true; json?: true }) => {
      await withDatabase(process.env, async ({ users }) => {
        const passwords = new Map<string, string>();
        const passwordOf = (name: string): string => {
          const password = randomBytes(PASSWORD_BYTES).toString('base64url');
          passwords.set(name, password);
          return password;
        };
        const made: MadeUser[] = [];
        const tell = ({ name, role }: { readonly name: string; readonly role: string }): void => {
          const user = { user: name, role, password: passwords.get(name) ?? null };
          made.push(user);
          // At once: nobody could find out its password any more if the next one fails.
          if (json !== true) process.stdout.write(described(user));
        };
        try {
          await users.setUp(passwordOf, newPasswords === true, tell);
        } finally {
          if (json === true && made.length > 0)
            process.stdout.write(`${JSON.stringify({ database: users.databaseName, users: made })}\n`);
        }
        if (json !== true) process.stdout.write(addressOf(users.databaseName));
      });
    });
}

function described({ user, role, password }: MadeUser): string {
  return `${user.padEnd(18)}  ${role.padEnd(16)}  ${password ?? '(its password stays; see --new-passwords)'}\n`;
}

function addressOf(database: string): string {
  return `\nMONGODB_URI=mongodb://USER:PASSWORD@HOST/${database}?authSource=${database}&…\n`;
}
