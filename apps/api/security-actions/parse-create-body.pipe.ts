import type { PipeTransform } from '@nestjs/common';
import { UserError } from '#domain';
import { objectOf, validated, withoutAnnotations } from '../http/validated-body.js';
import { CreateSecurityActionDto } from './create-security-action.dto.js';

/** Set by the service alone. SDK models send back what a caller left in the object, so they are ignored. */
export const READ_ONLY: ReadonlySet<string> = new Set([
  'id',
  'status',
  'appId',
  'azureTenantId',
  'user',
  'states',
  'createdDateTime',
  'lastActionDateTime',
  'completedDateTime',
  'errorInfo',
]);
/** Engine options. Ignoring one that is written wrong would be a broken promise; annotations of others are ignored. */
const OFFERED = new Set(['@riposte.startBefore', '@riposte.effectUntil']);

/** Turns the body of a create into its DTO: OData annotations and read-only properties away, the rest checked. */
export class ParseCreateBodyPipe implements PipeTransform<unknown, Promise<CreateSecurityActionDto>> {
  async transform(body: unknown): Promise<CreateSecurityActionDto> {
    const given = withoutAnnotations(objectOf(body, 'a securityAction'), isEngineOption);
    return validated(
      CreateSecurityActionDto,
      Object.fromEntries(Object.entries(given).filter(([key]) => !READ_ONLY.has(key))),
    );
  }
}

function isEngineOption(key: string): boolean {
  if (key.startsWith('@riposte.') && !OFFERED.has(key))
    throw new UserError(
      'invalidRequest',
      `${key.slice(0, 64)} is no option of this version; there are ${[...OFFERED].join(', ')}.`,
    );
  return OFFERED.has(key);
}
