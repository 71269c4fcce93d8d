import { ApiHeader } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { UserError } from '#domain';

const HEADER = 'idempotency-key';
const LONGEST = 255;
/** A string of RFC 9651 (structured fields), as the draft wants it; its escapes are `\"` and `\\` alone. */
const QUOTED = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/;

/**
 * The `Idempotency-Key` of a request; null where it has none. See draft-ietf-httpapi-idempotency-key-header; a bare
 * value, which most clients send, is the same key as one in quotes.
 *
 * @throws UserError `invalidRequest` for one that is empty, too long, not printable ASCII or given twice
 */
export function idempotencyKeyOf({ headers, raw }: FastifyRequest): string | null {
  const given = headers[HEADER];
  if (given === undefined) return null;
  // Node joins two of them into one value.
  const times = raw.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === HEADER);
  if (typeof given !== 'string' || times.length > 1) throw invalid('is given twice; send one');
  const key = given.startsWith('"') ? unquoted(given) : given;
  if (!/^[\x20-\x7e]*$/.test(key)) throw invalid('may hold printable ASCII characters only');
  if (key.length === 0 || key.length > LONGEST)
    throw invalid(`has to have 1 to ${LONGEST} characters; it has ${key.length}`);
  return key;
}

/** Documents the header of a create. */
export function ApiIdempotencyKey(): MethodDecorator {
  return ApiHeader({
    name: 'Idempotency-Key',
    required: false,
    description:
      'All requests of an application with the same key and body come to one action, for 24 hours. Printable ASCII.',
    schema: { type: 'string', minLength: 1, maxLength: LONGEST },
  });
}

/** Documents what an answer says about the key. */
export const REPLAYED_HEADER = {
  'Idempotency-Replayed': {
    description: 'There when an earlier request had the same key; the body is as of the creation.',
    schema: { type: 'string', pattern: '^true$' },
  },
};

function unquoted(text: string): string {
  const inner = QUOTED.exec(text)?.[1];
  if (inner === undefined)
    throw invalid(
      'begins with a quote and is no quoted string: close it, and write \\" and \\\\ for " and \\',
    );
  return inner.replaceAll(/\\(.)/g, '$1');
}

function invalid(problem: string): UserError {
  return new UserError('invalidRequest', `Idempotency-Key ${problem}.`);
}
