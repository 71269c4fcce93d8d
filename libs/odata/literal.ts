import type { FilterValue } from './filter.js';
import type { PropertyModel } from './model.js';
import type { Scanner } from './scanner.js';

/** A literal as it is written; what it may be compared with is up to {@link valueOf}. */
export type Literal = { readonly at: number } & (
  | { readonly kind: 'null' }
  | { readonly kind: 'string' | 'guid'; readonly value: string }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'integer'; readonly value: number }
  | { readonly kind: 'dateTime'; readonly value: Date }
  | { readonly kind: 'enum'; readonly name: string; readonly member: string; readonly memberAt: number }
);

const INT32_LEAST = -(2 ** 31);
const INT32_MOST = 2 ** 31 - 1;
const INTEGER = `a whole number from ${INT32_LEAST} to ${INT32_MOST}`;
const DATE_TIME = 'a date-time with a time zone and without quotes, such as 2026-01-01T00:00:00Z';
const DATE_TIME_ZONE = 'Z or an offset such as +01:00, its + sent as %2B';

const GUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![\w-])/iy;
const GUID_TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const DATE_START = /\d{4}-\d/y;
const LOCAL_DATE_TIME = /(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,12}))?)?/iy;
const ZONE = /Z|[+-]\d\d:\d\d/iy;
const NUMBER_START = /[+-]?\d/y;
const INTEGER_TEXT = /[+-]?\d+/y;
const WORD = /(?:true|false|null)(?![\w/.(:'])/y;
const ENUM_NAME = /[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?=')/y;
const MORE_OF_A_LITERAL = /[\w.:'+-]/y;

/**
 * Reads a literal; null, and nothing is read, where none begins.
 * @throws ODataSyntaxError for one that begins and is not valid
 */
export function readLiteral(scanner: Scanner): Literal | null {
  const { at } = scanner;
  const literal = readAny(scanner, at);
  if (literal !== null && scanner.peek(MORE_OF_A_LITERAL) !== null) {
    if (literal.kind === 'integer') scanner.fail(INTEGER, at);
    scanner.fail('the end of the literal');
  }
  return literal;
}

function readAny(scanner: Scanner, at: number): Literal | null {
  if (scanner.peek(/'/y) !== null) return { kind: 'string', value: readString(scanner), at };
  const guid = scanner.read(GUID);
  if (guid !== null) return { kind: 'guid', value: guid.toLowerCase(), at };
  if (scanner.peek(DATE_START) !== null) return { kind: 'dateTime', value: readDateTime(scanner), at };
  if (scanner.peek(NUMBER_START) !== null) {
    const value = Number(scanner.expect(INTEGER_TEXT, INTEGER));
    if (value < INT32_LEAST || value > INT32_MOST) scanner.fail(INTEGER, at);
    return { kind: 'integer', value: value === 0 ? 0 : value, at };
  }
  const word = scanner.read(WORD);
  if (word === 'null') return { kind: 'null', at };
  if (word !== null) return { kind: 'boolean', value: word === 'true', at };
  const name = scanner.read(ENUM_NAME);
  if (name === null) return null;
  const memberAt = scanner.at;
  return { kind: 'enum', name, member: readString(scanner), memberAt, at };
}

/** A quote inside is written twice. */
function readString(scanner: Scanner): string {
  const { text, at: start } = scanner;
  let from = start + 1;
  for (;;) {
    const quote = text.indexOf("'", from);
    if (quote === -1) scanner.fail("a closing '", text.length);
    if (text[quote + 1] !== "'") {
      scanner.at = quote + 1;
      return text.slice(start + 1, quote).replaceAll("''", "'");
    }
    from = quote + 2;
  }
}

function readDateTime(scanner: Scanner): Date {
  const { at } = scanner;
  const local = scanner.expect(LOCAL_DATE_TIME, DATE_TIME);
  const zone = scanner.expect(ZONE, DATE_TIME_ZONE).toUpperCase();
  const [date = '', time = ''] = local.toUpperCase().split('T');
  const minutes = time.slice(0, 5);
  const second = time.slice(6, 8) || '00';
  const milliseconds = time.slice(9, 12).padEnd(3, '0');
  // `Date` takes the 30th of February for the 2nd of March: it is a day only if it comes back as it went in.
  const utc = new Date(`${date}T${minutes}:${second}.${milliseconds}Z`);
  if (Number.isNaN(utc.getTime()) || utc.toISOString().slice(0, 10) !== date || minutes.startsWith('24'))
    scanner.fail(DATE_TIME, at);
  if (zone === 'Z') return utc;
  const [hours = 0, ofHour = 0] = zone.slice(1).split(':').map(Number);
  if (hours > 14 || ofHour > 59) scanner.fail('an offset of at most 14 hours', scanner.at - zone.length);
  const offsetMs = (hours * 60 + ofHour) * 60_000;
  return new Date(utc.getTime() + (zone.startsWith('-') ? offsetMs : -offsetMs));
}

/**
 * The literal as a value of the property. A text that is no GUID is `undefined` for a GUID: nothing equals it.
 * @throws ODataSyntaxError when the literal is of another type, or names no member of the enum
 */
export function valueOf(
  literal: Literal,
  property: PropertyModel,
  scanner: Scanner,
): FilterValue | undefined {
  if (literal.kind === 'null') return null;
  switch (property.type) {
    case 'string':
      if (literal.kind === 'string') return literal.value;
      return scanner.fail('a string in single quotes or null', literal.at);
    case 'guid':
      if (literal.kind === 'guid') return literal.value;
      if (literal.kind !== 'string') return scanner.fail('a GUID', literal.at);
      return GUID_TEXT.test(literal.value) ? literal.value.toLowerCase() : undefined;
    case 'int32':
      if (literal.kind === 'integer') return literal.value;
      return scanner.fail(`${INTEGER}, or null`, literal.at);
    case 'boolean':
      if (literal.kind === 'boolean') return literal.value;
      return scanner.fail('true, false or null', literal.at);
    case 'dateTime':
      if (literal.kind === 'dateTime') return literal.value;
      return scanner.fail(DATE_TIME, literal.at);
    case 'enum':
      return memberOf(literal, property, scanner);
    case 'complex':
    case 'collection':
      return scanner.fail('null', literal.at);
  }
}

function memberOf(
  literal: Literal,
  { name, members }: Extract<PropertyModel, { readonly type: 'enum' }>,
  scanner: Scanner,
): string {
  const expected = `one of ${members.map((member) => `'${member}'`).join(', ')}`;
  if (literal.kind === 'enum') {
    if (literal.name !== name) scanner.fail(`${name}, or no name before the '`, literal.at);
    if (!members.includes(literal.member)) scanner.fail(expected, literal.memberAt);
    return literal.member;
  }
  if (literal.kind !== 'string' || !members.includes(literal.value)) scanner.fail(expected, literal.at);
  return literal.value;
}
