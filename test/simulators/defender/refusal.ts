/** What Defender refuses a request with: a status and a code; the message is free text that nobody branches on. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** Seconds, for `Retry-After`. */
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}

export const badRequest = (code: string, message: string): Refusal => new Refusal(400, code, message);

export const notFound = (message: string): Refusal => new Refusal(404, 'ResourceNotFound', message);
