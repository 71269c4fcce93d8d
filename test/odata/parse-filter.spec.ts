import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FILTER_LIMITS,
  ODataSyntaxError,
  parseFilter,
  type Filter,
  type FilterValue,
  type Operand,
  type PropertyType,
} from '#odata';
import { MODEL } from '../support/odata-model.js';
import { printFilter } from '../support/odata-print.js';

const operand = (path: string, type: PropertyType, fold: Operand['fold'] = 'none'): Operand => ({
  property: { path: path.split('/'), type },
  fold,
});
const compare = (
  path: string,
  type: PropertyType,
  operator: 'eq' | 'ne' | 'gt' | 'ge' | 'lt' | 'le',
  value: FilterValue,
): Filter => ({ kind: 'compare', operator, left: operand(path, type), value });
const nameIs = (value: string | null): Filter => compare('name', 'string', 'eq', value);
const codeIs = (value: number | null): Filter => compare('errorInfo/code', 'int32', 'eq', value);
const createdIs = (iso: string): Filter => compare('createdDateTime', 'dateTime', 'eq', new Date(iso));
const statusIs = (value: string): Filter => compare('status', 'enum', 'eq', value);
const not = (filter: Filter): Filter => ({ kind: 'not', operand: filter });
const and = (...operands: Filter[]): Filter => ({ kind: 'and', operands });
const or = (...operands: Filter[]): Filter => ({ kind: 'or', operands });
const constant = (value: boolean): Filter => ({ kind: 'constant', value });
const match = (
  how: 'contains' | 'startswith' | 'endswith',
  value: string,
  fold: Operand['fold'] = 'none',
): Filter => ({ kind: 'match', how, left: operand('name', 'string', fold), value });
const lambda = (kind: 'any' | 'all', collection: string, predicate: Filter | null): Filter => ({
  kind,
  collection: { path: [collection], type: 'collection' },
  predicate,
});
const GUID = 'a3f1c1e0-0000-4000-8000-00000000000b';
const [a, b, c] = [nameIs('a'), nameIs('b'), nameIs('c')];
const [A, B, C] = ["name eq 'a'", "name eq 'b'", "name eq 'c'"];

