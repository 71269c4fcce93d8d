import { createHash } from 'node:crypto';
import { decodeJwt, errors, jwtVerify, type JWTPayload } from 'jose';
import { LRUCache } from 'lru-cache';
import { RiposteError, UserError } from '#domain';
import type { Identity, TrustedIssuer } from './trusted-issuer.js';

const MOST_LIFETIME_SECONDS = 24 * 3600;
const CLOCK_TOLERANCE_SECONDS = 60;
const MOST_TOKEN_LENGTH = 8192;
const CACHED_TOKENS = 5000;
/** Then its signature is verified anew, so that a token ends soon after its key. */
const REMEMBER_MS = 60_000;

interface VerifiedToken {
  readonly issuer: TrustedIssuer;
  readonly payload: JWTPayload;
  /** When it is to be verified again. */
  readonly expiresAtMs: number;
}

/**
 * Verifies bearer tokens. A token that was verified is remembered by its hash, for a minute at most; whom it speaks for
 * is asked of its issuer at every use, which refuses a revoked one.
 */
export class TokenVerifier {
  readonly #issuers: readonly TrustedIssuer[];
  readonly #known = new LRUCache<string, VerifiedToken>({ max: CACHED_TOKENS });

  /** @param issuers no two of which accept the same token */
  constructor(issuers: readonly TrustedIssuer[]) {
    this.#issuers = issuers;
  }

  /**
   * @throws UserError `unauthenticated` for a token that is not ours, not valid now, or not for us;
   * `accessDenied` for a user's token where an application's is needed
   * @throws OperationalError when the issuer's keys cannot be had for now
   */
  async verify(token: string): Promise<Identity> {
    if (token.length > MOST_TOKEN_LENGTH)
      throw new UserError('unauthenticated', 'The access token is too long.');
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#known.get(key);
    if (known !== undefined && known.expiresAtMs > Date.now()) return known.issuer.identityOf(known.payload);
    const { issuer, payload } = await this.#verifySignature(token);
    this.#known.set(key, {
      issuer,
      payload,
      expiresAtMs: Math.min((payload.exp ?? 0) * 1000, Date.now() + REMEMBER_MS),
    });
    return issuer.identityOf(payload);
  }

  async #verifySignature(token: string): Promise<{ issuer: TrustedIssuer; payload: JWTPayload }> {
    try {
      const issuer = this.#issuerOf(token);
      const { payload } = await jwtVerify(token, (header) => issuer.keyOf(header), {
        algorithms: [...issuer.algorithms],
        audience: [...issuer.audiences],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        requiredClaims: ['iss', 'exp', 'iat', 'nbf'],
        maxTokenAge: MOST_LIFETIME_SECONDS,
      });
      return { issuer, payload };
    } catch (cause) {
      if (cause instanceof RiposteError) throw cause;
      throw new UserError(
        'unauthenticated',
        cause instanceof errors.JWTExpired
          ? 'The access token has expired.'
          : 'The access token is not valid.',
        { cause },
      );
    }
  }

  /** The issuer is read before the signature is verified: it says whose keys verify it, and is covered by it. */
  #issuerOf(token: string): TrustedIssuer {
    const { iss, ...claims } = decodeJwt(token);
    const tid = typeof claims['tid'] === 'string' ? claims['tid'] : null;
    const issuer = typeof iss === 'string' && this.#issuers.find((known) => known.accepts(iss, tid));
    if (!issuer) throw new errors.JWTClaimValidationFailed('no trusted issuer', claims, 'iss');
    return issuer;
  }
}
