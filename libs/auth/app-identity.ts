import type { JWTPayload } from 'jose';
import { UserError } from '#domain';
import type { Identity } from './trusted-issuer.js';

/**
 * Whom a token in the form of Entra's (v1 or v2) speaks for. Only an application's is accepted.
 * See https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference.
 * @throws UserError `accessDenied` for a user's token, `unauthenticated` without a tenant or an application
 */
export function appIdentityOf(payload: JWTPayload): Identity {
  if (payload['scp'] !== undefined || (payload['idtyp'] !== undefined && payload['idtyp'] !== 'app')) {
    throw new UserError(
      'accessDenied',
      'Delegated permissions are not supported: use an application (client credentials) token.',
    );
  }
  const tenantId = payload['tid'];
  const appId = payload['appid'] ?? payload['azp'];
  if (typeof tenantId !== 'string' || tenantId === '' || typeof appId !== 'string' || appId === '') {
    throw new UserError(
      'unauthenticated',
      'The access token names no tenant (tid) or application (appid, azp).',
    );
  }
  const user = payload['upn'] ?? payload['preferred_username'];
  const roles = payload['roles'];
  return {
    // GUIDs compare without regard to case: two spellings must not be two tenants.
    tenantId: tenantId.toLowerCase(),
    appId,
    user: typeof user === 'string' ? user : null,
    roles: Array.isArray(roles) ? roles.filter((role): role is string => typeof role === 'string') : [],
  };
}