describe('a filter that is taken', () => {
  const taken: [string, Filter][] = [
    // Comparisons
    ["name eq 'BlockIp'", nameIs('BlockIp')],
    ["name ne 'x'", compare('name', 'string', 'ne', 'x')],
    ["name gt 'x'", compare('name', 'string', 'gt', 'x')],
    ["name ge 'x'", compare('name', 'string', 'ge', 'x')],
    ["name lt 'x'", compare('name', 'string', 'lt', 'x')],
    ["name le 'x'", compare('name', 'string', 'le', 'x')],
    ["vendorInformation/provider eq 'X'", compare('vendorInformation/provider', 'string', 'eq', 'X')],
    ["'Running' eq status", statusIs('Running')],
    ['499 lt errorInfo/code', compare('errorInfo/code', 'int32', 'gt', 499)],
    ['499 ge errorInfo/code', compare('errorInfo/code', 'int32', 'le', 499)],
    // Whitespace
    ["  name \t eq\t'x'  ", nameIs('x')],
    [`( ${A} )`, a],
    ["name in ( 'x' ,'y' )", { kind: 'in', left: operand('name', 'string'), values: ['x', 'y'] }],
    ["contains( name , 'x' )", match('contains', 'x')],
    ["parameters/any( p : p/name eq 'IP' )", lambda('any', 'parameters', nameIs('IP'))],
    // Strings
    ["name eq ''", nameIs('')],
    ["name eq 'it''s'", nameIs("it's")],
    ["name eq ''''''", nameIs("''")],
    ["name eq ' and '", nameIs(' and ')],
    ["name eq '$where(.*)\\\n\u{1F600}'", nameIs('$where(.*)\\\n\u{1F600}')],
    // Numbers, truth, null
    ['errorInfo/code eq 0', codeIs(0)],
    ['errorInfo/code eq -0', codeIs(0)],
    ['errorInfo/code eq -5', codeIs(-5)],
    ['errorInfo/code eq +5', codeIs(5)],
    ['errorInfo/code eq 2147483647', codeIs(2_147_483_647)],
    ['errorInfo/code eq -2147483648', codeIs(-2_147_483_648)],
    ['errorInfo/code eq null', codeIs(null)],
    ['errorInfo eq null', compare('errorInfo', 'complex', 'eq', null)],
    ['null ne errorInfo', compare('errorInfo', 'complex', 'ne', null)],
    ['errorInfo/code gt null', constant(false)],
    ['urgent eq true', compare('urgent', 'boolean', 'eq', true)],
    ['urgent', compare('urgent', 'boolean', 'eq', true)],
    ['not urgent', not(compare('urgent', 'boolean', 'eq', true))],
    ['true', constant(true)],
    ['not false', not(constant(false))],
    // Times
    ['createdDateTime eq 2026-01-01T00:00:00Z', createdIs('2026-01-01T00:00:00.000Z')],
    ['createdDateTime eq 2026-01-01T00:00Z', createdIs('2026-01-01T00:00:00.000Z')],
    ['createdDateTime eq 2026-01-01t00:00:00z', createdIs('2026-01-01T00:00:00.000Z')],
    ['createdDateTime eq 2026-01-01T02:30:00+02:30', createdIs('2026-01-01T00:00:00.000Z')],
    ['createdDateTime eq 2025-12-31T19:00:00-05:00', createdIs('2026-01-01T00:00:00.000Z')],
    ['createdDateTime eq 2026-01-01T00:00:00.1Z', createdIs('2026-01-01T00:00:00.100Z')],
    ['createdDateTime eq 2026-01-01T00:00:00.123456789012Z', createdIs('2026-01-01T00:00:00.123Z')],
    ['createdDateTime eq 2024-02-29T00:00:00Z', createdIs('2024-02-29T00:00:00.000Z')],
    [
      'createdDateTime ge 2026-01-01T00:00:00Z',
      compare('createdDateTime', 'dateTime', 'ge', new Date('2026-01-01T00:00:00Z')),
    ],
    // Members of an enum
    ["status eq 'Running'", statusIs('Running')],
    ["status eq microsoft.graph.operationStatus'Running'", statusIs('Running')],
    ["status ge 'Completed'", compare('status', 'enum', 'ge', 'Completed')],
    [
      "status in ('Running',microsoft.graph.operationStatus'Failed',null)",
      { kind: 'in', left: operand('status', 'enum'), values: ['Running', 'Failed', null] },
    ],
    // Ids
    [`id eq '${GUID}'`, compare('id', 'guid', 'eq', GUID)],
    [`id eq ${GUID}`, compare('id', 'guid', 'eq', GUID)],
    [`id eq '${GUID.toUpperCase()}'`, compare('id', 'guid', 'eq', GUID)],
    [`id gt ${GUID.toUpperCase()}`, compare('id', 'guid', 'gt', GUID)],
    ["id eq 'no guid'", constant(false)],
    ["id ne 'no guid'", constant(true)],
    [`id in ('no guid','${GUID}')`, { kind: 'in', left: operand('id', 'guid'), values: [GUID] }],
    ["id in ('no guid')", constant(false)],
    // Functions
    ["startswith(name,'Block')", match('startswith', 'Block')],
    ["endswith(name,'Ip')", match('endswith', 'Ip')],
    ["contains(tolower(name),'ip')", match('contains', 'ip', 'lower')],
    ["contains(toupper(name),toupper('ip'))", match('contains', 'IP', 'upper')],
    ["contains(name,'ip') eq false", not(match('contains', 'ip'))],
    ["contains(name,'ip') ne false", match('contains', 'ip')],
    [
      "tolower(name) eq tolower('BlockIP')",
      { kind: 'compare', operator: 'eq', left: operand('name', 'string', 'lower'), value: 'blockip' },
    ],
    [
      "toupper(name) in ('A','B')",
      { kind: 'in', left: operand('name', 'string', 'upper'), values: ['A', 'B'] },
    ],
    // Precedence: not, then comparisons, then and, then or
    [`${A} or ${B} and ${C}`, or(a, and(b, c))],
    [`(${A} or ${B}) and ${C}`, and(or(a, b), c)],
    [`${A} and ${B} and ${C}`, and(a, b, c)],
    [`${A} and (${B} and ${C})`, and(a, and(b, c))],
    [`not (${A}) and ${B}`, and(not(a), b)],
    [`not(${A} and ${B})`, not(and(a, b))],
    [`not not (${A})`, not(not(a))],
    [
      "not contains(name,'x') or urgent",
      or(not(match('contains', 'x')), compare('urgent', 'boolean', 'eq', true)),
    ],
    // Lambdas
    ['parameters/any()', lambda('any', 'parameters', null)],
    [
      "parameters/any(p:p/name eq 'IP' and p/value eq '1.2.3.4')",
      lambda('any', 'parameters', and(nameIs('IP'), compare('value', 'string', 'eq', '1.2.3.4'))),
    ],
    [
      "states/all(s:s/status ne 'Failed')",
      lambda('all', 'states', compare('status', 'enum', 'ne', 'Failed')),
    ],
    ["states/any(s:'Running' eq s/status)", lambda('any', 'states', statusIs('Running'))],
    [`not parameters/any(name:name/name eq 'a') and ${B}`, and(not(lambda('any', 'parameters', a)), b)],
  ];
  it.each(taken)('%s', (text, tree) => {
    expect(parseFilter(text, MODEL)).toEqual(tree);
  });
});

