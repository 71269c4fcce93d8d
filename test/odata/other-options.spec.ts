import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ODataSyntaxError,
  SEARCH_LIMITS,
  parseOrderBy,
  parseSearch,
  parseSelect,
  select,
  type Filter,
  type SearchedPath,
} from '#odata';
import { MODEL } from '../support/odata-model.js';

const KNOWN = 'id, name, status, urgent, createdDateTime, errorInfo, vendorInformation, parameters, states';

describe('an $orderby', () => {
  it.each([
    ['name', [['name', false]]],
    ['name asc', [['name', false]]],
    ['name desc', [['name', true]]],
    [
      ' name  desc , id ',
      [
        ['name', true],
        ['id', false],
      ],
    ],
    [
      'name,id desc,status asc',
      [
        ['name', false],
        ['id', true],
        ['status', false],
      ],
    ],
    ['errorInfo/code desc', [['errorInfo/code', true]]],
  ])('%s', (text, keys) => {
    const found = parseOrderBy(text, MODEL).map(({ property, descending }) => [
      property.path.join('/'),
      descending,
    ]);
    expect(found).toEqual(keys);
  });

  it('carries the type of each key', () => {
    expect(parseOrderBy('createdDateTime desc', MODEL)).toEqual([
      { property: { path: ['createdDateTime'], type: 'dateTime' }, descending: true },
    ]);
  });

  it.each([
    ['', 1, `a property: ${KNOWN}`, 'the end'],
    ['colour', 1, `a property: ${KNOWN}`, '"colour"'],
    ['name,', 6, `a property: ${KNOWN}`, 'the end'],
    ['name DESC', 6, 'asc, desc, a comma or the end', '"DESC"'],
    ['name id', 6, 'asc, desc, a comma or the end', '"id"'],
    ['name desc asc', 11, 'asc, desc, a comma or the end', '"asc"'],
    ['name descx', 6, 'asc, desc, a comma or the end', '"descx"'],
    ['name,id,name desc', 9, 'each property once', '"name"'],
    ['errorInfo', 10, 'errorInfo/ and a property', 'the end'],
    ['parameters', 1, 'a property that has one value', '"parameters"'],
    ['parameters/name', 1, 'a property that has one value', '"parameters"'],
    ['tolower(name)', 1, `a property: ${KNOWN}`, '"tolower"'],
    ['name,id,status,urgent,createdDateTime,errorInfo/code', 39, 'at most 5 keys', 'one more'],
    ['name'.repeat(200), 513, 'at most 512 characters', '800'],
  ])('%s is refused', (text, position, expected, found) => {
    expect(refusalOf(() => parseOrderBy(text, MODEL))).toMatchObject({ position, expected, found });
  });
});

describe('a $select', () => {
  const entity = {
    id: 'i',
    name: 'n',
    errorInfo: null,
    vendorInformation: { provider: 'p', vendor: 'v' },
    parameters: [
      { name: 'IP', value: '1.2.3.4' },
      { name: 'x', value: null },
    ],
  };
  it.each([
    ['id', { id: 'i' }],
    ['name,id', { id: 'i', name: 'n' }],
    [' id , name ', { id: 'i', name: 'n' }],
    ['id,id', { id: 'i' }],
    ['*', entity],
    ['*,id', entity],
    ['errorInfo/code', { errorInfo: null }],
    ['vendorInformation/provider', { vendorInformation: { provider: 'p' } }],
    [
      'vendorInformation/provider,vendorInformation/vendor',
      { vendorInformation: { provider: 'p', vendor: 'v' } },
    ],
    ['vendorInformation/provider,vendorInformation', { vendorInformation: { provider: 'p', vendor: 'v' } }],
    ['parameters/name', { parameters: [{ name: 'IP' }, { name: 'x' }] }],
  ])('%s', (text, shown) => {
    expect(select(entity, parseSelect(text, MODEL))).toEqual(shown);
  });

  it('says what was asked for, each once, in the order asked', () => {
    expect(parseSelect('status, id,status', MODEL).paths).toEqual(['status', 'id']);
  });

  it.each([
    ['', 1, `a property: ${KNOWN}`, 'the end'],
    ['colour', 1, `a property: ${KNOWN}`, '"colour"'],
    ['ID', 1, `a property: ${KNOWN}`, '"ID"'],
    ['id,', 4, `a property: ${KNOWN}`, 'the end'],
    ['id name', 4, 'a comma or the end', '"name"'],
    ['vendorInformation/colour', 19, 'a property: provider, vendor', '"colour"'],
    ['vendorInformation/*', 19, 'a property: provider, vendor', '"*"'],
    ['parameters/colour', 12, 'a property: name, value', '"colour"'],
    ['__proto__', 1, `a property: ${KNOWN}`, '"__proto__"'],
  ])('%s is refused', (text, position, expected, found) => {
    expect(refusalOf(() => parseSelect(text, MODEL))).toMatchObject({ position, expected, found });
  });
});

