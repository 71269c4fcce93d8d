import { randomBytes, scrypt, timingSafeEqual, type ScryptOptions } from 'node:crypto';
import { promisify } from 'node:util';
import { DefectError } from '#domain';

/** What a hash costs: 128 · N · r bytes, and time in proportion to N · r · p. */
export interface ScryptCost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

const SALT_BYTES = 16;
const HASH_BYTES = 32;

const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);

/** Hashes a secret with a salt of its own: `scrypt:N:r:p:salt:hash`, so that the cost may change later. */
export async function scryptHash(secret: string, cost: ScryptCost): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive(secret, salt, HASH_BYTES, withMemory(cost));
  return ['scrypt', cost.N, cost.r, cost.p, salt.toString('base64url'), hash.toString('base64url')].join(':');
}

/**
 * True when this is the secret that was hashed. The comparison takes the same time whatever differs.
 * @param what the hash is of, for the message
 * @throws DefectError for a hash that is none of ours
 */
export async function isHashOf(given: string, hash: string, what: string): Promise<boolean> {
  const [kind, N, r, p, salt = '', expected = ''] = hash.split(':');
  const wanted = Buffer.from(expected, 'base64url');
  if (kind !== 'scrypt' || wanted.length !== HASH_BYTES)
    throw new DefectError(`the hash of ${what} cannot be read`);
  const cost = withMemory({ N: Number(N), r: Number(r), p: Number(p) });
  return timingSafeEqual(await derive(given, Buffer.from(salt, 'base64url'), HASH_BYTES, cost), wanted);
}

/** Node.js refuses more than 32 MiB unless it is told. */
function withMemory(cost: ScryptCost): ScryptOptions {
  return { ...cost, maxmem: 2 * 128 * cost.N * cost.r };
}
