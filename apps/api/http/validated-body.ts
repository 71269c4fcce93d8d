import type { Type } from '@nestjs/common';
import { plainToInstance } from 'class-transformer';
import {
  ValidationTypes,
  getMetadataStorage,
  validate,
  type ValidationError,
  type ValidatorOptions,
} from 'class-validator';
import { UserError } from '#domain';

const RULES: ValidatorOptions = {
  whitelist: true,
  forbidNonWhitelisted: true,
  forbidUnknownValues: true,
  validationError: { target: false },
};

/** @throws UserError `invalidRequest` for a body that is no JSON object; it says that `what` was to be sent */
export function objectOf(body: unknown, what: string): object {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new UserError('invalidRequest', `The body has to be a JSON object: ${what}.`);
  return body;
}

/** The same object, at every depth without its OData annotations (a name with an `@`), except those to keep. */
export function withoutAnnotations(body: object, isKept: (key: string) => boolean = () => false): object {
  const strip = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(strip);
    return typeof value === 'object' && value !== null ? withoutAnnotations(value, isKept) : value;
  };
  return Object.fromEntries(
    Object.entries(body)
      .filter(([key]) => isKept(key) || !key.includes('@'))
      .map(([key, item]) => [key, strip(item)]),
  );
}

/**
 * The object as a DTO, by the rules on the DTO's properties.
 * @throws UserError `invalidRequest` that names everything that is wrong, unknown properties included
 */
export async function validated<T extends object>(dto: Type<T>, body: object): Promise<T> {
  const instance = plainToInstance(dto, body);
  refuseListsForObjects(instance);
  const errors = await validate(instance, RULES);
  if (errors.length > 0) throw new UserError('invalidRequest', `${problems(errors).join('; ')}.`);
  return instance;
}

/**
 * Puts something that is refused in the place of each list where the DTO has an object: of a nested property,
 * class-validator takes a list of objects for as good as one.
 */
function refuseListsForObjects(dto: object): void {
  const fields = dto as Record<string, unknown>;
  for (const { propertyName, each } of nestedRulesOf(dto)) {
    const value = fields[propertyName];
    if (!Array.isArray(value)) {
      if (typeof value === 'object' && value !== null) refuseListsForObjects(value);
    } else if (each)
      fields[propertyName] = value.map((item: unknown) => {
        if (Array.isArray(item)) return NO_OBJECT;
        if (typeof item === 'object' && item !== null) refuseListsForObjects(item);
        return item;
      });
    else fields[propertyName] = NO_OBJECT;
  }
}

const NO_OBJECT = 'a list';

const NESTED_RULES = new WeakMap<object, ReturnType<typeof findNestedRules>>();

/** Found once for each class of DTO: every create asks. */
function nestedRulesOf(dto: object): ReturnType<typeof findNestedRules> {
  const known = NESTED_RULES.get(dto.constructor);
  if (known !== undefined) return known;
  const found = findNestedRules(dto);
  NESTED_RULES.set(dto.constructor, found);
  return found;
}

function findNestedRules(dto: object) {
  return getMetadataStorage()
    .getTargetValidationMetadatas(dto.constructor, '', false, false)
    .filter(({ type }) => type === ValidationTypes.NESTED_VALIDATION);
}

function problems(errors: readonly ValidationError[], parent = ''): string[] {
  return errors.flatMap((error) => {
    const place = parent === '' ? error.property : `${parent}.${error.property}`;
    const rules = Object.entries(error.constraints ?? {});
    // An item of a list goes by its index.
    const isItem = /^\d+$/.test(error.property);
    const hasChildren = (error.children ?? []).length > 0;
    const isUnknown = rules.some(([rule]) => rule === 'whitelistValidation');
    // What is not there breaks every one of its rules; what may be left out breaks none.
    if (
      rules.length > 0 &&
      !isUnknown &&
      !isItem &&
      !hasChildren &&
      (error.value === undefined || error.value === null)
    )
      return [`${place} is needed`];
    // The list is there; what is wrong is said of its items.
    const own = rules
      .filter(([rule]) => !(hasChildren && rule === 'isDefined'))
      .map(([rule, message]) => {
        if (rule === 'whitelistValidation') return `${place} is not a known property`;
        if (rule === 'nestedValidation')
          return `${place} has to be ${message.startsWith('each value') && !isItem ? 'a list of objects' : 'an object'}`;
        return parent === ''
          ? message
          : message.startsWith(error.property)
            ? `${parent}.${message}`
            : `${parent}: ${message}`;
      });
    return [...own, ...problems(error.children ?? [], place)];
  });
}
