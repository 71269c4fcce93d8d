export { BuiltinIssuer, type TokenRequest } from './builtin-issuer.js';
export { ROLES, rolesFor, satisfies, type Need, type Role } from './scopes.js';
export { TokenVerifier } from './token-verifier.js';
export type { Identity, TrustedIssuer } from './trusted-issuer.js';
