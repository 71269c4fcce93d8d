import { randomBytes, randomUUID } from 'node:crypto';
import type { ApplicationSecret } from '#domain';
import { isHashOf, scryptHash } from './scrypt-hash.js';

/** By which people, and scanners of repositories, recognise a secret of ours. */
const PREFIX = 'rps_';
const SECRET = /^rps_([A-Za-z0-9_-]{43})$/;
const SECRET_BYTES = 32;
/** 36 of its 256 bits are shown in lists and kept in clear. */
const HINT_LENGTH = 6;

/** 16 MiB and some 50 ms a secret. Each hash carries what it was made with, so these may change. */
const COST = { N: 16_384, r: 8, p: 1 } as const;

/** A secret as it is handed out, once, and what is kept of it. */
export interface NewClientSecret {
  readonly secret: string;
  readonly kept: Pick<ApplicationSecret, 'id' | 'hash' | 'hint'>;
}

/** Makes a secret: 256 random bits after `rps_`. */
export async function newClientSecret(): Promise<NewClientSecret> {
  const random = randomBytes(SECRET_BYTES).toString('base64url');
  const secret = `${PREFIX}${random}`;
  return {
    secret,
    kept: {
      id: randomUUID().slice(0, 8),
      hint: random.slice(0, HINT_LENGTH),
      hash: await scryptHash(secret, COST),
    },
  };
}

/** Those of the secrets that this may be, by its first characters: costs nothing. Mostly one, none for a guess. */
export function candidatesFor(
  given: string,
  secrets: readonly ApplicationSecret[],
): readonly ApplicationSecret[] {
  const random = SECRET.exec(given)?.[1];
  if (random === undefined) return [];
  return secrets.filter(({ hint }) => hint === random.slice(0, HINT_LENGTH));
}

/**
 * True when this is the secret that was hashed. The comparison takes the same time whatever differs.
 * @throws DefectError for a hash that is none of ours
 */
export function isSecretOf(given: string, { id, hash }: ApplicationSecret): Promise<boolean> {
  return isHashOf(given, hash, `the secret ${id}`);
}
