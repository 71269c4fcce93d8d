/** The error codes of RFC 6749 §5.2 that apply here, and what this server adds to them, with their HTTP status. */
const STATUS = {
  invalid_request: 400,
  invalid_client: 401,
  unauthorized_client: 400,
  unsupported_grant_type: 400,
  invalid_scope: 400,
  /** As Entra says it of a path's tenant. */
  invalid_tenant: 400,
  /** Entra's word, for 429 and 503: RFC 6749 has none at this endpoint. */
  temporarily_unavailable: 503,
  server_error: 500,
} as const;
export type OAuthErrorCode = keyof typeof STATUS;

export interface OAuthErrorOptions extends ErrorOptions {
  /** Default: the code's. */
  readonly status?: number;
  readonly retryAfterSeconds?: number;
  /** True: the client authenticated by a header, and is told which it may (RFC 6749 §5.2). */
  readonly challenge?: boolean;
}

/** A refusal in OAuth's own shape. The message is for the people who run the client: it becomes `error_description`. */
export class OAuthError extends Error {
  readonly status: number;
  readonly retryAfterSeconds: number | null;
  readonly challenge: boolean;

  constructor(
    readonly code: OAuthErrorCode,
    message: string,
    options: OAuthErrorOptions = {},
  ) {
    super(message, options);
    this.name = 'OAuthError';
    this.status = options.status ?? STATUS[code];
    this.retryAfterSeconds = options.retryAfterSeconds ?? null;
    this.challenge = options.challenge ?? false;
  }
}
