import type { Filter } from './filter.js';
import { foldText } from './fold.js';
import type { EntityModel } from './model.js';
import { propertyAt } from './path.js';
import { Scanner } from './scanner.js';

/** What a search may cost: characters, words and phrases, levels of parentheses and `NOT`. */
export const SEARCH_LIMITS = { characters: 512, terms: 8, depth: 8 } as const;

/** Strings that a search looks into; through a collection it looks into every item. */
export type SearchedPath =
  readonly string[] | { readonly collection: string; readonly path: readonly string[] };

const OPERATOR = /(?:AND|OR|NOT)(?![^ \t()"])/y;
const WORD = /[^ \t()"]+/y;

/**
 * Parses an OData `$search`: words, "phrases" (a `"` or `\` inside behind a `\`), `NOT`, `AND`, `OR` and parentheses;
 * `NOT` binds closest, then `AND`, which may be left out, then `OR`. A word or phrase is found where one of `paths`
 * contains it, whatever the case of its letters A to Z.
 *
 * See https://docs.oasis-open.org/odata/odata/v4.01/os/part2-url-conventions/odata-v4.01-os-part2-url-conventions.html,
 * 5.1.7.
 *
 * @throws ODataSyntaxError saying where and what was expected, also for what passes {@link SEARCH_LIMITS}
 */
export function parseSearch(text: string, model: EntityModel, paths: readonly SearchedPath[]): Filter {
  return new SearchParser(new Scanner(text, SEARCH_LIMITS.characters), (term) => ({
    kind: 'or',
    operands: paths.map((path) => contains(model, path, foldText(term, 'lower'))),
  })).parse();
}

function contains(model: EntityModel, searched: SearchedPath, value: string): Filter {
  if (!('collection' in searched)) {
    const left = { property: propertyAt(model, searched), fold: 'lower' } as const;
    return { kind: 'match', how: 'contains', left, value };
  }
  const items = model.properties.get(searched.collection);
  if (items?.type !== 'collection')
    throw new RangeError(`the model has no collection ${searched.collection}`);
  return {
    kind: 'any',
    collection: { path: [searched.collection], type: 'collection' },
    predicate: contains(items, searched.path, value),
  };
}

class SearchParser {
  #depth = 0;
  #terms = 0;

  constructor(
    private readonly scanner: Scanner,
    private readonly found: (term: string) => Filter,
  ) {}

  parse(): Filter {
    const filter = this.#or();
    if (!this.scanner.atEnd) this.scanner.fail('a word, a phrase, or the end');
    return filter;
  }

  #or(): Filter {
    const operands = [this.#and()];
    while (this.#operator('OR')) operands.push(this.#and());
    return joined('or', operands);
  }

  #and(): Filter {
    const operands = [this.#not()];
    while (this.#operator('AND') || this.#anotherBegins()) operands.push(this.#not());
    return joined('and', operands);
  }

  #not(): Filter {
    const { scanner } = this;
    scanner.skipBlanks();
    const { at } = scanner;
    if (this.#operator('NOT')) return { kind: 'not', operand: this.#nested(at, () => this.#not()) };
    if (scanner.read(/\(/y) !== null) {
      const filter = this.#nested(at, () => this.#or());
      scanner.expect(/\)/y, ')');
      scanner.skipBlanks();
      return filter;
    }
    if (scanner.peek(OPERATOR) !== null) scanner.fail('a word or a phrase');
    const term = scanner.peek(/"/y) === null ? scanner.expect(WORD, 'a word or a phrase') : this.#phrase();
    if ((this.#terms += 1) > SEARCH_LIMITS.terms)
      scanner.fail(`at most ${SEARCH_LIMITS.terms} words and phrases`, at, 'one more');
    scanner.skipBlanks();
    return this.found(term);
  }

  #phrase(): string {
    const { scanner } = this;
    const { at } = scanner;
    scanner.read(/"/y);
    let phrase = '';
    for (;;) {
      phrase += scanner.read(/[^"\\]+/y) ?? '';
      if (scanner.read(/"/y) !== null) break;
      if (scanner.read(/\\/y) !== null) phrase += scanner.expect(/["\\]/y, '" or \\ behind \\');
      else scanner.fail('a closing "');
    }
    if (phrase.trim() === '') scanner.fail('a phrase that is not empty', at);
    return phrase;
  }

  /** Reads this operator, with the blanks around it. */
  #operator(name: 'AND' | 'OR' | 'NOT'): boolean {
    if (this.scanner.peek(OPERATOR) !== name) return false;
    this.scanner.read(OPERATOR);
    this.scanner.skipBlanks();
    return true;
  }

  #anotherBegins(): boolean {
    return !this.scanner.atEnd && this.scanner.peek(/\)/y) === null && this.scanner.peek(OPERATOR) !== 'OR';
  }

  #nested<T>(at: number, read: () => T): T {
    if ((this.#depth += 1) > SEARCH_LIMITS.depth)
      this.scanner.fail(`at most ${SEARCH_LIMITS.depth} levels of nesting`, at, 'one more');
    const result = read();
    this.#depth -= 1;
    return result;
  }
}

function joined(kind: 'and' | 'or', operands: readonly Filter[]): Filter {
  const [first] = operands;
  return operands.length === 1 && first !== undefined ? first : { kind, operands };
}
