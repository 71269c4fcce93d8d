import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import helmet from '@fastify/helmet';
import { fastify, type FastifyInstance } from 'fastify';
import { UserError, type ErrorCode } from '#domain';
import type { Logger } from '#telemetry';
import type { Tls } from '../settings.js';
import { graphErrorBody } from './graph-error.js';
import { sendError } from './graph-exception.filter.js';
import { parseJsonBody } from './json-body.js';
import { answerWrongMethods } from './wrong-methods.js';
import { answerWithIds, newRequestId } from './request-ids.js';
import { URL_LIMIT } from './url-limit.js';

/** Bytes of a body. */
const BODY_LIMIT = 64 * 1024;
const HEADER_LIMIT = 16 * 1024;
const HTTP_LIMITS = {
  maxHeaderSize: HEADER_LIMIT,
  headersTimeout: 10_000,
  connectionsCheckingInterval: 2000,
};

/**
 * The HTTP server below Nest: limits, strict bodies, security headers, ids on every response, and Graph's error
 * body for what fails before a route is reached.
 */
export async function createServer(log: Logger, tls: Tls | null): Promise<FastifyInstance> {
  const server = fastify({
    ...(tls === null ? { http: HTTP_LIMITS } : { https: { ...HTTP_LIMITS, ...tls } }),
    bodyLimit: BODY_LIMIT,
    genReqId: newRequestId,
    requestIdHeader: false,
    requestTimeout: 20_000,
    connectionTimeout: 0,
    keepAliveTimeout: 5000,
    forceCloseConnections: 'idle',
    // What comes on a connection from before is served like any other.
    return503OnClosing: false,
    routerOptions: { maxParamLength: URL_LIMIT, ignoreTrailingSlash: true },
    frameworkErrors: (error, request, reply) => sendError(error, request, reply, log),
    clientErrorHandler: (error, socket) => answerBrokenRequest(error, socket),
  });
  answerWithIds(server);
  server.addHook('onRequest', async (request) => {
    if (request.url.length > URL_LIMIT)
      throw new UserError('uriTooLong', `The URL is longer than ${URL_LIMIT} characters.`);
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
      throw new UserError(
        'unsupportedMediaType',
        `Content-Encoding "${encoding}" is not supported; send the body as it is.`,
      );
    }
  });
  server.addHook('onResponse', async (request, reply) => {
    log.info(
      {
        requestId: request.id,
        method: request.method,
        route: request.routeOptions.url,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
        tenant: request.identity?.tenantId,
        appId: request.identity?.appId,
      },
      'request answered',
    );
  });
  acceptJsonOnly(server);
  answerWrongMethods(server);
  await server.register(helmet, {
    // No upgrade of plain HTTP: the quick start and in-house installations behind a proxy speak it.
    contentSecurityPolicy: { directives: { 'upgrade-insecure-requests': null } },
  });
  return server;
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
        done(null, parseJsonBody(body as Buffer));
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
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const known = CLIENT_ERRORS[error.code ?? ''] ?? {
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
}
