export { BuiltinIssuer, type Installation, type TokenRequest } from './builtin-issuer.js';
export { ClientCredentials, type TokenAnswer } from './client-credentials.js';
export { newClientSecret, type NewClientSecret } from './client-secret.js';
export {
  ConsoleIssuer,
  SignInRefusal,
  type ConsoleIssuerSettings,
  type SignInProblem,
} from './console-issuers.js';
export {
  ConsoleSessions,
  csrfTokenOf,
  identityOfSession,
  isCsrfTokenOf,
  type BegunSession,
  type SessionLimits,
} from './console-sessions.js';
export { FailedAttempts } from './failed-attempts.js';
export { issuerMetadata, jwksOf } from './issuer-metadata.js';
export type { IssuerSettings } from './issuer-settings.js';
export { KnownDevices } from './known-devices.js';
export { isLoopbackAddress, isLoopbackUrl } from './loopback.js';
export { LocalSignIn, SignInRefusedError, type Origin } from './local-sign-in.js';
export { OAuthError, type OAuthErrorCode } from './oauth-error.js';
export { issuersOf, type OutsideIssuer } from './outside-issuers.js';
export { displayName, operatorName } from './operator-name.js';
export { checkNewPassword, hashOfPassword, newPassword } from './password.js';
export { PendingSignIns, SIGN_IN_WITHIN_SECONDS } from './pending-sign-ins.js';
export { TenantPeople, type WithPassword } from './tenant-people.js';
export { rolesFor, satisfies, type Need } from './scopes.js';
export { replaceSigningKey } from './signing-key.js';
export { parseTokenForm, type TokenForm } from './token-form.js';
export { TokenVerifier } from './token-verifier.js';
export type { Identity, TrustedIssuer } from './trusted-issuer.js';
