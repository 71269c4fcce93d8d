import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { INSTALLATION } from '#audit';
import { UserError, type HintPlace } from '#domain';
import type { BullActionQueue } from '#queue';
import type { Logger } from '#telemetry';
import { actorOf, type AuditTrail, type Doing } from '../audit/audit-trail.js';
import { authorise } from '../auth.guard.js';
import type { Callers, KnownCaller } from '../callers.js';
import { sendError } from '../http/graph-exception.filter.js';
import { URL_LIMIT } from '../http/limits.js';
import { isSameOrigin, type ConsoleSites } from '../session/console-site.js';

const PATH = '/ops/queues';

/** What the page loads is its own, but for fonts that it asks another site for; it does without them. */
const withoutOutsideFonts = (page: string): string =>
  page.replaceAll(/<link[^<>]*>/g, (link) => (link.includes('fonts.googleapis.com') ? '' : link));

/** Headers that are the server's own to set. */
const OF_THE_CONNECTION = new Set([
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'transfer-encoding',
]);

/** What configures the page is data, and no script. Its styles are partly written into its elements. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Where Bull Board shows a job. */
export function jobPath({ queue, id }: HintPlace): string {
  return `${PATH}/queue/${encodeURIComponent(queue)}/${encodeURIComponent(id)}`;
}

/**
 * Bull Board, read-only unless `writable`, for `Riposte.Operator` alone: its queues hold several tenants' jobs. It lives in a
 * scope of the server whose own hook authenticates every route below it, however the path is spelled.
 *
 * People come with a session of the console; who has none is led to where one signs in. Programs send a bearer token,
 * which a browser may send, too, as the password of HTTP Basic.
 */
export async function mountBullBoard(
  server: FastifyInstance,
  parts: {
    readonly queue: BullActionQueue;
    readonly callers: Callers;
    readonly sites: ConsoleSites;
    readonly writable: boolean;
    readonly trail: AuditTrail;
    readonly log: Logger;
  },
): Promise<void> {
  let board: Promise<FastifyInstance> | undefined;
  await server.register(
    async (scope) => {
      scope.addHook('onRoute', (route) => {
        route.config = { ...route.config, ownAuthentication: true };
      });
      scope.addHook('onRequest', async (request, reply) => {
        try {
          request.caller = await authenticateOperator(request, reply, parts.callers);
          authorise(request.caller, 'operate');
          if (request.method !== 'GET' && request.method !== 'HEAD') {
            if (!parts.writable) {
              reply.header('allow', 'GET, HEAD');
              throw new UserError('methodNotAllowed', 'The queues are read-only.');
            }
            requireBoard(request, parts.sites);
            await parts.trail.note(actorOf(request), changing(request));
          }
        } catch (error) {
          if (error instanceof UserError && error.code === 'unauthenticated' && isVisit(request))
            return reply
              .removeHeader('www-authenticate')
              .redirect(`/sign-in?returnTo=${encodeURIComponent(request.url)}`);
          // Thrown on, it would end in the board's own error handler, which answers 500.
          sendError(error, request, reply, parts.log);
          return reply;
        }
        reply.header('content-security-policy', CONTENT_SECURITY_POLICY);
        return undefined;
      });
      scope.setErrorHandler((error, request, reply) => sendError(error, request, reply, parts.log));
      for (const url of ['/', '/*']) {
        scope.route({
          method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
          url,
          handler: async (request, reply) => {
            board ??= openBoard(parts.queue, parts.writable).catch((error: unknown) => {
              board = undefined;
              throw error;
            });
            return pass(request, reply, await board);
          },
        });
      }
    },
    { prefix: PATH },
  );
}

