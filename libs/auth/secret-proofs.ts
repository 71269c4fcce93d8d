import { createHmac, randomBytes } from 'node:crypto';
import { BulkheadRejectedError, bulkhead } from 'cockatiel';
import { LRUCache } from 'lru-cache';
import type { ApplicationSecret } from '#domain';
import { isSecretOf } from './client-secret.js';
import { OAuthError } from './oauth-error.js';

/** Hashes computed at once: each takes 16 MiB and one of libuv's four threads, which files and DNS need, too. */
const HASHES_AT_ONCE = 2;
const HASHES_WAITING = 20;
const MOST_REMEMBERED = 10_000;

/**
 * Proves secrets by their hashes, each right one once: an application that asks for tokens in a loop costs no more
 * than its first, and takes the hashing from nobody. Remembered is a MAC under a key that only this process has. A
 * secret that was removed or replaced is no candidate any more, whatever is remembered of it.
 */
export class SecretProofs {
  readonly #key = randomBytes(32);
  readonly #proofs = new LRUCache<string, Promise<boolean>>({ max: MOST_REMEMBERED });
  readonly #hashing = bulkhead(HASHES_AT_ONCE, HASHES_WAITING);

  /** True when the answer is there or on its way: asking for it computes nothing. */
  knows(given: string, secret: ApplicationSecret): boolean {
    return this.#proofs.has(this.#nameOf(given, secret));
  }

  /**
   * True when this is the secret that was hashed.
   * @throws OAuthError `temporarily_unavailable` when too many hashes wait to be computed
   */
  isRight(given: string, secret: ApplicationSecret): Promise<boolean> {
    const name = this.#nameOf(given, secret);
    const known = this.#proofs.get(name);
    if (known !== undefined) return known;
    const proof = this.#hashed(() => isSecretOf(given, secret));
    this.#proofs.set(name, proof);
    const forget = (): void => void this.#proofs.delete(name);
    void proof.then((isRight) => (isRight ? undefined : forget()), forget);
    return proof;
  }

  #nameOf(given: string, { hash }: ApplicationSecret): string {
    return createHmac('sha256', this.#key).update(`${hash} ${given}`).digest('base64');
  }

  async #hashed(check: () => Promise<boolean>): Promise<boolean> {
    try {
      return await this.#hashing.execute(check);
    } catch (cause) {
      if (!(cause instanceof BulkheadRejectedError)) throw cause;
      throw new OAuthError('temporarily_unavailable', 'Too many tokens are asked for at once.', {
        status: 429,
        retryAfterSeconds: 1,
        cause,
      });
    }
  }
}
