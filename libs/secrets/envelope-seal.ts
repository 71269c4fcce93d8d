import { randomBytes } from 'node:crypto';
import { OperationalError, UnsealError, type SealedPlace, type SecretKeys } from '#domain';
import { decrypt, encrypt } from './aead.js';
import type { KeyRing, KeyWrapper } from './key-wrapper.js';

/** Version of the format; the first part of what is sealed. */
const FORMAT = 's1';
const KEY_BYTES = 32;

/**
 * Seals by envelopes: each text is encrypted (AES-256-GCM) with a key of its own, bound to its place and the format's
 * version; that key is wrapped with the ring's current one. What is sealed reads `s1.KEY_ID.WRAPPED_KEY.CONTENT`, the
 * last two in base64url.
 */
export class EnvelopeSeal implements SecretKeys {
  readonly #current: KeyWrapper;
  readonly #keys: ReadonlyMap<string, KeyWrapper>;

  constructor({ current, others }: KeyRing) {
    this.#current = current;
    this.#keys = new Map([...others, current].map((key) => [key.id, key]));
  }

  get current(): string {
    return this.#current.id;
  }

  get others(): readonly string[] {
    return [...this.#keys.keys()].filter((id) => id !== this.#current.id);
  }

  keyOf(sealed: string): string | null {
    return partsOf(sealed)?.keyId ?? null;
  }

  async seal(text: string, place: SealedPlace): Promise<string> {
    const key = randomBytes(KEY_BYTES);
    try {
      const content = encrypt(key, Buffer.from(text), aadOf(place)).toString('base64url');
      return await this.#wrapped(key, content);
    } finally {
      key.fill(0);
    }
  }

  open(sealed: string, place: SealedPlace): Promise<string> {
    return this.#opened(sealed, place, (_key, _content, text) => Promise.resolve(text));
  }

  rewrap(sealed: string, place: SealedPlace): Promise<string> {
    return this.#opened(sealed, place, (key, content) => this.#wrapped(key, content));
  }

  async #wrapped(key: Buffer, content: string): Promise<string> {
    const wrapped = await this.#current.wrap(key);
    return [FORMAT, this.#current.id, wrapped.toString('base64url'), content].join('.');
  }

  async #opened(
    sealed: string,
    place: SealedPlace,
    then: (key: Buffer, content: string, text: string) => Promise<string>,
  ): Promise<string> {
    const parts = partsOf(sealed);
    if (parts === null) throw new UnsealError(null);
    const { keyId, wrappedKey, content } = parts;
    const wrapper = this.#keys.get(keyId);
    if (wrapper === undefined) throw new UnsealError(keyId);
    const key = await wrapper.unwrap(bytesOf(wrappedKey)).catch((cause: unknown) => {
      throw cause instanceof OperationalError ? cause : new UnsealError(null, { cause });
    });
    try {
      return await then(key, content, decrypted(key, content, place));
    } finally {
      key.fill(0);
    }
  }
}

function decrypted(key: Buffer, content: string, place: SealedPlace): string {
  try {
    return decrypt(key, bytesOf(content), aadOf(place)).toString();
  } catch (cause) {
    throw new UnsealError(null, { cause });
  }
}

function partsOf(sealed: string): Record<'keyId' | 'wrappedKey' | 'content', string> | null {
  const [format, keyId, wrappedKey, content, ...more] = sealed.split('.');
  if (format !== FORMAT || !keyId || !wrappedKey || !content || more.length > 0) return null;
  return { keyId, wrappedKey, content };
}

/** Of the several texts that Node reads as the same bytes, only the one that we write. */
function bytesOf(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.toString('base64url') !== text) throw new UnsealError(null);
  return bytes;
}

/** As JSON, no two places are the same text. */
function aadOf({ kind, tenantId, id }: SealedPlace): string {
  return JSON.stringify([FORMAT, kind, tenantId, id]);
}
