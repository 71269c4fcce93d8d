import { configure } from 'safe-stable-stringify';
import type { Json } from '#domain';

/** Of plain JSON its sorting (by UTF-16 units), numbers and escapes are those of RFC 8785; anything else it refuses. */
const stringify = configure({ strict: true, deterministic: true, bigint: false });

/**
 * The one text that RFC 8785 (JSON Canonicalization Scheme) gives a value, whatever order its keys came in.
 * @throws Error for what is no JSON
 */
export function canonicalJson(value: Json): string {
  const text = stringify(value);
  if (text === undefined) throw new TypeError('what has to be hashed is no JSON');
  return text;
}

/** As JSON writes it; where a text spells it out, looking costs time only. */
const HALF_A_PAIR = /\\ud[89a-f]/;

/**
 * A value as JSON in UTF-8 has it, with its {@link canonicalJson}: half a surrogate pair is replaced, as a database would.
 * @throws Error for what is no JSON
 */
export function canonical<T extends Json>(value: T): { readonly value: T; readonly text: string } {
  const text = canonicalJson(value);
  if (!HALF_A_PAIR.test(text)) return { value, text };
  const wellFormed = JSON.parse(
    Buffer.from(JSON.stringify(value), 'utf8').toString('utf8'),
    (_key, one: unknown) => (typeof one === 'string' ? Buffer.from(one, 'utf8').toString('utf8') : one),
  ) as T;
  return { value: wellFormed, text: canonicalJson(wellFormed) };
}
