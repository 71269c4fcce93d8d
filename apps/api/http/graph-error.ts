import { ERROR_STATUS, OperationalError, RiposteError, type ErrorCode } from '#domain';

/** The ids a response and its error body carry. */
export interface RequestIds {
  readonly requestId: string;
  readonly clientRequestId: string | null;
}

/** Microsoft Graph's error body. See https://learn.microsoft.com/graph/errors. */
export interface GraphErrorBody {
  readonly error: {
    readonly code: ErrorCode;
    readonly message: string;
    readonly innerError: {
      readonly date: string;
      readonly 'request-id': string;
      readonly 'client-request-id': string | null;
    };
  };
}

export interface GraphErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly code: ErrorCode;
  readonly message: string;
  /** True when it is ours to look at. */
  readonly isDefect: boolean;
}

const CODE_BY_STATUS = new Map<number, ErrorCode>([
  [400, 'invalidRequest'],
  [401, 'unauthenticated'],
  [403, 'accessDenied'],
  [404, 'itemNotFound'],
  [405, 'methodNotAllowed'],
  [413, 'requestTooLarge'],
  [414, 'uriTooLong'],
  [415, 'unsupportedMediaType'],
  [429, 'tooManyRequests'],
  [431, 'headersTooLarge'],
]);

/** The one place that maps failures, ours, Nest's and Fastify's, to what a caller is told. */
export function answerTo(error: unknown): GraphErrorAnswer {
  if (error instanceof RiposteError) {
    const isDefect = error.code === 'generalException';
    return {
      status: ERROR_STATUS[error.code],
      headers: headersFor(error),
      code: error.code,
      message: isDefect ? GENERAL_MESSAGE : error.message,
      isDefect,
    };
  }
  const status = statusOf(error);
  const code =
    CODE_BY_STATUS.get(status) ?? (status >= 400 && status < 500 ? 'invalidRequest' : 'generalException');
  const isDefect = code === 'generalException';
  if (status === 404) return { status, headers: {}, code, message: NO_SUCH_ADDRESS, isDefect };
  const message = isDefect || !(error instanceof Error) ? GENERAL_MESSAGE : error.message;
  return { status: ERROR_STATUS[code], headers: {}, code, message, isDefect };
}

/** Renders the body. */
export function graphErrorBody(code: ErrorCode, message: string, ids: RequestIds): GraphErrorBody {
  return {
    error: {
      code,
      message,
      innerError: {
        date: new Date().toISOString(),
        'request-id': ids.requestId,
        'client-request-id': ids.clientRequestId,
      },
    },
  };
}

const GENERAL_MESSAGE = 'Something went wrong on our side. The request-id finds it in the log.';

/** The router's own says no more than the request did. What a route does not find is a `UserError`. */
const NO_SUCH_ADDRESS =
  'Nothing is served at this address. The Graph API begins with /beta or /v1.0, the native one with /api/v1; all of it is shown at /docs.';

function headersFor(error: RiposteError): Readonly<Record<string, string>> {
  if (error instanceof OperationalError) return { 'retry-after': String(error.retryAfterSeconds) };
  if (error.code === 'unauthenticated') return { 'www-authenticate': 'Bearer realm="riposte"' };
  return {};
}

function statusOf(error: unknown): number {
  if (typeof error !== 'object' || error === null) return 500;
  if ('getStatus' in error && typeof error.getStatus === 'function')
    return Number((error.getStatus as () => unknown)());
  return 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
}
