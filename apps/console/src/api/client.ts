import { ApiError, readApiError } from './api-error.ts';
import { hearServerTime } from './server-clock.ts';

/** What a request may carry. */
export interface RequestOptions {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** Milliseconds an answer may take: more than the server takes through an election of its database. */
const TIMEOUT_MS = 30_000;

let csrfToken: string | null = null;
let onSignedOut: () => void = () => undefined;

/** The session's token, which every unsafe request carries from now on; null: there is no session. */
export function setCsrfToken(token: string | null): void {
  csrfToken = token;
}

/** Called at each 401: the session has ended. */
export function whenSignedOut(listener: () => void): void {
  onSignedOut = listener;
}

/**
 * One request to the API, with the session's cookie and, where it changes something, its token.
 *
 * @param path from `/`, as `/api/v1/actions?top=50`
 * @returns the JSON of the answer; undefined of a 204
 * @throws ApiError whatever went wrong; of status 0 where the server cannot be reached
 */
export async function request<Answer>(path: string, options: RequestOptions = {}): Promise<Answer> {
  const { method = 'GET', body, headers, signal } = options;
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let response: Response;
  const sentAt = Date.now();
  try {
    response = await fetch(path, {
      method,
      credentials: 'same-origin',
      cache: 'no-store',
      // A redirect would lead somewhere that is not the API.
      redirect: 'error',
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(method === 'GET' || csrfToken === null ? {} : { 'x-csrf-token': csrfToken }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    const message = limit.aborted
      ? `The server did not answer within ${TIMEOUT_MS / 1000} seconds.`
      : 'The server cannot be reached. Check the network; the console continues by itself once the server answers.';
    throw new ApiError(message, { status: 0, code: 'offline' }, cause);
  }
  hearServerTime(response.headers.get('date'), sentAt, Date.now());
  if (!response.ok) {
    const error = await readApiError(response);
    if (error.status === 401 && path !== '/api/v1/session') onSignedOut();
    throw error;
  }
  if (response.status === 204) return undefined as Answer;
  try {
    return (await response.json()) as Answer;
  } catch (cause) {
    throw new ApiError(
      'The server’s answer could not be read.',
      { status: response.status, code: 'generalException', requestId: response.headers.get('request-id') },
      cause,
    );
  }
}

/**
 * The path and query of an absolute link of the API's, as `nextLink`: it may name another host than the one this page
 * came from, where a proxy is in between.
 */
export function pathOf(link: string): string {
  const { pathname, search } = new URL(link, window.location.origin);
  return `${pathname}${search}`;
}

/** A path with those of the parameters that have a value. */
export function withQuery(
  path: string,
  parameters: Readonly<Record<string, string | number | boolean | undefined>>,
): string {
  const query = new URLSearchParams(
    Object.entries(parameters).flatMap(([name, value]) =>
      value === undefined || value === '' ? [] : [[name, String(value)]],
    ),
  ).toString();
  return query === '' ? path : `${path}?${query}`;
}
