import type { Json, StoredParameters } from './action.js';
import type { ErrorCode } from './errors.js';

/** Something that only a plugin can tell. The API has no credentials of vendors, so a worker asks for it. */
export interface Question {
  readonly id: string;
  readonly kind: 'plan' | 'observe' | 'health';
  /** Id of the provider instance that is asked. */
  readonly instance: string;
  /** Null for what is about no action. */
  readonly about:
    | (StoredParameters & {
        readonly tenantId: string;
        /** The manifest's name. */
        readonly actionName: string;
      })
    | null;
}

export type QuestionAnswer =
  | { readonly kind: 'answered'; readonly value: Json }
  /** Nothing the question is repeated for: `code` is a `UserError`'s. */
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly message: string }
  /** It may be answered later. */
  | { readonly kind: 'failed'; readonly message: string };

/** Questions on their way from the API to a worker and back. None is kept: each is gone within minutes. */
export interface Questions {
  ask(question: Question): Promise<void>;
  /** The answer, which is gone then; null: there is none yet. */
  collect(id: string): Promise<QuestionAnswer | null>;
  /** Nobody waits for it any more. */
  withdraw(id: string): Promise<void>;
  /**
   * The oldest question at one of these instances that nobody took, no older than `withinMs`; null: there is none. What
   * it is about is off the record from now on.
   */
  take(instances: readonly string[], withinMs: number): Promise<Question | null>;
  answer(id: string, answer: QuestionAnswer): Promise<void>;
}

/** A question, or an answer, that is there now (by its id), or workers that cannot keep up with an instance (by its id). */
export type Rung = 'asked' | 'answered' | 'overloaded';

/** What other processes do well to hear of at once, and can do without. Best effort. */
export interface Bell {
  /** Never throws, and waits for a fraction of a second at most. */
  ring(about: Rung, id: string): Promise<boolean>;
  listen(about: Rung, heard: (id: string) => void): void;
}
