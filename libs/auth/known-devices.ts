import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const ID_BYTES = 16;
const PROOF = /^([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})$/;

/**
 * Browsers in which somebody has signed in before ("device cookies",
 * https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies). Failures there count by
 * themselves: who guesses from the same address, as everybody does behind a proxy that is not known as one, does not
 * keep them out. It is no part of a sign-in: the password is asked for all the same.
 */
export class KnownDevices {
  readonly #key: Uint8Array;

  /** @param key 32 bytes, the same for all API processes */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** What a browser keeps in which the account has signed in: letters, digits, `-`, `_` and `.`. */
  proofFor(account: string): string {
    const id = randomBytes(ID_BYTES).toString('base64url');
    return `${id}.${this.#signature(account, id)}`;
  }

  /** The device's id; null: it was not made here, or for another account. */
  idOf(account: string, proof: string): string | null {
    const [, id = '', signature = ''] = PROOF.exec(proof) ?? [];
    const expected = this.#signature(account, id);
    const isRight =
      signature.length === expected.length && timingSafeEqual(Buffer.from(signature), Buffer.from(expected));
    return isRight ? id : null;
  }

  #signature(account: string, id: string): string {
    return createHmac('sha256', this.#key).update(`${id} ${account}`).digest('base64url');
  }
}
