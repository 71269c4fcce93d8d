import type { PipeTransform, Type } from '@nestjs/common';
import { objectOf, validated, withoutAnnotations } from './validated-body.js';

/** Turns a body into its DTO, by the rules on the DTO's properties. */
export class ParseBodyPipe<T extends object> implements PipeTransform<unknown, Promise<T>> {
  readonly #dto: Type<T>;
  readonly #what: string;
  readonly #ignored: ReadonlySet<string>;

  /**
   * @param what was to be sent, for the message about a body that is no object
   * @param ignored properties that may be there and say nothing. Default none
   */
  constructor(dto: Type<T>, what: string, ignored: ReadonlySet<string> = new Set()) {
    this.#dto = dto;
    this.#what = what;
    this.#ignored = ignored;
  }

  /** @throws UserError `invalidRequest` naming everything that is wrong */
  async transform(body: unknown): Promise<T> {
    const given = Object.entries(withoutAnnotations(objectOf(body, this.#what)));
    return validated(this.#dto, Object.fromEntries(given.filter(([key]) => !this.#ignored.has(key))));
  }
}
