import { randomBytes, randomUUID, scrypt, timingSafeEqual, type ScryptOptions } from 'node:crypto';
import { promisify } from 'node:util';
import { DefectError, type ApplicationSecret } from '#domain';

/** By which people, and scanners of repositories, recognise a secret of ours. */
const PREFIX = 'rps_';
const SECRET = /^rps_([A-Za-z0-9_-]{43})$/;
const SECRET_BYTES = 32;
/** 36 of its 256 bits are shown in lists and kept in clear. */
const HINT_LENGTH = 6;

/** 16 MiB and some 50 ms a secret. Each hash carries what it was made with, so these may change. */
const COST = { N: 16_384, r: 8, p: 1 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;

const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);

/** A secret as it is handed out, once, and what is kept of it. */
export interface NewClientSecret {
  readonly secret: string;
  readonly kept: Pick<ApplicationSecret, 'id' | 'hash' | 'hint'>;
}

/** Makes a secret: 256 random bits after `rps_`. */
export async function newClientSecret(): Promise<NewClientSecret> {
  const random = randomBytes(SECRET_BYTES).toString('base64url');
  const secret = `${PREFIX}${random}`;
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive(secret, salt, HASH_BYTES, COST);
  return {
    secret,
    kept: {
      id: randomUUID().slice(0, 8),
      hint: random.slice(0, HINT_LENGTH),
      hash: ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64url'), hash.toString('base64url')].join(
        ':',
      ),
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
export async function isSecretOf(given: string, { id, hash }: ApplicationSecret): Promise<boolean> {
  const [kind, N, r, p, salt = '', expected = ''] = hash.split(':');
  const wanted = Buffer.from(expected, 'base64url');
  if (kind !== 'scrypt' || wanted.length !== HASH_BYTES)
    throw new DefectError(`the hash of the secret ${id} cannot be read`);
  const cost = { N: Number(N), r: Number(r), p: Number(p) };
  return timingSafeEqual(await derive(given, Buffer.from(salt, 'base64url'), HASH_BYTES, cost), wanted);
}
