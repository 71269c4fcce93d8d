import { randomBytes } from 'node:crypto';
import { EnvelopeSeal, LocalKey, newKey } from '#secrets';

/** The key that the processes of a test file share, as a key file has it. */
export const SECRETS_KEY = newKey();

/** The key of such a text. */
export function localKey(text = newKey()): LocalKey {
  const key = LocalKey.of(text);
  if (key === null) throw new Error('this is no key');
  return key;
}

/** What seals and opens with that key. */
export const SEAL = new EnvelopeSeal({ current: localKey(SECRETS_KEY), others: [] });

/** What tells the requests of an idempotency key apart. */
export const FINGERPRINT_KEY = randomBytes(32);
