import { createHash, randomBytes } from 'node:crypto';
import { decrypt, encrypt } from './aead.js';
import type { KeyWrapper } from './key-wrapper.js';

/** By which people, and scanners of repositories, recognise a key of ours. */
const PREFIX = 'rpk_';
const KEY = /^rpk_[A-Za-z0-9_-]{43}$/;
const KEY_BYTES = 32;
const WRAPPED_AS = 'riposte-wrapped-key';

/** A new key as it stands in a key file: 256 random bits after `rpk_`. */
export function newKey(): string {
  return `${PREFIX}${randomBytes(KEY_BYTES).toString('base64url')}`;
}

/** A key that this process holds itself. Its id is a part of its hash, so no two files can mean different keys by one. */
export class LocalKey implements KeyWrapper {
  readonly id: string;
  readonly #key: Buffer;

  private constructor(key: Buffer) {
    this.#key = key;
    this.id = createHash('sha256').update('riposte-key-id').update(key).digest('hex').slice(0, 12);
  }

  /** Null: the text is no key as {@link newKey} makes them. */
  static of(text: string): LocalKey | null {
    if (!KEY.test(text)) return null;
    const key = Buffer.from(text.slice(PREFIX.length), 'base64url');
    return `${PREFIX}${key.toString('base64url')}` === text ? new LocalKey(key) : null;
  }

  wrap(key: Buffer): Promise<Buffer> {
    return Promise.resolve(encrypt(this.#key, key, WRAPPED_AS));
  }

  async unwrap(wrapped: Buffer): Promise<Buffer> {
    return decrypt(this.#key, wrapped, WRAPPED_AS);
  }
}