describe('a filter that is refused says where and what was expected', () => {
  const known = 'id, name, status, urgent, createdDateTime, errorInfo, vendorInformation, parameters, states';
  const members = "one of 'NotStarted', 'Running', 'Completed', 'Failed'";
  const dateTime = 'a date-time with a time zone and without quotes, such as 2026-01-01T00:00:00Z';
  const int32 = 'a whole number from -2147483648 to 2147483647';
  const refused: [string, number, string | RegExp, string][] = [
    ['', 1, 'a condition, such as a comparison', 'the end'],
    ['   ', 4, 'a condition, such as a comparison', 'the end'],
    ['status', 7, 'eq, ne, gt, ge, lt, le or in', 'the end'],
    ["status = 'x'", 8, 'eq, ne, gt, ge, lt, le or in', '"="'],
    ["status EQ 'Running'", 8, 'eq, ne, gt, ge, lt, le or in', '"EQ"'],
    ["name eq'x'", 8, 'a space', `"'x'"`],
    ["name eq 'x'and true", 12, 'the end of the literal', '"and"'],
    [`${A} AND ${B}`, 13, 'and, or, or the end', '"AND"'],
    [`(${A}) and(${B})`, 18, 'a space', '"("'],
    [`${A} ${B}`, 13, 'and, or, or the end', '"name"'],
    [`${A} and`, 16, 'a space', 'the end'],
    [`(${A}`, 13, 'and, or, or )', 'the end'],
    [`${A})`, 12, 'and, or, or the end', '")"'],
    ["name\neq 'x'", 5, 'eq, ne, gt, ge, lt, le or in', '"?"'],
    // Properties
    ["colour eq 'x'", 1, `a property: ${known}`, '"colour"'],
    ["Name eq 'x'", 1, `a property: ${known}`, '"Name"'],
    ["__proto__ eq 'x'", 1, `a property: ${known}`, '"__proto__"'],
    ["constructor eq 'x'", 1, `a property: ${known}`, '"constructor"'],
    ["$where eq 'x'", 1, 'a condition, such as a comparison', '"$where"'],
    ["errorInfo/colour eq 'x'", 11, 'a property: code, message', '"colour"'],
    ["errorInfo/ eq 'x'", 11, 'a property: code, message', '" "'],
    ["name/length eq 'x'", 5, 'eq, ne, gt, ge, lt, le or in', '"/"'],
    ["parameters eq 'x'", 11, '/any or /all, to look into a collection', '" "'],
    ["parameters/name eq 'x'", 12, 'any( or all(', '"name"'],
    ['parameters/$count gt 1', 12, 'any( or all(', '"$count"'],
    ['name eq status', 9, 'a literal, not another property', '"status"'],
    ["'a' eq 'b'", 8, 'a property on one side of the comparison', `"'b'"`],
    // Literals
    ["name eq 'x", 11, "a closing '", 'the end'],
    ["name eq 'it''s", 15, "a closing '", 'the end'],
    ['name eq 5', 9, 'a string in single quotes or null', '"5"'],
    [`name eq ${GUID}`, 9, 'a string in single quotes or null', `"${GUID}"`],
    ["name eq datetime'2026'", 9, `a property: ${known}`, '"datetime"'],
    ["errorInfo/code eq '5'", 19, `${int32}, or null`, `"'5'"`],
    ['errorInfo/code eq 2147483648', 19, int32, '"2147483648"'],
    ['errorInfo/code eq -2147483649', 19, int32, '"-2147483649"'],
    ['errorInfo/code eq 1.5', 19, int32, '"1.5"'],
    ['errorInfo/code eq 1e3', 19, int32, '"1e3"'],
    ['errorInfo eq 5', 14, 'null', '"5"'],
    ['errorInfo gt null', 1, 'a property that has an order', 'errorInfo'],
    ['urgent eq 1', 11, 'true, false or null', '"1"'],
    ['urgent gt true', 1, 'a property that has an order', 'urgent'],
    ["createdDateTime gt '2026-01-01T00:00:00Z'", 20, dateTime, `"'2026-01-01T00:00:00Z'"`],
    ['createdDateTime gt 2026-01-01', 20, dateTime, '"2026-01-01"'],
    ['createdDateTime gt 2026-01-01T00:00:00', 39, /^Z or an offset/, 'the end'],
    ['createdDateTime gt 2026-01-01T00:00:00 01:00', 39, /%2B$/, '" "'],
    ['createdDateTime gt 2026-01-01T00:00:00.1234567890123Z', 52, /^Z or an offset/, '"3Z"'],
    ['createdDateTime gt 2026-02-30T00:00:00Z', 20, dateTime, '"2026-02-30T00:00:00Z"'],
    ['createdDateTime gt 2026-13-01T00:00:00Z', 20, dateTime, '"2026-13-01T00:00:00Z"'],
    ['createdDateTime gt 2026-01-01T24:00:00Z', 20, dateTime, '"2026-01-01T24:00:00Z"'],
    ['createdDateTime gt 2026-01-01T00:00:60Z', 20, dateTime, '"2026-01-01T00:00:60Z"'],
    ['createdDateTime gt 2026-01-01T00:00:00+15:00', 39, 'an offset of at most 14 hours', '"+15:00"'],
    ["status eq 'Cancelled'", 11, members, `"'Cancelled'"`],
    ["status eq 'running'", 11, members, `"'running'"`],
    ['status eq 1', 11, members, '"1"'],
    ["status eq microsoft.graph.operationStatus'Gone'", 42, members, `"'Gone'"`],
    [
      "status eq microsoft.graph.colour'Red'",
      11,
      /^microsoft.graph.operationStatus/,
      '"microsoft.graph.colour"',
    ],
    ["id gt 'no guid'", 7, 'a GUID', `"'no guid'"`],
    ['id eq 5', 7, 'a GUID', '"5"'],
    // Lists
    ['name in ()', 10, 'a literal', '")"'],
    ["name in 'x'", 9, '( and a list of literals', `"'x'"`],
    ["name in('x')", 8, 'a space', '"("'],
    ["name in ('x',)", 14, 'a literal', '")"'],
    ["name in ('x'", 13, ', or )', 'the end'],
    ["name in ('x' 'y')", 14, ', or )', `"'y'"`],
    ["'x' in ('x')", 1, 'a property before in', `"'x'"`],
    // not
    [`not ${A}`, 5, 'a condition in parentheses, or a function, after not', '"name"'],
    ['not', 1, `a property: ${known}`, '"not"'],
    ['not ', 5, 'a condition, such as a comparison', 'the end'],
    [`(${A}) gt true`, 18, 'eq or ne, to compare a condition', 'gt'],
    [`(${A}) eq 5`, 18, 'true or false, to compare a condition with', '"5"'],
    // Functions
    [
      "substringof('x',name)",
      1,
      'a function: contains, endswith, startswith, tolower, toupper',
      '"substringof"',
    ],
    ['length(name) eq 5', 1, 'a function: contains, endswith, startswith, tolower, toupper', '"length"'],
    ["contains('x',name)", 10, 'a property as the first argument', `"'x'"`],
    ['contains(name,name)', 15, 'a string in single quotes', '"name"'],
    ['contains(name,null)', 15, 'a string in single quotes', '"null"'],
    ['contains(name)', 14, ',', '")"'],
    ["contains(name,'x'", 18, ')', 'the end'],
    ["contains(status,'x')", 10, 'a property that is a string', '"status"'],
    ["contains(parameters,'x')", 10, 'a property that is a string', '"parameters"'],
    ["contains(concat(name,'x'),'x')", 10, 'a property, a string, tolower or toupper', '"concat"'],
    ["tolower(status) eq 'x'", 9, 'a property that is a string', '"status"'],
    ["tolower(toupper(name)) eq 'x'", 9, 'a property or a string', '"toupper"'],
    // Lambdas
    ['parameters/all()', 16, 'a name for an item, as in any(x: x/…)', '")"'],
    ['parameters/any', 12, 'any( or all(', '"any"'],
    ['parameters/any(p)', 17, ':', '")"'],
    ["parameters/any(p:name eq 'x')", 18, 'p/ and a property: name, value', '"name"'],
    ["parameters/any(p:p eq 'x')", 19, '/ and a property: name, value', '" "'],
    ["parameters/any(p:p/colour eq 'x')", 20, 'a property: name, value', '"colour"'],
    ["parameters/any(p:p/name eq 'x'", 31, 'and, or, or )', 'the end'],
    ["any(p:p/name eq 'x')", 1, 'a collection and a / before any', '"any"'],
    ["name/any(p:p eq 'x')", 5, 'eq, ne, gt, ge, lt, le or in', '"/"'],
    ["parameters/any(p:p/name eq 'x') and p/name eq 'y'", 37, `a property: ${known}`, '"p"'],
  ];
  it.each(refused)('%s', (text, position, expected, found) => {
    const error = refusal(text);
    expect({ position: error.position, found: error.found }).toEqual({ position, found });
    if (typeof expected === 'string') expect(error.expected).toBe(expected);
    else expect(error.expected).toMatch(expected);
    expect(error.message).toBe(`at position ${position}: expected ${error.expected}, found ${found}`);
  });

  it('in one short line, whatever it found', () => {
    expect(refusal(`name eq "${'x'.repeat(1000)}`).message.length).toBeLessThan(200);
    expect(refusal(`name eq \u{1F600}`).found).toBe('"\u{1F600}"');
    expect(refusal(`name eq 'x' '${'\r\n'.repeat(200)}'`).message).toMatch(/^[^\r\n]{1,120}$/);
  });
});