/** The board, on a server of its own that listens nowhere: most processes are never asked for it, so it is loaded when it is. */
async function openBoard(queue: BullActionQueue, writable: boolean): Promise<FastifyInstance> {
  const [{ createBullBoard }, { BullMQAdapter }, { FastifyAdapter }] = await Promise.all([
    import('@bull-board/api'),
    import('@bull-board/api/bullMQAdapter'),
    import('@bull-board/fastify'),
  ]);
  const adapter = new FastifyAdapter();
  adapter.setBasePath(PATH);
  createBullBoard({
    queues: queue.dashboardQueues().map(
      ({ queue: one, instance, goesFirst }) =>
        new BullMQAdapter(one, {
          readOnlyMode: !writable,
          description: whatIsIn(instance, goesFirst),
        }),
    ),
    serverAdapter: adapter,
    options: {
      uiConfig: {
        boardTitle: 'Riposte queues',
        miscLinks: [{ text: 'Console', url: '/' }],
        hideDocsLink: true,
      },
    },
  });
  const server = fastify({ routerOptions: { ignoreTrailingSlash: true, maxParamLength: URL_LIMIT } });
  server.setNotFoundHandler((_request, reply) => reply.code(404).send());
  await server.register(adapter.registerPlugin(), { prefix: PATH });
  await server.ready();
  return server;
}

/** What the board answers to a request that may see it. */
async function pass(request: FastifyRequest, reply: FastifyReply, board: FastifyInstance): Promise<unknown> {
  const { 'content-length': _length, 'transfer-encoding': _encoding, ...headers } = request.headers;
  const { body } = request;
  const {
    statusCode,
    headers: answered,
    rawPayload,
  } = await board.inject({
    method: request.method as 'GET',
    url: request.url,
    headers,
    ...(body === undefined || body === null ? {} : { payload: body }),
  });
  if (statusCode === 404 && rawPayload.length === 0 && request.method !== 'HEAD')
    throw new UserError('itemNotFound', 'No such page.');
  for (const [name, value] of Object.entries(answered))
    if (value !== undefined && !OF_THE_CONNECTION.has(name)) reply.header(name, value);
  const isPage = String(answered['content-type']).startsWith('text/html');
  return reply.code(statusCode).send(isPage ? withoutOutsideFonts(rawPayload.toString('utf8')) : rawPayload);
}

/** For people, on the queue's page: each instance has two, and what has ended is in neither. */
function whatIsIn(instance: string, goesFirst: boolean): string {
  return goesFirst
    ? `What goes before the starts at ${instance}: cancels, undoing, and what has begun; what is Delayed is asked about then.`
    : `What waits to be started at ${instance}. A job goes once it was looked at; how actions end is told by the API.`;
}

/** By the token, or by the session of the console where there is no `Authorization`. */
async function authenticateOperator(
  request: FastifyRequest,
  reply: FastifyReply,
  callers: Callers,
): Promise<KnownCaller> {
  const { authorization } = request.headers;
  const found = authorization === undefined ? await callers.bySession(request) : null;
  if (found !== null) return found.caller;
  const given = authorization ?? '';
  const basic = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(given)?.[1];
  const password =
    basic === undefined
      ? undefined
      : Buffer.from(basic, 'base64')
          .toString('utf8')
          .replace(/^[^:]*:/, '');
  try {
    return await callers.byToken(password === undefined ? given : `Bearer ${password}`);
  } catch (error) {
    // So that a browser asks for name (any) and password (the token).
    if (error instanceof UserError && error.code === 'unauthenticated') {
      void reply.header(
        'www-authenticate',
        'Basic realm="Riposte queues: any name, an operator token as password", charset="UTF-8"',
      );
    }
    throw error;
  }
}

/**
 * What changes a queue comes from a page of this site: browsers send cookies, and the password of HTTP Basic, with what
 * others make them send, and the board adds no token of its own to what it sends. A bearer token nobody sends for others.
 */
function requireBoard(request: FastifyRequest, sites: ConsoleSites): void {
  if (/^Bearer /i.test(request.headers.authorization ?? '')) return;
  if (!isSameOrigin(request, sites.of(request)))
    throw new UserError('accessDenied', 'The request was not sent by a page of the queues.');
}

/** Job and queue are in the path alone. */
function changing({ method, url, caller }: FastifyRequest): Doing {
  const path = url.replace(/[?#].*$/s, '').slice(PATH.length, PATH.length + 256);
  const tenantId = caller?.identity.tenantId ?? '';
  return {
    chain: INSTALLATION,
    kind: 'queues.changed',
    details: { method, path, tenantId },
  };
}

/** Somebody who opens the page in a browser and has not signed in yet. */
function isVisit({ method, headers }: FastifyRequest): boolean {
  return (
    method === 'GET' && headers.authorization === undefined && /\btext\/html\b/.test(headers.accept ?? '')
  );
}
