import type { IssuerPublicKey } from '#domain';
import { SCOPE } from './token-form.js';

/**
 * What clients read before they ask for a token (OpenID Connect Discovery 1.0 §3, RFC 8414): a tenant's issuer and
 * its endpoints.
 *
 * @param publicUrl without a slash at its end
 */
export function issuerMetadata(publicUrl: string, tenantId: string, issuer: string): object {
  const base = `${publicUrl}/${tenantId}`;
  return {
    issuer,
    token_endpoint: `${base}/oauth2/v2.0/token`,
    jwks_uri: `${base}/discovery/v2.0/keys`,
    // Nobody signs in here and nothing is served there, but MSAL takes no document without it.
    authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
    grant_types_supported: ['client_credentials'],
    token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
    scopes_supported: [SCOPE],
    response_types_supported: [],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
  };
}

/** The keys as a JWK set (RFC 7517). */
export function jwksOf(keys: readonly IssuerPublicKey[]): { readonly keys: readonly object[] } {
  return { keys: keys.map(({ kid, n, e }) => ({ kty: 'RSA', use: 'sig', alg: 'RS256', kid, n, e })) };
}
