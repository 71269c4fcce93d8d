import { createHash } from 'node:crypto';
import { stringify } from 'safe-stable-stringify';

/**
 * SHA-256 (hex) of what a request says, however it was spelled: properties in any order, and null ones left out,
 * as optional properties are null where nothing was said (so one that is new in a later version changes nothing).
 */
export function fingerprintOf(submission: object): string {
  const said = stringify(submission, (_key, value: unknown) => (value === null ? undefined : value));
  return createHash('sha256')
    .update(said ?? '')
    .digest('hex');
}
