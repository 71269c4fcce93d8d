import { ODataSyntaxError } from './syntax-error.js';

const SHOWN_CHARACTERS = 40;

/**
 * A position in a text, moved forward by what is read. OData's whitespace is the space and the tab, and nothing else.
 *
 * Patterns have to be sticky, and must not need to go back by more than a bounded number of characters, so that time
 * stays linear.
 */
export class Scanner {
  /** Index of the next character, from 0. */
  at = 0;

  /** @throws ODataSyntaxError when the text has more than `limit` characters */
  constructor(
    readonly text: string,
    limit: number,
  ) {
    if (text.length > limit)
      throw new ODataSyntaxError(limit + 1, `at most ${limit} characters`, String(text.length));
  }

  get atEnd(): boolean {
    return this.at === this.text.length;
  }

  /** Reads what matches here; null, and nothing is read, when it does not. */
  read(pattern: RegExp): string | null {
    const found = this.peek(pattern);
    if (found !== null) this.at += found.length;
    return found;
  }

  peek(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text)?.[0] ?? null;
  }

  /** @throws ODataSyntaxError saying that `expected` should stand here */
  expect(pattern: RegExp, expected: string): string {
    return this.read(pattern) ?? this.fail(expected);
  }

  /** Whitespace where it may stand. */
  skipBlanks(): void {
    this.read(BLANKS);
  }

  /** Whitespace where it has to stand. */
  expectBlanks(): void {
    this.expect(BLANKS, 'a space');
  }

  /** @throws ODataSyntaxError always, about what stands at index `at`, or here */
  fail(expected: string, at = this.at, found = this.#shown(at)): never {
    throw new ODataSyntaxError(at + 1, expected, found);
  }

  #shown(at: number): string {
    if (at >= this.text.length) return 'the end';
    TOKEN.lastIndex = at;
    const [token = ''] = TOKEN.exec(this.text) ?? [];
    const shown = token.length > SHOWN_CHARACTERS ? `${token.slice(0, SHOWN_CHARACTERS)}…` : token;
    // What a caller wrote goes into a message, and the message into a log: one line, whole characters.
    return `"${shown.replaceAll(/\p{C}/gu, '?')}"`;
  }
}

const BLANKS = /[ \t]+/y;
const TOKEN = /[\p{L}\p{N}_.:$@+-]+|'[^']*'?|[^]/uy;
