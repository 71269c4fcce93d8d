/** What the API, or the network, answered instead of what was asked for. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** HTTP's; 0: there was no answer at all. */
  readonly status: number;
  /** Graph's, as `accessDenied`; `offline` where there was no answer, `generalException` where it could not be read. */
  readonly code: string;
  /** To find the request in the server's log; null where it never got there. */
  readonly requestId: string | null;
  /** Seconds, where the server said when to ask again. */
  readonly retryAfter: number | null;

  constructor(
    message: string,
    facts: { status: number; code: string; requestId?: string | null; retryAfter?: number | null },
    cause?: unknown,
  ) {
    super(message, { cause });
    this.status = facts.status;
    this.code = facts.code;
    this.requestId = facts.requestId ?? null;
    this.retryAfter = facts.retryAfter ?? null;
  }
}

/** Reads Graph's error body; of anything else, as a proxy's page, it says so. */
export async function readApiError(response: Response): Promise<ApiError> {
  const seconds = Number(response.headers.get('retry-after') ?? 'none');
  const facts = {
    status: response.status,
    requestId: response.headers.get('request-id'),
    retryAfter: Number.isFinite(seconds) ? seconds : null,
  };
  try {
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    return new ApiError(error.message, { ...facts, code: error.code });
  } catch (cause) {
    const message = `The server answered ${response.status}${response.statusText ? ` (${response.statusText})` : ''}, without saying why.`;
    return new ApiError(message, { ...facts, code: 'generalException' }, cause);
  }
}
