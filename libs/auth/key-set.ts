import type { JWK } from 'jose';

const LEAST_RSA_BITS = 2048;
/** Verifying with a larger one takes long enough to be an attack. */
const MOST_RSA_BITS = 8192;
const MOST_KEYS = 100;

/** A public key that may verify access tokens. */
export interface IssuerKey {
  readonly kid: string;
  /** Of ours, those it may be used with. */
  readonly algorithms: readonly string[];
  /** Entra's: the issuer the key is for, with `{tenantid}` where it is for any tenant. Null: not said. */
  readonly issuer: string | null;
  readonly jwk: JWK;
}

/**
 * The usable keys of a JWK set. What is not for signatures, has no `kid`, is symmetric or private, or is weaker than
 * RSA 2048 is left out, and one key that stands there twice counts once.
 * @throws Error for what is no key set
 */
export function readKeySet(document: unknown): readonly IssuerKey[] {
  const keys = (document as { readonly keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys)) throw new Error('its key set has no list of keys');
  if (keys.length > MOST_KEYS) throw new Error(`its key set holds more than ${MOST_KEYS} keys`);
  const usable = keys.map((key: unknown) => readKey(key)).filter((key) => key !== null);
  return [...new Map(usable.map((key) => [JSON.stringify(key), key])).values()];
}

function readKey(value: unknown): IssuerKey | null {
  if (typeof value !== 'object' || value === null) return null;
  const { kid, use, key_ops: operations, alg, issuer, d, k } = value as Record<string, unknown>;
  if (typeof kid !== 'string' || kid === '' || d !== undefined || k !== undefined) return null;
  if (use !== undefined && use !== 'sig') return null;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return null;
  const shape = publicPartOf(value as Record<string, unknown>);
  if (shape === null) return null;
  const algorithms = shape.algorithms.filter((algorithm) => alg === undefined || alg === algorithm);
  if (algorithms.length === 0) return null;
  return { kid, algorithms, issuer: typeof issuer === 'string' ? issuer : null, jwk: shape.jwk };
}

function publicPartOf(
  key: Record<string, unknown>,
): { readonly jwk: JWK; readonly algorithms: readonly string[] } | null {
  const { kty, n, e, crv, x, y } = key;
  if (kty === 'RSA' && isBase64Url(n) && isBase64Url(e)) {
    const bits = bitsOf(n);
    if (bits < LEAST_RSA_BITS || bits > MOST_RSA_BITS || bitsOf(e) < 2) return null;
    return { jwk: { kty, n, e }, algorithms: ['RS256', 'PS256'] };
  }
  if (kty === 'EC' && crv === 'P-256' && isBase64Url(x) && isBase64Url(y))
    return { jwk: { kty, crv, x, y }, algorithms: ['ES256'] };
  return null;
}

function isBase64Url(value: unknown): value is string {
  return typeof value === 'string' && /^[\w-]+$/.test(value);
}

function bitsOf(modulus: string): number {
  const bytes = Buffer.from(modulus, 'base64url');
  const first = bytes.findIndex((byte) => byte !== 0);
  if (first === -1) return 0;
  return (bytes.length - first) * 8 - Math.clz32(bytes[first] ?? 0) + 24;
}
