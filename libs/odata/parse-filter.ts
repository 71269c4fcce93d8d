import type { Comparison, Filter, FilterValue, Operand } from './filter.js';
import { foldText } from './fold.js';
import { readLiteral, valueOf, type Literal } from './literal.js';
import { namesOf, type EntityModel, type PropertyModel } from './model.js';
import { IDENTIFIER, readPath, type Path } from './path.js';
import { Scanner } from './scanner.js';

/** What a filter may cost: characters, levels of parentheses, lambdas and `not`, comparisons, values of an `in`. */
export const FILTER_LIMITS = { characters: 2048, depth: 8, comparisons: 40, values: 50 } as const;

/** What stands in a place: a condition of its own, or one side of a comparison. */
type Term =
  | { readonly kind: 'condition'; readonly filter: Filter; readonly at: number }
  | {
      readonly kind: 'operand';
      readonly operand: Operand;
      readonly model: PropertyModel;
      readonly at: number;
    }
  | { readonly kind: 'literal'; readonly literal: Literal; readonly at: number };
type OperandTerm = Extract<Term, { readonly kind: 'operand' }>;

/** Where names are looked up: the entity, or the item of a collection under the name a lambda gives it. */
interface Scope {
  readonly entity: EntityModel;
  readonly variable: string | null;
}

