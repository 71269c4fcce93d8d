import { createHash, createHmac } from 'node:crypto';
import { stringify } from 'safe-stable-stringify';

/** Before a fingerprint that was made with a key; one of an earlier version is plain hex. */
const KEYED = 'h1:';

/**
 * What tells a request from others: an HMAC-SHA-256 of what it says, however it was spelled. Properties come in any order,
 * and null ones are left out, as optional properties are null where nothing was said (so one that is new in a later
 * version changes nothing). Without the key nobody can find out by trying which secrets a request held.
 */
export function fingerprintOf(key: Buffer, submission: object): string {
  return `${KEYED}${createHmac('sha256', key).update(said(submission)).digest('hex')}`;
}

/** True when the fingerprint is that of the submission; also one that an earlier version made, by SHA-256 alone. */
export function isFingerprintOf(fingerprint: string, key: Buffer, submission: object): boolean {
  return (
    fingerprint ===
    (fingerprint.startsWith(KEYED)
      ? fingerprintOf(key, submission)
      : createHash('sha256').update(said(submission)).digest('hex'))
  );
}

function said(submission: object): string {
  return stringify(submission, (_key, value: unknown) => (value === null ? undefined : value)) ?? '';
}
