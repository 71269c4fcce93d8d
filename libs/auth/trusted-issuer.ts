import type { CryptoKey, JWSHeaderParameters, JWTPayload } from 'jose';
import type { Caller } from '#domain';

/** Who a verified token speaks for, and what it may do. */
export interface Identity extends Caller {
  readonly roles: readonly string[];
}

/** What a token says of its origin. Not verified yet where a key is looked for, but covered by the signature. */
export interface Origin {
  readonly iss: string;
  /** Its `tid`, as spelled in the token. */
  readonly tid: string | null;
}

/** An issuer whose access tokens are accepted, and what is particular to it. */
export interface TrustedIssuer {
  /** Its name in messages and logs. */
  readonly name: string;
  readonly audiences: readonly string[];
  /** The JWS algorithms its keys may be used with; never `none` or a symmetric one. */
  readonly algorithms: readonly string[];
  /** True when a token that claims this issuer, and this tenant (`tid`) if any, is this one's to verify. */
  accepts(iss: string, tid: string | null): boolean;
  /**
   * The public key a token says it was signed with, by its `kid` alone: nothing else in the header is followed.
   * @param origin of the token, for issuers that have keys of certain tenants only
   * @throws JWKSNoMatchingKey of jose for a key that is not the issuer's
   * @throws OperationalError when the issuer's keys cannot be had for now
   */
  keyOf(header: JWSHeaderParameters, origin: Origin): Promise<CryptoKey>;
  /**
   * Whom a token with a valid signature, audience and time speaks for. Asked at every use of a token, also of one
   * that was verified a moment ago: an issuer that throws here for a revoked one ends it at once. Has to be cheap.
   * @throws UserError `unauthenticated` or `accessDenied`
   */
  identityOf(payload: JWTPayload): Identity | Promise<Identity>;
}
