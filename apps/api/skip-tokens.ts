import { createHmac, timingSafeEqual } from 'node:crypto';
import { UserError } from '#domain';

/** What a position in a list is told by. `KEPT_IN_ACTION`: too long for an address, to be read from the action. */
export type PositionValue = string | number | boolean | Date | null | typeof KEPT_IN_ACTION;
export const KEPT_IN_ACTION = Symbol('kept in the action');

/** The place behind an action in a list: the values it is ordered by, then its id. */
export interface TokenPosition {
  readonly values: readonly PositionValue[];
  readonly id: string;
}

/** A time is its milliseconds in an object, what is kept in the action an empty object. */
type Written = string | number | boolean | null | { readonly ms?: number };

const MAC_BYTES = 32;

/**
 * Makes and reads skip tokens: opaque, signed, and good for the very question they were made for. They carry no
 * tenancy; every read adds the caller's own.
 */
export class SkipTokens {
  /** `key`: 32 bytes, the same in every process that may get a token back. */
  constructor(private readonly key: Buffer) {}

  /** `question`: what may not change from page to page, such as the filter and the order. */
  issue({ values, id }: TokenPosition, question: readonly (string | null)[]): string {
    const payload = Buffer.from(JSON.stringify([id, ...values.map(written)]));
    return Buffer.concat([this.#mac(payload, question), payload]).toString('base64url');
  }

  /**
   * Reads what {@link issue} made for the same question.
   * @throws UserError `invalidRequest` that calls the option `name`, and the link it comes from `link`
   */
  read(
    token: string,
    question: readonly (string | null)[],
    { name, link }: { readonly name: string; readonly link: string },
  ): TokenPosition {
    const bytes = Buffer.from(token, 'base64url');
    const payload = bytes.subarray(MAC_BYTES);
    if (
      // Node reads more than one spelling of the same bytes.
      bytes.toString('base64url') !== token ||
      bytes.length <= MAC_BYTES ||
      !timingSafeEqual(bytes.subarray(0, MAC_BYTES), this.#mac(payload, question))
    ) {
      throw new UserError(
        'invalidRequest',
        `${name} is not one of ours for this list: follow ${link} as it is, or begin again without ${name}.`,
      );
    }
    // The signature says that this is what `issue` wrote.
    const [id, ...values] = JSON.parse(payload.toString()) as [string, ...Written[]];
    return { id, values: values.map(valueOf) };
  }

  #mac(payload: Buffer, question: readonly (string | null)[]): Buffer {
    const asked = Buffer.from(JSON.stringify(question));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(asked.length);
    return createHmac('sha256', this.key).update(length).update(asked).update(payload).digest();
  }
}

function written(value: PositionValue): Written {
  if (value === KEPT_IN_ACTION) return {};
  return value instanceof Date ? { ms: value.getTime() } : value;
}

function valueOf(value: Written): PositionValue {
  if (typeof value !== 'object' || value === null) return value;
  return value.ms === undefined ? KEPT_IN_ACTION : new Date(value.ms);
}
