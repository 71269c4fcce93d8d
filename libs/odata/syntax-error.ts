/**
 * A text in OData's language that is not valid, or is not about anything the model has. Says where, what would have
 * been right there, and what was found.
 */
export class ODataSyntaxError extends Error {
  constructor(
    /** The character it is about, from 1. */
    readonly position: number,
    readonly expected: string,
    readonly found: string,
  ) {
    super(`at position ${position}: expected ${expected}, found ${found}`);
    this.name = 'ODataSyntaxError';
  }
}