const CONDITION = 'a condition, such as a comparison';
const MATCHES = ['contains', 'endswith', 'startswith'] as const;
const FUNCTION = /[A-Za-z_][\w.]*(?=\()/y;
const COMPARISON = /[ \t]+(?:eq|ne|gt|ge|lt|le|in)(?!\w)/y;
/** With the sides changed. */
const MIRRORED: Readonly<Record<Comparison, Comparison>> = {
  eq: 'eq',
  ne: 'ne',
  gt: 'lt',
  ge: 'le',
  lt: 'gt',
  le: 'ge',
};

/**
 * Parses an OData `$filter` on entities of a model and checks it: properties exist, literals have their types. Takes
 * `eq ne gt ge lt le in`, `and or not`, parentheses, `contains endswith startswith`, `tolower toupper`, and `any all`
 * on collections. `not` binds closest, then comparisons, `and`, `or`. Takes time in proportion to the text.
 *
 * See https://docs.oasis-open.org/odata/odata/v4.01/os/part2-url-conventions/odata-v4.01-os-part2-url-conventions.html,
 * 5.1.1. What cannot be expressed by a {@link Filter} (arithmetic, a property compared with another) is refused.
 *
 * @throws ODataSyntaxError saying where and what was expected, also for what passes {@link FILTER_LIMITS}
 */
export function parseFilter(text: string, model: EntityModel): Filter {
  return new FilterParser(new Scanner(text, FILTER_LIMITS.characters), model).parse();
}

class FilterParser {
  #scope: Scope;
  #depth = 0;
  #comparisons = 0;

  constructor(
    private readonly scanner: Scanner,
    model: EntityModel,
  ) {
    this.#scope = { entity: model, variable: null };
  }

  parse(): Filter {
    this.scanner.skipBlanks();
    const filter = this.#or();
    this.scanner.skipBlanks();
    if (!this.scanner.atEnd) this.scanner.fail('and, or, or the end');
    return filter;
  }

  #or(): Filter {
    return this.#joined('or', /[ \t]+or(?!\w)/y, () =>
      this.#joined('and', /[ \t]+and(?!\w)/y, () => this.#condition()),
    );
  }

  #joined(kind: 'and' | 'or', joint: RegExp, operand: () => Filter): Filter {
    const first = operand();
    const operands = [first];
    while (this.scanner.read(joint) !== null) {
      this.scanner.expectBlanks();
      operands.push(operand());
    }
    return operands.length === 1 ? first : { kind, operands };
  }

  #condition(): Filter {
    const left = this.#term();
    const operator = this.scanner.read(COMPARISON)?.trim();
    if (operator === undefined) return this.#conditionOf(left, 'eq, ne, gt, ge, lt, le or in', false);
    if (operator === 'in') return this.#in(left);
    this.scanner.expectBlanks();
    const right = this.#term();
    const comparison = operator as Comparison;
    if (left.kind === 'operand' && right.kind === 'literal')
      return this.#compare(left, comparison, right.literal);
    if (left.kind === 'literal' && right.kind === 'operand')
      return this.#compare(right, MIRRORED[comparison], left.literal);
    if (left.kind === 'condition') return this.#isTruth(left.filter, comparison, right);
    if (right.kind === 'condition') return this.#isTruth(right.filter, comparison, left);
    if (left.kind === 'operand') return this.scanner.fail('a literal, not another property', right.at);
    return this.scanner.fail('a property on one side of the comparison', right.at);
  }

  /** A term that stands alone, where a condition has to. `expected` is what would have made it one. */
  #conditionOf(term: Term, expected: string, tight: boolean): Filter {
    if (term.kind === 'condition') return term.filter;
    if (term.kind === 'literal' && term.literal.kind === 'boolean')
      return { kind: 'constant', value: term.literal.value };
    if (term.kind === 'operand' && term.model.type === 'boolean') {
      this.#count(term.at);
      return { kind: 'compare', operator: 'eq', left: term.operand, value: true };
    }
    if (tight) return this.scanner.fail(expected, term.at);
    this.scanner.skipBlanks();
    return this.scanner.fail(expected);
  }

  /** `condition eq true` and its like. */
  #isTruth(condition: Filter, comparison: Comparison, term: Term): Filter {
    if (term.kind !== 'literal' || term.literal.kind !== 'boolean')
      return this.scanner.fail('true or false, to compare a condition with', term.at);
    if (comparison !== 'eq' && comparison !== 'ne')
      return this.scanner.fail('eq or ne, to compare a condition', term.at, comparison);
    return term.literal.value === (comparison === 'eq') ? condition : { kind: 'not', operand: condition };
  }

  #compare({ operand, model, at }: OperandTerm, operator: Comparison, literal: Literal): Filter {
    this.#count(at);
    const isOrder = operator !== 'eq' && operator !== 'ne';
    if (isOrder && (model.type === 'complex' || model.type === 'boolean'))
      return this.scanner.fail('a property that has an order', at, operand.property.path.join('/'));
    const value = valueOf(literal, model, this.scanner);
    if (value === undefined) {
      if (isOrder) return this.scanner.fail('a GUID', literal.at);
      return { kind: 'constant', value: operator === 'ne' };
    }
    // Nothing is before or behind null.
    if (value === null && isOrder) return { kind: 'constant', value: false };
    return { kind: 'compare', operator, left: operand, value };
  }

  #in(left: Term): Filter {
    const { scanner } = this;
    if (left.kind !== 'operand') return scanner.fail('a property before in', left.at);
    this.#count(left.at);
    scanner.expectBlanks();
    scanner.expect(/\(/y, '( and a list of literals');
    const values: FilterValue[] = [];
    let given = 0;
    do {
      scanner.skipBlanks();
      const literal = readLiteral(scanner) ?? scanner.fail('a literal');
      if ((given += 1) > FILTER_LIMITS.values)
        scanner.fail(`at most ${FILTER_LIMITS.values} values`, literal.at, 'one more');
      const value = valueOf(literal, left.model, scanner);
      if (value !== undefined) values.push(value);
      scanner.skipBlanks();
    } while (scanner.read(/,/y) !== null);
    scanner.expect(/\)/y, ', or )');
    return values.length === 0
      ? { kind: 'constant', value: false }
      : { kind: 'in', left: left.operand, values };
  }

  #term(): Term {
    const { scanner } = this;
    const { at } = scanner;
    const literal = readLiteral(scanner);
    if (literal !== null) return { kind: 'literal', literal, at };
    if (scanner.read(/not(?=[ \t(])/y) !== null) {
      const operand = this.#nested(at, () => {
        scanner.skipBlanks();
        return this.#conditionOf(this.#term(), 'a condition in parentheses, or a function, after not', true);
      });
      return { kind: 'condition', filter: { kind: 'not', operand }, at };
    }
    if (scanner.read(/\(/y) !== null) {
      const filter = this.#nested(at, () => {
        scanner.skipBlanks();
        return this.#or();
      });
      this.#close('and, or, or )');
      return { kind: 'condition', filter, at };
    }
    const name = scanner.read(FUNCTION);
    if (name !== null) return this.#function(name, at);
    if (scanner.peek(IDENTIFIER) === null) return scanner.fail(CONDITION);
    const path = this.#path();
    if (path.model.type === 'collection')
      return { kind: 'condition', filter: this.#lambda(path, path.model), at };
    return { kind: 'operand', operand: { property: path.property, fold: 'none' }, model: path.model, at };
  }

  #function(name: string, at: number): Term {
    const how = MATCHES.find((match) => match === name);
    if (how !== undefined) return { kind: 'condition', filter: this.#match(how, at), at };
    if (name === 'tolower' || name === 'toupper') return this.#fold(name, at);
    if (name === 'any' || name === 'all') return this.scanner.fail(`a collection and a / before ${name}`, at);
    return this.scanner.fail(`a function: ${[...MATCHES, 'tolower', 'toupper'].join(', ')}`, at);
  }

  #match(how: (typeof MATCHES)[number], at: number): Filter {
    const { scanner } = this;
    this.#count(at);
    const left = this.#argument();
    if (left.kind !== 'operand') return scanner.fail('a property as the first argument', left.at);
    scanner.expect(/,/y, ',');
    scanner.skipBlanks();
    const right = this.#text();
    if (right.kind !== 'literal' || right.literal.kind !== 'string')
      return scanner.fail('a string in single quotes', right.at);
    this.#close(')');
    return { kind: 'match', how, left: left.operand, value: right.literal.value };
  }

  /** Of a property: the letters are folded when it is compared. Of a literal: at once. */
  #fold(name: 'tolower' | 'toupper', at: number): Term {
    const term = this.#argument();
    this.#close(')');
    const fold = name === 'tolower' ? 'lower' : 'upper';
    if (term.kind === 'operand') {
      if (term.operand.fold !== 'none') return this.scanner.fail('a property or a string', term.at);
      return { ...term, operand: { property: term.operand.property, fold }, at };
    }
    if (term.kind === 'literal' && term.literal.kind === 'string') {
      const value = foldText(term.literal.value, fold);
      return { kind: 'literal', literal: { ...term.literal, value }, at };
    }
    return this.scanner.fail('a property or a string', term.at);
  }

  /** The first argument of a function, behind its opening parenthesis: what has letters. */
  #argument(): Term {
    const { scanner } = this;
    scanner.expect(/\(/y, '(');
    scanner.skipBlanks();
    const term = this.#text();
    if (term.kind === 'operand' && term.model.type !== 'string')
      scanner.fail('a property that is a string', term.at);
    scanner.skipBlanks();
    return term;
  }

  /** A property, a string, or one of them folded. Nothing here can go deep: a fold takes no other. */
  #text(): Term {
    const { scanner } = this;
    const { at } = scanner;
    const literal = readLiteral(scanner);
    if (literal !== null) return { kind: 'literal', literal, at };
    const name = scanner.peek(FUNCTION);
    if (name === 'tolower' || name === 'toupper') {
      return this.#nested(at, () => {
        scanner.read(FUNCTION);
        return this.#fold(name, at);
      });
    }
    if (name !== null) return scanner.fail('a property, a string, tolower or toupper', at);
    if (scanner.peek(IDENTIFIER) === null) return scanner.fail('a property or a string');
    const { property, model } = this.#path();
    return { kind: 'operand', operand: { property, fold: 'none' }, model, at };
  }

  /** A path from where names are looked up. */
  #path(): Path {
    const { scanner } = this;
    const { entity, variable } = this.#scope;
    if (variable === null) return readPath(scanner, entity);
    const { at } = scanner;
    const expected = `${variable}/ and a property: ${namesOf(entity)}`;
    if (scanner.expect(IDENTIFIER, expected) !== variable) scanner.fail(expected, at);
    scanner.expect(/\//y, `/ and a property: ${namesOf(entity)}`);
    return { ...readPath(scanner, entity), at };
  }

  #lambda({ property, at }: Path, items: EntityModel): Filter {
    const { scanner } = this;
    scanner.expect(/\//y, '/any or /all, to look into a collection');
    const kind = scanner.expect(/(?:any|all)(?=\()/y, 'any( or all(') as 'any' | 'all';
    scanner.expect(/\(/y, '(');
    scanner.skipBlanks();
    if (kind === 'any' && scanner.read(/\)/y) !== null) {
      this.#count(at);
      return { kind, collection: property, predicate: null };
    }
    const variable = scanner.expect(IDENTIFIER, 'a name for an item, as in any(x: x/…)');
    scanner.skipBlanks();
    scanner.expect(/:/y, ':');
    scanner.skipBlanks();
    const outer = this.#scope;
    this.#scope = { entity: items, variable };
    const predicate = this.#nested(at, () => this.#or());
    this.#scope = outer;
    this.#close('and, or, or )');
    return { kind, collection: property, predicate };
  }

  #close(expected: string): void {
    this.scanner.skipBlanks();
    this.scanner.expect(/\)/y, expected);
  }

  #nested<T>(at: number, read: () => T): T {
    if ((this.#depth += 1) > FILTER_LIMITS.depth)
      this.scanner.fail(`at most ${FILTER_LIMITS.depth} levels of nesting`, at, 'one more');
    const result = read();
    this.#depth -= 1;
    return result;
  }

  #count(at: number): void {
    if ((this.#comparisons += 1) > FILTER_LIMITS.comparisons)
      this.scanner.fail(`at most ${FILTER_LIMITS.comparisons} comparisons`, at, 'one more');
  }
}
