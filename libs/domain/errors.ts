/**
 * Failures by who must act: the caller (`UserError`), time (`OperationalError`), us (`DefectError`).
 * Each carries a stable `code`, which is what programs branch on; the message is for people.
 */

/** The stable codes of Graph's error body, with the HTTP status each is answered with. */
export const ERROR_STATUS = {
  invalidRequest: 400,
  unauthenticated: 401,
  accessDenied: 403,
  itemNotFound: 404,
  methodNotAllowed: 405,
  notAllowed: 409,
  requestTooLarge: 413,
  uriTooLong: 414,
  unsupportedMediaType: 415,
  idempotencyKeyReused: 422,
  failedDependency: 424,
  tooManyRequests: 429,
  headersTooLarge: 431,
  generalException: 500,
  outcomeUnknown: 500,
  serviceNotAvailable: 503,
} as const;
export type ErrorCode = keyof typeof ERROR_STATUS;

/** Base of the three families. `code` decides the HTTP status, see {@link ERROR_STATUS}. */
export abstract class RiposteError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The caller has to change something; repeating the same request cannot help. */
export class UserError extends RiposteError {}

/** Transient: the same request may succeed later. `retryAfterSeconds` is sent as `Retry-After`. */
export class OperationalError extends RiposteError {
  constructor(
    code: ErrorCode,
    message: string,
    readonly retryAfterSeconds: number,
    options?: ErrorOptions,
  ) {
    super(code, message, options);
  }
}

/** Ours: a bug or a broken installation. The message is logged, callers see a general one. */
export class DefectError extends RiposteError {
  constructor(message: string, options?: ErrorOptions) {
    super('generalException', message, options);
  }
}

/**
 * A write was sent and nobody can say whether it took effect. Answered as 500, which Graph SDKs do not
 * retry, and names the id to look for.
 */
export class OutcomeUnknownError extends RiposteError {
  /** @param options `next`: what to do, where that is not to look for the action */
  constructor(
    readonly actionId: string,
    {
      next = 'GET it before sending the request again: it may have been recorded.',
      ...options
    }: ErrorOptions & { readonly next?: string } = {},
  ) {
    super('outcomeUnknown', `The database did not confirm action ${actionId}. ${next}`, options);
  }
}

/** The installation is configured wrongly; the process must not start. Names the key to change. */
export class ConfigurationError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ConfigurationError';
  }
}
