import { hashOfPassword } from '#auth';
import type { Grant, TenantRole } from '#domain';
import type { Database } from '#persistence';
import { TENANT_A } from './database.js';

export const PASSWORD = 'correct horse battery';

/** One hash for all of a file's accounts: each costs a third of a second. */
let hash: Promise<string> | undefined;

/** Makes an account with the password {@link PASSWORD}. */
export async function makeOperator(
  database: Pick<Database, 'operators'>,
  name: string,
  options: {
    readonly role?: TenantRole;
    /** The first is where a session begins. Default: `role` in tenant A. */
    readonly grants?: readonly Grant[];
    readonly operates?: boolean;
    readonly mustChangePassword?: boolean;
  } = {},
): Promise<void> {
  hash ??= hashOfPassword(PASSWORD);
  const [grant = { tenantId: TENANT_A, role: options.role ?? 'Operator' }, ...others] = options.grants ?? [];
  const made = await database.operators.add({
    name,
    displayName: `Known as ${name}`,
    passwordHash: await hash,
    mustChangePassword: options.mustChangePassword ?? false,
    operates: options.operates ?? false,
    grant,
  });
  if (!made) throw new Error(`there is an account ${name}`);
  for (const another of others) await database.operators.setRights(name, { grant: another });
}
