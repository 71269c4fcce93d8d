import { EncryptJWT, errors, jwtDecrypt } from 'jose';

/** A sign-in at an issuer that was begun in a browser, and what its end has to fit. */
export interface PendingSignIn {
  /** Id of the issuer. */
  readonly issuer: string;
  readonly state: string;
  readonly nonce: string;
  /** Of PKCE (RFC 7636). */
  readonly codeVerifier: string;
  readonly redirectUri: string;
  /** Path where the person wanted to go. */
  readonly returnTo: string;
}

const CLAIM = 'pending';

/** Seconds between going to the issuer and coming back. */
export const SIGN_IN_WITHIN_SECONDS = 600;

/**
 * Sign-ins that were begun, sealed for a cookie: the browser that ends one has to be the one that began it, at whatever
 * API process, and nobody can fill a database with what is begun only.
 */
export class PendingSignIns {
  readonly #key: Uint8Array;

  /** @param key 32 bytes, the same for all API processes */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  seal(pending: PendingSignIn): Promise<string> {
    return new EncryptJWT({ [CLAIM]: pending })
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
      .setExpirationTime(`${SIGN_IN_WITHIN_SECONDS} s`)
      .encrypt(this.#key);
  }

  /** Null for what was not sealed here, or too long ago. */
  async open(sealed: string): Promise<PendingSignIn | null> {
    try {
      const { payload } = await jwtDecrypt(sealed, this.#key, {
        keyManagementAlgorithms: ['dir'],
        contentEncryptionAlgorithms: ['A256GCM'],
        requiredClaims: ['exp'],
      });
      return payload[CLAIM] as PendingSignIn;
    } catch (error) {
      if (error instanceof errors.JOSEError) return null;
      throw error;
    }
  }
}
