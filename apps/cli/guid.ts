import { InvalidArgumentError } from 'commander';
import { isGuid } from '#domain';

/** An option's value that has to be a GUID, in small letters. */
export function guid(text: string): string {
  if (!isGuid(text))
    throw new InvalidArgumentError('It has to be a GUID, for example 11111111-1111-4111-8111-111111111111.');
  return text.toLowerCase();
}
