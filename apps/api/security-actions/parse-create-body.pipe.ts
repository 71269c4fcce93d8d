import {
  ValidationPipe,
  type ArgumentMetadata,
  type PipeTransform,
  type ValidationError,
} from '@nestjs/common';
import { UserError } from '#domain';
import { CreateSecurityActionDto } from './create-security-action.dto.js';

/** Set by the service alone. SDK models send back what a caller left in the object, so they are ignored. */
const READ_ONLY = new Set([
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
/** Engine options that are known but not offered by this version: ignoring one would be a broken promise. */
const NOT_OFFERED = new Set(['@riposte.effectUntil']);
const OFFERED = new Set(['@riposte.startBefore']);

const validation = new ValidationPipe({
  whitelist: true,
  forbidNonWhitelisted: true,
  forbidUnknownValues: true,
  transform: true,
  exceptionFactory: (errors) => new UserError('invalidRequest', `${problems(errors).join('; ')}.`),
});

/** Turns the body of a create into its DTO: OData annotations and read-only properties away, the rest checked. */
export class ParseCreateBodyPipe implements PipeTransform<unknown, Promise<CreateSecurityActionDto>> {
  async transform(body: unknown, metadata: ArgumentMetadata): Promise<CreateSecurityActionDto> {
    if (typeof body !== 'object' || body === null || Array.isArray(body)) {
      throw new UserError('invalidRequest', 'The body has to be a JSON object: a securityAction.');
    }
    const given = Object.fromEntries(
      Object.entries(withoutAnnotations(body) as object).filter(([key]) => !READ_ONLY.has(key)),
    );
    return (await validation.transform(given, {
      ...metadata,
      metatype: CreateSecurityActionDto,
    })) as CreateSecurityActionDto;
  }
}

function withoutAnnotations(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutAnnotations);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => {
        if (NOT_OFFERED.has(key))
          throw new UserError('invalidRequest', `${key} is not supported by this version.`);
        return !key.includes('@') || OFFERED.has(key);
      })
      .map(([key, item]) => [key, withoutAnnotations(item)]),
  );
}

function problems(errors: readonly ValidationError[], parent = ''): string[] {
  return errors.flatMap((error) => {
    const place = parent === '' ? error.property : `${parent}.${error.property}`;
    const own = Object.entries(error.constraints ?? {}).map(([rule, message]) => {
      if (rule === 'whitelistValidation') return `${place} is not a known property`;
      return parent === ''
        ? message
        : message.startsWith(error.property)
          ? `${parent}.${message}`
          : `${parent}: ${message}`;
    });
    return [...own, ...problems(error.children ?? [], place)];
  });
}
