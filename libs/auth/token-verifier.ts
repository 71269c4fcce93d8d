import { createHash } from 'node:crypto';
import { decodeJwt, errors, jwtVerify, type JWSHeaderParameters, type JWTPayload } from 'jose';
import { LRUCache } from 'lru-cache';
import { RiposteError, UserError } from '#domain';
import type { Identity, Origin, TrustedIssuer } from './trusted-issuer.js';

const MOST_LIFETIME_SECONDS = 24 * 3600;
const CLOCK_TOLERANCE_SECONDS = 60;
const MOST_TOKEN_LENGTH = 8192;
const CACHED_TOKENS = 5000;
/** After this the signature is verified anew, so that a token ends soon after its issuer's key. */
const VERIFIED_FOR_MS = 60_000;
/** `typ` of an access token's header; others (`logout+jwt`, `dpop+jwt`, …) are something else: RFC 8725, 3.11. */
const TYPES = new Set(['jwt', 'at+jwt']);

interface VerifiedToken {
  readonly issuer: TrustedIssuer;
  readonly payload: JWTPayload;
  readonly verifiedAtMs: number;
  readonly expiresAtMs: number;
}

/**
 * Verifies bearer tokens. A signature that was verified is remembered, by the token's hash, for a minute and never
 * beyond the token's end; whom the token speaks for is asked of the issuer at every use.
 */
export class TokenVerifier {
  readonly #issuers: readonly TrustedIssuer[];
  readonly #now: () => number;
  readonly #known = new LRUCache<string, VerifiedToken>({ max: CACHED_TOKENS });

  /**
   * @param issuers no two of which accept the same token
   * @param now milliseconds since 1970
   */
  constructor(issuers: readonly TrustedIssuer[], now: () => number = Date.now) {
    this.#issuers = issuers;
    this.#now = now;
  }

  /**
   * @throws UserError `unauthenticated` for a token that is not ours, not valid now, or not for us;
   * `accessDenied` for a user's token where an application's is needed
   * @throws OperationalError when the issuer's keys cannot be had for now
   */
  async verify(token: string): Promise<Identity> {
    if (token.length > MOST_TOKEN_LENGTH)
      throw new UserError('unauthenticated', 'The access token is too long.');
    const hash = createHash('sha256').update(token).digest('base64');
    const { issuer, payload } = this.#remembered(hash) ?? (await this.#verifyAndRemember(token, hash));
    return issuer.identityOf(payload);
  }

  #remembered(hash: string): VerifiedToken | null {
    const known = this.#known.get(hash);
    if (known === undefined) return null;
    const now = this.#now();
    const age = now - known.verifiedAtMs;
    return age >= 0 && age < VERIFIED_FOR_MS && now < known.expiresAtMs ? known : null;
  }

  async #verifyAndRemember(token: string, hash: string): Promise<VerifiedToken> {
    const nowMs = this.#now();
    let audiences: readonly string[] = [];
    const told = (cause: unknown): string =>
      cause instanceof errors.JWTExpired
        ? 'The access token has expired.'
        : `The access token is not valid: ${whyNot(cause, audiences)}.`;
    try {
      const origin = originOf(decodeJwt(token));
      const issuer = this.#issuerOf(origin);
      audiences = issuer.audiences;
      const { payload } = await jwtVerify(token, (header) => keyFor(header, issuer, origin), {
        algorithms: [...issuer.algorithms],
        audience: [...issuer.audiences],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        // `nbf` holds where it is given: Keycloak, among others, gives none.
        requiredClaims: ['iss', 'exp', 'iat'],
        maxTokenAge: MOST_LIFETIME_SECONDS,
        currentDate: new Date(nowMs),
      });
      const { exp = 0, iat = 0 } = payload;
      if (exp - iat > MOST_LIFETIME_SECONDS)
        throw new errors.JWTClaimValidationFailed('it lives longer than a day', payload, 'exp');
      const verified = { issuer, payload, verifiedAtMs: nowMs, expiresAtMs: exp * 1000 };
      this.#known.set(hash, verified);
      return verified;
    } catch (cause) {
      if (cause instanceof RiposteError) throw cause;
      throw new UserError('unauthenticated', told(cause), { cause });
    }
  }

  /** The issuer is read before the signature is verified: it says whose keys verify it, and is covered by it. */
  #issuerOf({ iss, tid }: Origin): TrustedIssuer {
    const issuer = this.#issuers.find((known) => known.accepts(iss, tid));
    if (issuer === undefined) throw new errors.JWTInvalid('no trusted issuer');
    return issuer;
  }
}

/**
 * For whoever set the caller up. Before the signature was verified one text for all, so that made-up tokens do not find
 * out which issuers, tenants and keys there are.
 */
function whyNot(cause: unknown, audiences: readonly string[]): string {
  if (!(cause instanceof errors.JWTClaimValidationFailed))
    return 'it has to be a JWT that an issuer accepted here signed for its tenant, with a key in use';
  if (cause.claim === 'aud')
    return `its audience (aud) has to be ${audiences.join(' or ')}; ask for it by the scope`;
  return `its ${cause.claim} is missing, wrong, or not for this time`;
}

function originOf({ iss, ...claims }: JWTPayload): Origin {
  if (typeof iss !== 'string') throw new errors.JWTInvalid('it names no issuer');
  const tid = claims['tid'];
  return { iss, tid: typeof tid === 'string' ? tid : null };
}

/** No extension of JWS is understood here, and keys that a token brings along or points to are not looked at. */
function keyFor(header: JWSHeaderParameters, issuer: TrustedIssuer, origin: Origin) {
  if (header.crit !== undefined || header.b64 !== undefined)
    throw new errors.JOSENotSupported('it has critical header parameters');
  if (header.typ !== undefined && !TYPES.has(header.typ.toLowerCase().replace(/^application\//, '')))
    throw new errors.JWTInvalid('it is a token of another type');
  return issuer.keyOf(header, origin);
}