describe('the limits of a filter', () => {
  const parens = (levels: number): string => `${'('.repeat(levels)}${A}${')'.repeat(levels)}`;
  const comparisons = (count: number): string => Array<string>(count).fill('urgent').join(' or ');
  const values = (count: number): string => `errorInfo/code in (${Array(count).fill(1).join(',')})`;
  const long = (characters: number): string => `name eq '${'x'.repeat(characters - 10)}'`;
  const nots = (count: number): string => `${'not '.repeat(count)}urgent`;

  it.each([
    ['characters', long, FILTER_LIMITS.characters],
    ['levels of parentheses', parens, FILTER_LIMITS.depth],
    ['levels of not', nots, FILTER_LIMITS.depth],
    ['comparisons', comparisons, FILTER_LIMITS.comparisons],
    ['values', values, FILTER_LIMITS.values],
  ] as const)('%s: as many are taken, and one more is not', (_what, make, limit) => {
    expect(() => parseFilter(make(limit), MODEL)).not.toThrow();
    expect(refusal(make(limit + 1)).expected).toMatch(`at most ${limit} `);
  });

  it('count what stands in lambdas, too', () => {
    const inside = Array(40).fill("p/name eq 'x'").join(' or ');
    expect(() => parseFilter(`parameters/any(p:${inside})`, MODEL)).not.toThrow();
    expect(refusal(`parameters/any(p:${inside}) or urgent`).expected).toBe('at most 40 comparisons');
    expect(refusal(`parameters/any(p:${parens(8).replace('name', 'p/name')})`).expected).toBe(
      'at most 8 levels of nesting',
    );
  });

  it.each([
    ['parentheses', '('],
    ['nots', 'not '],
    ['quotes', "'"],
    ['spaces', ' '],
    ['spaces behind a comparison', 'urgent                '],
    ['digits', '1'],
    ['letters', 'a'],
    ['slashes', 'errorInfo/'],
    ['folds', 'tolower('],
    ['lambdas', 'parameters/any(p:'],
    ['list items', "name in ('x',"],
    ['times', '2026-01-01T00:00:00.'],
  ])('%s without end are refused at once', (_what, part) => {
    for (const characters of [FILTER_LIMITS.characters, 400_000]) {
      const text = part.repeat(Math.floor(characters / part.length));
      const began = performance.now();
      expect(refusal(text)).toBeInstanceOf(ODataSyntaxError);
      expect(performance.now() - began).toBeLessThan(1000);
    }
  });
});

