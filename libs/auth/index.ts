export { BuiltinIssuer, type TokenRequest } from './builtin-issuer.js';
export type { IssuerSettings } from './issuer-settings.js';
export { issuersOf, type OutsideIssuer } from './outside-issuers.js';
export { ROLES, rolesFor, satisfies, type Need, type Role } from './scopes.js';
export { TokenVerifier } from './token-verifier.js';
export type { Identity, TrustedIssuer } from './trusted-issuer.js';
