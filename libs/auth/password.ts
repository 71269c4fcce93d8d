import { randomInt } from 'node:crypto';
import { UserError } from '#domain';
import { isHashOf, scryptHash } from './scrypt-hash.js';

const SHORTEST = 12;
const LONGEST = 128;

/**
 * 32 MiB and some 0.3 s: of OWASP's equivalent settings for scrypt the one that lets two be computed at once without
 * taking much of a small machine (https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html).
 */
const COST = { N: 32_768, r: 8, p: 3 } as const;

/** Without those that are taken for each other. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789';
const GROUPS = 4;
const GROUP_LENGTH = 5;

/** Of a password that nobody has: what a sign-in with an unknown name is compared with, at the same cost. */
let nobodys: Promise<string> | undefined;

/** A password as it is handed out, once: 99 random bits in four groups. */
export function newPassword(): string {
  const group = (): string =>
    Array.from({ length: GROUP_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
  return Array.from({ length: GROUPS }, group).join('-');
}

/** What is kept of a password. */
export function hashOfPassword(password: string): Promise<string> {
  return scryptHash(asCompared(password), COST);
}

/** True when this is the password. Null, for no account, takes as long and is never right. */
export async function isPasswordOf(given: string, hash: string | null): Promise<boolean> {
  // One that is too long to be anybody's is not hashed as it is: it could be a megabyte.
  const compared = given.length > 4 * LONGEST ? '' : asCompared(given);
  nobodys ??= hashOfPassword(newPassword());
  const isRight = await isHashOf(compared, hash ?? (await nobodys), 'a password');
  return isRight && hash !== null;
}

/**
 * Refuses a password that is too easy to guess (https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver: its length
 * is what counts), or too long to be hashed.
 * @throws UserError `invalidRequest`
 */
export function checkNewPassword(password: string, name: string): void {
  const compared = asCompared(password);
  const length = Array.from(compared).length;
  if (length < SHORTEST || length > LONGEST)
    throw new UserError('invalidRequest', `A password has ${SHORTEST} to ${LONGEST} characters.`);
  if (compared.toLowerCase() === name.toLowerCase() || new Set(compared).size < 4)
    throw new UserError(
      'invalidRequest',
      'The password is too easy to guess: take one that is not the name and has more than three different characters.',
    );
}

/** Keyboards and systems write the same characters in several ways. */
function asCompared(password: string): string {
  return password.normalize('NFKC');
}
