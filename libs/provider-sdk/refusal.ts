import { ProviderError } from './errors.js';
import type { RequestRefusal } from './provider.js';

/** What `validate` refuses as the failure that `execute` ends with: `permission`, or `invalidInput` for what means nothing. */
export function refusalError({ kind = 'forbidden', message }: RequestRefusal): ProviderError {
  return new ProviderError(kind === 'invalid' ? 'invalidInput' : 'permission', message);
}
