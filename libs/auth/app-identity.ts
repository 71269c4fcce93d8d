import type { JWTPayload } from 'jose';
import { UserError, isGuid } from '#domain';
import type { Identity } from './trusted-issuer.js';

const MOST_NAME_LENGTH = 256;

/**
 * Whom a token in the form of Entra's (v1 or v2) speaks for. Only an application's is accepted.
 * See https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference.
 * @throws UserError `accessDenied` for a user's token, `unauthenticated` without a tenant or an application
 */
export function appIdentityOf(payload: JWTPayload): Identity {
  refuseDelegated(payload);
  return identity(payload['tid'], payload['appid'] ?? payload['azp'], userOf(payload), payload['roles']);
}

/**
 * Refuses what is marked as a user's token: `scp`, or an `idtyp` other than `app`.
 * @param idtypRequired refuses a token without `idtyp`, too
 * @throws UserError `accessDenied`
 */
export function refuseDelegated(payload: JWTPayload, idtypRequired = false): void {
  const idtyp = payload['idtyp'];
  if (payload['scp'] !== undefined || (idtyp !== undefined && idtyp !== 'app')) throw delegated();
  if (idtypRequired && idtyp === undefined) {
    throw new UserError(
      'accessDenied',
      'The access token has no idtyp claim, which is required here: add the optional claim idtyp at its issuer.',
    );
  }
}

/** What a caller with a user's token is told. */
export function delegated(): UserError {
  return new UserError(
    'accessDenied',
    'Delegated permissions are not supported: use an application (client credentials) token.',
  );
}

/** The user that a token names beside the application, for the record. */
export function userOf(payload: JWTPayload): unknown {
  return payload['upn'] ?? payload['preferred_username'];
}

/**
 * The identity with these claims.
 * @throws UserError `unauthenticated` without a tenant or an application
 */
export function identity(tenant: unknown, app: unknown, user: unknown, roles: unknown): Identity {
  const tenantId = tenantIdOf(tenant);
  if (tenantId === null || typeof app !== 'string' || app === '' || app.length > MOST_NAME_LENGTH)
    throw new UserError('unauthenticated', 'The access token names no tenant or no application.');
  return {
    tenantId,
    appId: app,
    user: typeof user === 'string' && user !== '' && user.length <= MOST_NAME_LENGTH ? user : null,
    roles: namesIn(roles),
  };
}

/** GUIDs compare without regard to case, and two spellings must not be two tenants: small letters. Null: no GUID. */
export function tenantIdOf(value: unknown): string | null {
  const text = typeof value === 'string' ? value.toLowerCase() : '';
  return isGuid(text) ? text : null;
}

/** The strings of a claim that is a list, or is one string. */
export function namesIn(claim: unknown): readonly string[] {
  if (typeof claim === 'string') return [claim];
  return Array.isArray(claim) ? claim.filter((name): name is string => typeof name === 'string') : [];
}
