export { BuiltinIssuer, type TokenRequest } from './builtin-issuer.js';
export { ROLES, rolesFor, satisfies, type Need, type Role } from './scopes.js';
export { TokenVerifier, type Identity } from './token-verifier.js';