describe('any filter', () => {
  const strings = fc.string({ unit: 'grapheme', maxLength: 6 });
  const int32s = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  const dates = fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true });
  const statuses = fc.constantFrom('NotStarted', 'Running', 'Completed', 'Failed');
  type Leaf = readonly [path: string, type: PropertyType, values: fc.Arbitrary<FilterValue>];
  const leavesOfEntity: readonly Leaf[] = [
    ['id', 'guid', fc.uuid()],
    ['name', 'string', strings],
    ['status', 'enum', statuses],
    ['urgent', 'boolean', fc.boolean()],
    ['createdDateTime', 'dateTime', dates],
    ['errorInfo', 'complex', fc.constant(null)],
    ['errorInfo/code', 'int32', int32s],
    ['vendorInformation/provider', 'string', strings],
  ];
  const leavesOf: Readonly<Record<string, readonly Leaf[]>> = {
    parameters: [
      ['name', 'string', strings],
      ['value', 'string', strings],
    ],
    states: [
      ['status', 'enum', statuses],
      ['updatedDateTime', 'dateTime', dates],
    ],
  };
  const operands = ([path, type]: Leaf): fc.Arbitrary<Operand> => {
    const folds: readonly Operand['fold'][] = type === 'string' ? ['none', 'lower', 'upper'] : ['none'];
    return fc.constantFrom(...folds).map((fold) => operand(path, type, fold));
  };
  const comparisonsOf = (leaf: Leaf): fc.Arbitrary<Filter> => {
    const [, type, values] = leaf;
    const isOrdered = type !== 'complex' && type !== 'boolean';
    const equal = fc.record({
      kind: fc.constant('compare' as const),
      operator: fc.constantFrom('eq' as const, 'ne' as const),
      left: operands(leaf),
      value: fc.option(values, { freq: 5 }),
    });
    const ordered = fc.record({
      kind: fc.constant('compare' as const),
      operator: fc.constantFrom('gt' as const, 'ge' as const, 'lt' as const, 'le' as const),
      left: operands(leaf),
      value: values,
    });
    const listed = fc.record({
      kind: fc.constant('in' as const),
      left: operands(leaf),
      values: fc.array(fc.option(values, { freq: 5 }), { minLength: 1, maxLength: 3 }),
    });
    const matched = fc.record({
      kind: fc.constant('match' as const),
      how: fc.constantFrom('contains' as const, 'startswith' as const, 'endswith' as const),
      left: operands(leaf),
      value: strings,
    });
    return fc.oneof(equal, listed, ...(isOrdered ? [ordered] : []), ...(type === 'string' ? [matched] : []));
  };
  const filters = (depth: number, leaves: readonly Leaf[], collections: boolean): fc.Arbitrary<Filter> => {
    const leaf = fc.oneof(...leaves.map(comparisonsOf), fc.boolean().map(constant));
    if (depth === 0) return leaf;
    const inner = filters(depth - 1, leaves, collections);
    const gone = (name: string): fc.Arbitrary<Filter> => {
      const predicate = filters(depth - 1, leavesOf[name] ?? [], false);
      return fc.oneof(
        predicate.map((one) => lambda('all', name, one)),
        fc.option(predicate).map((one) => lambda('any', name, one)),
      );
    };
    return fc.oneof(
      leaf,
      fc.record({
        kind: fc.constantFrom('and' as const, 'or' as const),
        operands: fc.array(inner, { minLength: 2, maxLength: 3 }),
      }),
      inner.map(not),
      ...(collections ? [gone('parameters'), gone('states')] : []),
    );
  };

  it('that is printed and parsed is the same', () => {
    fc.assert(
      fc.property(filters(3, leavesOfEntity, true), (filter) => {
        const text = printFilter(filter);
        fc.pre(text.length <= FILTER_LIMITS.characters);
        expect(parseFilter(text, MODEL)).toEqual(filter);
      }),
      { numRuns: 1000 },
    );
  });

  const words =
    'name status errorInfo parameters code p any all not and or in eq gt null true contains tolower';
  const marks = "( ) , : / ' '' 5 - .5 2026-01-01T00:00:00Z a.b $";
  const others = [' ', ' ', '\t', '\n', '\0', '\u{1F600}', '\uD83D', GUID];
  const pieces = fc.constantFrom(...words.split(' '), ...marks.split(' '), ...others);
  it('that is garbage is refused by an ODataSyntaxError, and fast', () => {
    const garbage = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join('')),
      fc.array(pieces, { maxLength: 20 }).map((parts) => parts.join(' ')),
      // A filter that was right before a bit of it went.
      fc.tuple(filters(2, leavesOfEntity, true), fc.nat(), fc.nat(3)).map(([filter, at, length]) => {
        const text = printFilter(filter);
        const cut = at % (text.length + 1);
        return text.slice(0, cut) + text.slice(cut + length);
      }),
    );
    fc.assert(
      fc.property(garbage, (text) => {
        try {
          parseFilter(text, MODEL);
        } catch (error) {
          if (!(error instanceof ODataSyntaxError)) throw error;
          expect(error.position).toBeGreaterThanOrEqual(1);
          expect(error.position).toBeLessThanOrEqual(Math.max(text.length, FILTER_LIMITS.characters) + 1);
        }
      }),
      { numRuns: 2000 },
    );
  }, 20_000);
});

function refusal(text: string): ODataSyntaxError {
  try {
    parseFilter(text, MODEL);
  } catch (error) {
    if (error instanceof ODataSyntaxError) return error;
    throw error;
  }
  throw new Error(`${text} was taken`);
}
