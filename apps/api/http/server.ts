import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { fastify, type FastifyInstance } from 'fastify';
import helmet from 'helmet';
import { UserError, type ErrorCode } from '#domain';
import type { Logger } from '#telemetry';
import type { Tls } from '../settings.js';
import { inflateBodies } from './content-encoding.js';
import { enclosingBatch } from './enclosing-batch.js';
import { answerEntities } from './entity-answers.js';
import { graphErrorBody } from './graph-error.js';
import { sendError } from './graph-exception.filter.js';
import { parseJsonBody } from './json-body.js';
import {
  BODY_LIMITS,
  CONNECTION_LIMITS,
  HEADER_LIMIT,
  URL_LIMIT,
  checkHead,
  type BodyLimits,
} from './limits.js';
import type { IsTrustedProxy } from './link-base.js';
import { answerWithIds, newRequestId } from './request-ids.js';
import { traceRequests } from './trace-requests.js';
import { answerWrongMethods } from './wrong-methods.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Instead of {@link BODY_LIMITS}. */
    readonly bodyLimits?: BodyLimits;
  }
}

/** Milliseconds a client has for reading why its connection ends. */
const LINGER_MS = 2000;
const TLS_LIMITS = { handshakeTimeout: CONNECTION_LIMITS.headersTimeout };

const HTTP_LIMITS = {
  maxHeaderSize: HEADER_LIMIT,
  headersTimeout: CONNECTION_LIMITS.headersTimeout,
  connectionsCheckingInterval: CONNECTION_LIMITS.connectionsCheckingInterval,
};

/**
 * The HTTP server below Nest: limits, strict bodies, security headers, ids on every response, and Graph's error
 * body for what fails before a route is reached. A request's `ip` is what trusted proxies say of it.
 *
 * @param isTraced whether requests have spans
 */
export async function createServer(
  log: Logger,
  tls: Tls | null,
  isTrustedProxy: IsTrustedProxy,
  isTraced: boolean,
): Promise<FastifyInstance> {
  const server = fastify({
    ...(tls === null ? { http: HTTP_LIMITS } : { https: { ...HTTP_LIMITS, ...TLS_LIMITS, ...tls } }),
    bodyLimit: BODY_LIMITS.bytes,
    trustProxy: isTrustedProxy,
    genReqId: newRequestId,
    requestIdHeader: false,
    requestTimeout: CONNECTION_LIMITS.requestTimeout,
    connectionTimeout: CONNECTION_LIMITS.connectionTimeout,
    keepAliveTimeout: CONNECTION_LIMITS.keepAliveTimeout,
    maxRequestsPerSocket: CONNECTION_LIMITS.maxRequestsPerSocket,
    forceCloseConnections: 'idle',
    // What comes on a connection from before is served like any other.
    return503OnClosing: false,
    rewriteUrl: ({ url = '/' }) => plainDollar(url),
    routerOptions: { maxParamLength: URL_LIMIT, ignoreTrailingSlash: true },
    frameworkErrors: (error, request, reply) => sendError(error, request, reply, log),
    clientErrorHandler: (error, socket) => answerBrokenRequest(error, socket),
  });
  server.server.maxConnections = CONNECTION_LIMITS.maxConnections;
  // All are counted and none is dropped; there cannot be many in as few bytes.
  server.server.maxHeadersCount = 0;
  if (isTraced) traceRequests(server);
  answerWithIds(server);
  // Made once: Fastify's own plugin makes it anew for every request.
  const setSecurityHeaders = helmet({
    // No upgrade of plain HTTP: the quick start and in-house installations behind a proxy speak it.
    contentSecurityPolicy: { directives: { 'upgrade-insecure-requests': null } },
  });
  server.addHook('onRequest', (request, reply, done) =>
    setSecurityHeaders(request.raw, reply.raw, () => done()),
  );
  server.addHook('onRequest', async (request) => checkHead(request.url, request.raw.rawHeaders));
  inflateBodies(server);
  server.addHook('onRoute', (route) => {
    const limits = route.config?.bodyLimits;
    if (limits !== undefined) route.bodyLimit = limits.bytes;
  });
  server.addHook('onResponse', async (request, reply) => {
    log.info(
      {
        requestId: request.id,
        batch: enclosingBatch(),
        method: request.method,
        route: request.routeOptions.url,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
        tenant: request.caller?.identity.tenantId,
        appId: request.caller?.identity.appId,
        person: request.caller?.session?.person.id,
      },
      'request answered',
    );
  });
  acceptJsonOnly(server);
  answerWrongMethods(server);
  answerEntities(server);
  return server;
}

/**
 * The `$` of `$count` and `$batch` may be percent-encoded like any character of a segment (OData 4.01, Part 2, 2);
 * the router leaves the reserved ones as they came.
 */
function plainDollar(url: string): string {
  return url.replace(/^([^?]*)\/%24(?=(?:count|batch)\/?(?:\?|$))/, '$1/$$');
}

function acceptJsonOnly(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(
    /^application\/(?:[a-z0-9.+-]+\+)?json\b/i,
    { parseAs: 'buffer' },
    (request, body, done) => {
      try {
        const charset = /;\s*charset="?([^";\s]+)/i.exec(request.headers['content-type'] ?? '')?.[1];
        if (charset !== undefined && !/^utf-?8$/i.test(charset)) {
          throw new UserError('unsupportedMediaType', `charset "${charset}" is not supported; send UTF-8.`);
        }
        done(null, parseJsonBody(body as Buffer, request.routeOptions.config.bodyLimits ?? BODY_LIMITS));
      } catch (error) {
        done(error as Error, undefined);
      }
    },
  );
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => {
    // Cancel takes no body, whatever a client says about it.
    const ignored = request.routeOptions.url?.endsWith('ancelSecurityAction') === true || body.length === 0;
    const type = request.headers['content-type'] ?? 'none';
    done(
      ignored
        ? null
        : new UserError(
            'unsupportedMediaType',
            `Content-Type "${type}" is not supported; send application/json.`,
          ),
      undefined,
    );
  });
}

const CLIENT_ERRORS: Readonly<
  Record<string, { readonly status: number; readonly code: ErrorCode; readonly message: string }>
> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    code: 'headersTooLarge',
    message: `The request headers are larger than ${HEADER_LIMIT} bytes.`,
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    code: 'invalidRequest',
    message: 'The request did not arrive in time.',
  },
};

/** What is not even HTTP gets Graph's error body too, written to the socket by hand. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  const { code = '' } = error;
  // Whoever is not there any more, or never came to speak HTTP: where TLS has not begun, an answer would wait for ever.
  if (!socket.writable || !(code.startsWith('HPE_') || code === 'ERR_HTTP_REQUEST_TIMEOUT')) {
    socket.destroy();
    return;
  }
  const known = CLIENT_ERRORS[code] ?? {
    status: 400,
    code: 'invalidRequest' as const,
    message: 'The request is not valid HTTP.',
  };
  const requestId = newRequestId();
  const body = JSON.stringify(
    graphErrorBody(known.code, known.message, { requestId, clientRequestId: null }),
  );
  socket.end(
    `HTTP/1.1 ${known.status} ${STATUS_CODES[known.status]}\r\ncontent-type: application/json; charset=utf-8\r\nrequest-id: ${requestId}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
  // Time to read it; then the connection ends, also of a client that does not close its side.
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}