describe('a $search', () => {
  const paths: readonly SearchedPath[] = [
    ['name'],
    ['vendorInformation', 'vendor'],
    { collection: 'parameters', path: ['value'] },
  ];
  const contains = (path: string[], value: string): Filter => ({
    kind: 'match',
    how: 'contains',
    left: { property: { path, type: 'string' }, fold: 'lower' },
    value,
  });
  const found = (value: string): Filter => ({
    kind: 'or',
    operands: [
      contains(['name'], value),
      contains(['vendorInformation', 'vendor'], value),
      {
        kind: 'any',
        collection: { path: ['parameters'], type: 'collection' },
        predicate: contains(['value'], value),
      },
    ],
  });
  const and = (...operands: Filter[]): Filter => ({ kind: 'and', operands });
  const or = (...operands: Filter[]): Filter => ({ kind: 'or', operands });
  const not = (filter: Filter): Filter => ({ kind: 'not', operand: filter });
  const [a, b, c] = [found('a'), found('b'), found('c')];

  it.each([
    ['a', a],
    ['  A  ', a],
    ['1.2.3.4', found('1.2.3.4')],
    ['"a b"', found('a b')],
    ['"say \\"hi\\" \\\\ there"', found('say "hi" \\ there')],
    ['"AND"', found('and')],
    ['and', found('and')],
    ['ANDROID', found('android')],
    ["it's.*$where", found("it's.*$where")],
    ['a b', and(a, b)],
    ['a AND b', and(a, b)],
    ['a"b"', and(a, b)],
    ['a(b)c', and(a, b, c)],
    ['a OR b', or(a, b)],
    ['a OR b c', or(a, and(b, c))],
    ['(a OR b) AND c', and(or(a, b), c)],
    ['NOT a b', and(not(a), b)],
    ['a NOT b', and(a, not(b))],
    ['NOT NOT a', not(not(a))],
    ['NOT (a OR b)', not(or(a, b))],
  ])('%s', (text, filter) => {
    expect(parseSearch(text, MODEL, paths)).toEqual(filter);
  });

  it.each([
    ['', 1, 'a word or a phrase', 'the end'],
    ['AND', 1, 'a word or a phrase', '"AND"'],
    ['a AND', 6, 'a word or a phrase', 'the end'],
    ['a OR OR b', 6, 'a word or a phrase', '"OR"'],
    ['a AND OR b', 7, 'a word or a phrase', '"OR"'],
    ['NOT', 4, 'a word or a phrase', 'the end'],
    ['(a', 3, ')', 'the end'],
    ['a)', 2, 'a word, a phrase, or the end', '")"'],
    ['()', 2, 'a word or a phrase', '")"'],
    ['"a', 3, 'a closing "', 'the end'],
    ['"a\\n"', 4, '" or \\ behind \\', '"n"'],
    ['""', 1, 'a phrase that is not empty', '"""'],
    ['a b c d e f g h i', 17, 'at most 8 words and phrases', 'one more'],
    ['((((((((( a', 9, 'at most 8 levels of nesting', 'one more'],
    ['NOT '.repeat(9), 33, 'at most 8 levels of nesting', 'one more'],
    ['a'.repeat(513), 513, 'at most 512 characters', '513'],
  ])('%s is refused', (text, position, expected, what) => {
    expect(refusalOf(() => parseSearch(text, MODEL, paths))).toMatchObject({
      position,
      expected,
      found: what,
    });
  });
});

describe('any text', () => {
  const words = 'name errorInfo / code , asc desc * AND OR NOT ( ) " \\';
  const pieces = fc.constantFrom(...words.split(' '), ' ', '\0');
  const texts = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.array(pieces, { maxLength: SEARCH_LIMITS.terms * 3 }).map((parts) => parts.join('')),
    fc.array(pieces, { maxLength: SEARCH_LIMITS.terms * 3 }).map((parts) => parts.join(' ')),
  );
  it.each([
    ['$orderby', (text: string) => parseOrderBy(text, MODEL)],
    ['$select', (text: string) => parseSelect(text, MODEL)],
    ['$search', (text: string) => parseSearch(text, MODEL, [['name']])],
  ])('is a valid %s or refused by an ODataSyntaxError', (_option, parse) => {
    fc.assert(
      fc.property(texts, (text) => {
        try {
          parse(text);
        } catch (error) {
          if (!(error instanceof ODataSyntaxError)) throw error;
        }
      }),
      { numRuns: 1000 },
    );
  });
});

function refusalOf(parse: () => unknown): ODataSyntaxError {
  try {
    parse();
  } catch (error) {
    if (error instanceof ODataSyntaxError) return error;
    throw error;
  }
  throw new Error('it was taken');
}
