import type { Role } from '#domain';

/**
 * What a route needs: reading, writing (which includes reading), operating the installation, (`inspect`) either of
 * reading and operating; reading the tenant's audit record, or (`auditKey`) having any audit record to verify.
 */
export type Need = 'read' | 'write' | 'operate' | 'inspect' | 'audit' | 'auditKey';

const SATISFIED_BY: Readonly<Record<Need, readonly Role[]>> = {
  read: ['SecurityActions.Read.All', 'SecurityActions.ReadWrite.All'],
  write: ['SecurityActions.ReadWrite.All'],
  operate: ['Riposte.Operator'],
  audit: ['Audit.Read.All'],
  auditKey: ['Audit.Read.All', 'Riposte.Operator'],
  inspect: ['SecurityActions.Read.All', 'SecurityActions.ReadWrite.All', 'Riposte.Operator'],
};

/** True when one of the roles is enough. */
export function satisfies(roles: readonly string[], need: Need): boolean {
  return SATISFIED_BY[need].some((role) => roles.includes(role));
}

/** The roles that would be enough, for messages. */
export function rolesFor(need: Need): readonly Role[] {
  return SATISFIED_BY[need];
}
