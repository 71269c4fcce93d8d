import { InvalidArgumentError } from 'commander';

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** An option's value that has to be a GUID, in small letters. */
export function guid(text: string): string {
  if (!GUID.test(text))
    throw new InvalidArgumentError('It has to be a GUID, for example 11111111-1111-4111-8111-111111111111.');
  return text.toLowerCase();
}
