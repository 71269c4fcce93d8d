import { createHash } from 'node:crypto';
import { errors, jwtVerify, type JWTPayload } from 'jose';
import { LRUCache } from 'lru-cache';
import { UserError, type Caller } from '#domain';
import { ALGORITHM, BUILTIN_ISSUER, DEFAULT_AUDIENCE, type BuiltinIssuer } from './builtin-issuer.js';

/** Who a verified token speaks for, and what it may do. */
export interface Identity extends Caller {
  readonly roles: readonly string[];
}

const MOST_LIFETIME_SECONDS = 24 * 3600;
const CLOCK_TOLERANCE_SECONDS = 60;
const MOST_TOKEN_LENGTH = 8192;
const CACHED_TOKENS = 5000;

/** Verifies bearer tokens. A token that was verified is remembered by its hash until it expires. */
export class TokenVerifier {
  readonly #issuer: BuiltinIssuer;
  readonly #known = new LRUCache<string, { readonly identity: Identity; readonly expiresAtMs: number }>({
    max: CACHED_TOKENS,
  });

  constructor(issuer: BuiltinIssuer) {
    this.#issuer = issuer;
  }

  /**
   * @throws UserError `unauthenticated` for a token that is not ours, not valid now, or not for us;
   * `accessDenied` for a user's token where an application's is needed
   */
  async verify(token: string): Promise<Identity> {
    if (token.length > MOST_TOKEN_LENGTH)
      throw new UserError('unauthenticated', 'The access token is too long.');
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#known.get(key);
    if (known !== undefined && known.expiresAtMs > Date.now()) return known.identity;
    const payload = await this.#verifySignature(token);
    const identity = identityOf(payload);
    this.#known.set(key, { identity, expiresAtMs: (payload.exp ?? 0) * 1000 });
    return identity;
  }

  async #verifySignature(token: string): Promise<JWTPayload> {
    try {
      const { payload } = await jwtVerify(
        token,
        (header) => {
          if (header.kid !== this.#issuer.keyId) throw new errors.JWKSNoMatchingKey();
          return this.#issuer.publicKey;
        },
        {
          algorithms: [ALGORITHM],
          issuer: BUILTIN_ISSUER,
          audience: DEFAULT_AUDIENCE,
          clockTolerance: CLOCK_TOLERANCE_SECONDS,
          requiredClaims: ['exp', 'iat', 'nbf', 'tid'],
          maxTokenAge: MOST_LIFETIME_SECONDS,
        },
      );
      return payload;
    } catch (cause) {
      throw new UserError(
        'unauthenticated',
        cause instanceof errors.JWTExpired
          ? 'The access token has expired.'
          : 'The access token is not valid.',
        { cause },
      );
    }
  }
}

function identityOf(payload: JWTPayload): Identity {
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
