import { ProviderError } from '#provider-sdk';
import type { Condition, Failure } from './definition.js';
import { filledJson, type Values } from './template.js';

/**
 * Reading answers: JSON Pointers (RFC 6901) and equality. Both cost as much as the definition is long, whatever the
 * vendor answers, and neither can run anything; a query language would be slower to learn than this is to read.
 */

/** An answer as conditions see it. */
export interface Seen {
  readonly status: number;
  readonly body: unknown;
}

/** The value at a pointer; undefined where there is none. */
export function at(pointer: string, document: unknown): unknown {
  let value = document;
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return value;
}

/** An id at a pointer, as text; undefined where there is none. */
export function idAt(pointer: string, document: unknown): string | undefined {
  const value = at(pointer, document);
  if (typeof value === 'string' && value !== '') return value;
  return typeof value === 'number' ? String(value) : undefined;
}

/** Whether the document holds all of these values, by pointer. */
export function holds(
  wanted: Readonly<Record<string, unknown>>,
  document: unknown,
  values: Values = {},
): boolean {
  return Object.entries(wanted).every(([pointer, template]) => {
    const found = at(pointer, document) ?? null;
    const allowed: readonly unknown[] = Array.isArray(template) ? template : [template];
    return allowed.some((one) => isSame(filledJson(one, values), found));
  });
}

/** Addresses and names come back in another case than they were sent in. */
function isSame(wanted: unknown, found: unknown): boolean {
  if (typeof wanted === 'string' && typeof found === 'string')
    return wanted.toLowerCase() === found.toLowerCase();
  return wanted === found;
}

/** Whether one of the conditions holds; false where there are none. */
export function meets(conditions: readonly Condition[] | undefined, { status, body }: Seen): boolean {
  return (conditions ?? []).some(
    (condition) =>
      (condition.status === undefined ? isSuccess(status) : condition.status.includes(status)) &&
      (condition.body === undefined || holds(condition.body, body)),
  );
}

/** The first failure of the list that the answer is. */
export function failureOf(
  failures: readonly Failure[],
  { status, body }: Seen,
): { readonly errorClass: Failure['class']; readonly message?: string } | undefined {
  const failure = failures.find(
    (one) =>
      (one.status === undefined || one.status.includes(status)) &&
      (one.body === undefined || holds(one.body, body)),
  );
  if (failure === undefined) return undefined;
  const said = failure.message === undefined ? undefined : at(failure.message, body);
  return {
    errorClass: failure.class,
    ...(typeof said === 'string' ? { message: `The vendor says: ${said.slice(0, 500)}` } : {}),
  };
}

/** An answer that nothing in the definition describes: a change may have been made, a question was not answered. */
export function unexpected({ status }: Seen, changes: boolean): ProviderError {
  return new ProviderError(
    changes ? 'unknownOutcome' : 'transient',
    `The vendor answered HTTP ${status} with something that the definition does not describe.`,
    { httpStatus: status },
  );
}

const isSuccess = (status: number): boolean => status >= 200 && status < 300;
