import { UserError } from '#domain';

/** How large a JSON request body may be. */
export interface BodyLimits {
  /** Bytes, after inflating. */
  readonly bytes: number;
  /** Objects and arrays within each other. */
  readonly depth: number;
  /** Properties of all objects together. */
  readonly keys: number;
  /** Objects, arrays, texts, numbers, … together: what is checked costs by their number, not by their bytes. */
  readonly values: number;
}

/** Of a request, unless its route says otherwise. */
export const BODY_LIMITS: BodyLimits = { bytes: 64 * 1024, depth: 20, keys: 500, values: 1000 };

/** Bytes of a request's line and headers. */
export const HEADER_LIMIT = 16 * 1024;
const MOST_HEADERS = 64;
/** Characters of a URL. */
export const URL_LIMIT = 4096;

/** Milliseconds, and counts, that keep a slow or greedy client from the others. */
export const CONNECTION_LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 20_000,
  connectionsCheckingInterval: 2000,
  keepAliveTimeout: 5000,
  /**
   * Nothing read or written for so long: a client that does not take its answer. Longer than any answer takes; Node
   * looks twice, so that such a client is let go after one to two times this.
   */
  connectionTimeout: 40_000,
  maxRequestsPerSocket: 1000,
  /** Far above what clients need; a flood beyond it is turned away before the process runs out of memory or files. */
  maxConnections: 10_000,
} as const;

/**
 * Holds a request's line and headers to their limits. Node checks the bytes of those that come over a socket,
 * and drops headers beyond a count without a word; a request within a batch has seen no socket at all.
 *
 * @param rawHeaders names and values, one after the other
 * @throws UserError `uriTooLong`, `headersTooLarge`
 */
export function checkHead(url: string, rawHeaders: readonly string[]): void {
  if (url.length > URL_LIMIT)
    throw new UserError('uriTooLong', `The URL is longer than ${URL_LIMIT} characters.`);
  if (rawHeaders.length > 2 * MOST_HEADERS)
    throw new UserError('headersTooLarge', `The request has more than ${MOST_HEADERS} headers.`);
  if (rawHeaders.reduce((sum, text) => sum + text.length, 0) > HEADER_LIMIT)
    throw new UserError('headersTooLarge', `The request headers are larger than ${HEADER_LIMIT} bytes.`);
}
