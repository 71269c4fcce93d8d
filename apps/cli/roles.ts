import { InvalidArgumentError } from 'commander';
import { ROLES } from '#domain';

/** Collects the values of an option that names a role and may be repeated; each counts once. */
export function collectRoles(role: string, before: readonly string[] | undefined): string[] {
  if (!ROLES.some((known) => known === role))
    throw new InvalidArgumentError(`Known roles: ${ROLES.join(', ')}.`);
  return [...new Set([...(before ?? []), role])];
}
