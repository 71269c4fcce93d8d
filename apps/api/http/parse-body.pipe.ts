import type { PipeTransform, Type } from '@nestjs/common';
import { objectOf, validated, withoutAnnotations } from './validated-body.js';

/** Turns a body into its DTO, by the rules on the DTO's properties. */
export class ParseBodyPipe<T extends object> implements PipeTransform<unknown, Promise<T>> {
  readonly #dto: Type<T>;
  readonly #what: string;

  /** @param what was to be sent, for the message about a body that is no object */
  constructor(dto: Type<T>, what: string) {
    this.#dto = dto;
    this.#what = what;
  }

  /** @throws UserError `invalidRequest` naming everything that is wrong */
  async transform(body: unknown): Promise<T> {
    return validated(this.#dto, withoutAnnotations(objectOf(body, this.#what)));
  }
}
