import { METHODS, validateHeaderName, validateHeaderValue } from 'node:http';
import type { FastifyRequest } from 'fastify';
import inject, { type Response } from 'light-my-request';
import { UserError } from '#domain';
import type { BatchAnswer } from './batch-answer.js';
import type { BatchRequestDto } from './batch.dto.js';

/**
 * Said by the connection or by proxies on the way, so never by the request in a batch: these are left out of its
 * headers, and those of the batch itself take their place.
 */
const OF_THE_CONNECTION =
  /^(?:host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|via|content-length|content-encoding|forwarded|x-forwarded-.*|x-real-ip|cookie|user-agent)$/;
const OF_THE_BATCH =
  /^(?:host|forwarded|x-forwarded-.*|x-real-ip|via|user-agent|authorization|client-request-id)$/;
/** Those of an answer that concern the connection or a browser; the batch's own answer has them. */
const NOT_SHOWN =
  /^(?:connection|keep-alive|date|transfer-encoding|content-length|content-security-policy|cross-origin-.*|origin-agent-cluster|referrer-policy|strict-transport-security|x-.*)$/;
/** As clients look for them: Graph's JavaScript client tells these apart by case. */
const SPELLING = new Map(
  [
    'Allow',
    'Cache-Control',
    'Content-Type',
    'ETag',
    'Location',
    'OData-EntityId',
    'Preference-Applied',
    'Retry-After',
    'WWW-Authenticate',
  ].map((name) => [name.toLowerCase(), name]),
);

type Headers = Readonly<Record<string, string>>;

/** A request of a batch in the form it goes through the server. */
export interface InnerRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly body: string | undefined;
}

/**
 * Turns a request of a batch into one that the server takes like any other: below `root`, as the caller of the
 * batch, from the batch's connection.
 *
 * @param root path of the version the batch was sent to, as `/beta`
 * @throws UserError saying what is wrong with this one request
 */
export function innerRequest(given: BatchRequestDto, batch: FastifyRequest, root: string): InnerRequest {
  const method = given.method.toUpperCase();
  if (!METHODS.includes(method) || method === 'CONNECT' || method === 'TRACE')
    throw new UserError('invalidRequest', `"${printable(given.method)}" is not a method of HTTP.`);
  const headers = headersOf(given.headers ?? {}, batch);
  const body = bodyOf(given.body, headers);
  return { method, url: urlOf(given.url, root), headers, body };
}

/** Sends it through the whole server, and puts the answer into the form of the batch. */
export async function send(id: string, request: InnerRequest, batch: FastifyRequest): Promise<BatchAnswer> {
  // Not by the server's own inject, which a server that is closing refuses.
  const response = await inject((incoming, outgoing) => batch.server.routing(incoming, outgoing), {
    method: request.method,
    url: request.url,
    headers: request.headers,
    // Unknown once the connection is gone. Left out it would be this machine's, which may be a trusted proxy.
    remoteAddress: batch.socket.remoteAddress ?? '0.0.0.0',
    ...(request.body === undefined ? {} : { payload: request.body }),
  });
  return {
    id,
    status: response.statusCode,
    headers: shownHeaders(response),
    body: shownBody(request, response),
  };
}

function urlOf(url: string, root: string): string {
  const wrong = (why: string): UserError =>
    new UserError('invalidRequest', `The url "${printable(url)}" ${why}`);
  if (/^[a-z][a-z0-9+.-]*:|^\/\//i.test(url))
    throw wrong(`has to be relative to ${root}, as "/security/securityActions".`);
  // oxlint-disable-next-line no-control-regex -- control characters are what is refused
  if (/[\u0000-\u001F\u007F#\\]/.test(url)) throw wrong('has a character that a URL cannot have.');
  const full = `http://batch.invalid${root}/${url.replace(/^\//, '')}`;
  const { pathname, search } = URL.canParse(full) ? new URL(full) : { pathname: '', search: '' };
  if (!pathname.startsWith(`${root}/`)) throw wrong(`leads out of ${root}.`);
  return `${pathname}${search}`;
}

function headersOf(given: object, batch: FastifyRequest): Headers {
  const own: Record<string, string> = {};
  for (const [given_name, value] of Object.entries(given)) {
    const name = given_name.toLowerCase();
    if (typeof value !== 'string' || !isHeader(name, value)) {
      throw new UserError('invalidRequest', `The header "${printable(given_name)}" is not one of HTTP.`);
    }
    if (name === 'authorization' && value !== batch.headers.authorization) {
      throw new UserError(
        'invalidRequest',
        "A request of a batch has the batch's own Authorization; leave the header out, or send it by itself.",
      );
    }
    if (!OF_THE_CONNECTION.test(name)) own[name] = value;
  }
  const ofTheBatch = Object.entries(batch.headers).filter(([name]) => OF_THE_BATCH.test(name));
  return {
    ...Object.fromEntries(ofTheBatch.map(([name, value]) => [name, [value ?? ''].flat().join(', ')])),
    ...own,
  };
}

function isHeader(name: string, value: string): boolean {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    return true;
  } catch {
    return false;
  }
}

function bodyOf(body: unknown, headers: Headers): string | undefined {
  if (body === undefined || body === null) return undefined;
  const type = headers['content-type'];
  if (type === undefined)
    throw new UserError('invalidRequest', 'A request with a body needs the header Content-Type.');
  if (typeof body !== 'object' && /^application\/(?:[a-z0-9.+-]+\+)?json\b/i.test(type))
    throw new UserError('invalidRequest', 'The body has to be a JSON object.');
  return JSON.stringify(body);
}

function shownHeaders(response: Response): Record<string, string> {
  return Object.fromEntries(
    Object.entries(response.headers)
      .filter(([name, value]) => value !== undefined && !NOT_SHOWN.test(name))
      .map(([name, value]) => [SPELLING.get(name) ?? name, [value].flat().join(', ')]),
  );
}

/** As JSON, which an answer in JSON is already. */
function shownBody(request: InnerRequest, response: Response): Buffer | null {
  const { statusCode: status, rawPayload } = response;
  if (request.method === 'HEAD' || status === 204 || status === 304 || rawPayload.length === 0) return null;
  const type = String(response.headers['content-type'] ?? '');
  // OData JSON Format 4.01, 19.2.
  if (/^application\/(?:[a-z0-9.+-]+\+)?json\b/i.test(type)) return rawPayload;
  return Buffer.from(
    JSON.stringify(/^text\//i.test(type) ? response.payload : rawPayload.toString('base64url')),
  );
}

/** Something of the caller's as it may stand in a message. */
function printable(text: string): string {
  return text.slice(0, 200).replaceAll(/[^\x20-\x7E]|["\\]/g, '?');
}
