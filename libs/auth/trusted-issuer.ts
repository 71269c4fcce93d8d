import type { CryptoKey, JWSHeaderParameters, JWTPayload } from 'jose';
import type { Caller } from '#domain';

/** Who a verified token speaks for, and what it may do. */
export interface Identity extends Caller {
  readonly roles: readonly string[];
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
   * @throws JWKSNoMatchingKey of jose for a key that is not the issuer's
   * @throws OperationalError when the issuer's keys cannot be had for now
   */
  keyOf(header: JWSHeaderParameters): Promise<CryptoKey>;
  /**
   * Whom a token with a valid signature, audience and time speaks for.
   * @throws UserError `unauthenticated` or `accessDenied`
   */
  identityOf(payload: JWTPayload): Identity | Promise<Identity>;
}
