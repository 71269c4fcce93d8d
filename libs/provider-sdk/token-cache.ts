import { ProviderError } from './errors.js';

/** A token with the time at which it is not used any more, milliseconds since the epoch. */
export interface KeptToken<Token> {
  readonly token: Token;
  readonly until: number;
}

/** Tokens that are kept at most; where there are more, all are forgotten. */
const MOST_TOKENS = 1000;

/** Access tokens in memory, by a key that no two credentials share. Calls at the same time ask for one once. */
export class TokenCache<Token> {
  readonly #kept = new Map<string, KeptToken<Token>>();
  readonly #asked = new Map<string, Promise<Token>>();

  /**
   * The kept token, or a new one.
   *
   * @param signal of the call that needs it
   * @throws whatever `ask` throws, and the signal's reason when who asked for both was stopped and so is this
   */
  async get(key: string, signal: AbortSignal, ask: () => Promise<KeptToken<Token>>): Promise<Token> {
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.until > Date.now()) return kept.token;
    const asked = this.#asked.get(key);
    if (asked === undefined) {
      const asking = this.#ask(key, ask).finally(() => this.#asked.delete(key));
      this.#asked.set(key, asking);
      return asking;
    }
    try {
      return await asked;
    } catch (error) {
      // What was refused to the one who asked would be refused to all; that one may also have been stopped.
      if (error instanceof ProviderError && error.next === 'fail') throw error;
      signal.throwIfAborted();
      return this.#ask(key, ask);
    }
  }

  /**
   * Drops the token of this key.
   * @param isRefused of a token that was refused: one that has taken its place meanwhile stays. Default: any
   * @returns whether there was one to be dropped
   */
  forget(key: string, isRefused: (token: Token) => boolean = () => true): boolean {
    const kept = this.#kept.get(key);
    return kept !== undefined && isRefused(kept.token) && this.#kept.delete(key);
  }

  async #ask(key: string, ask: () => Promise<KeptToken<Token>>): Promise<Token> {
    const kept = await ask();
    if (this.#kept.size >= MOST_TOKENS) this.#kept.clear();
    this.#kept.set(key, kept);
    return kept.token;
  }
}
