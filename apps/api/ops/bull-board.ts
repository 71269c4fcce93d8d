import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { UserError, type HintPlace } from '#domain';
import type { BullActionQueue } from '#queue';
import type { Logger } from '#telemetry';
import { authorise } from '../auth.guard.js';
import type { Callers, KnownCaller } from '../callers.js';
import { sendError } from '../http/graph-exception.filter.js';

const PATH = '/ops/queues';

/** Where Bull Board shows a job. */
export function jobPath({ queue, id }: HintPlace): string {
  return `${PATH}/queue/${encodeURIComponent(queue)}/${encodeURIComponent(id)}`;
}

/**
 * Bull Board, read-only, for `Riposte.Operator` alone: its queues hold several tenants' jobs. It lives in a
 * scope of the server whose own hook authenticates every route below it, however the path is spelled.
 *
 * People come with a session of the console; who has none is led to where one signs in. Programs send a bearer token,
 * which a browser may send, too, as the password of HTTP Basic.
 */
export async function mountBullBoard(
  server: FastifyInstance,
  parts: { readonly queue: BullActionQueue; readonly callers: Callers; readonly log: Logger },
): Promise<void> {
  const board = new FastifyAdapter();
  board.setBasePath(PATH);
  createBullBoard({
    queues: parts.queue
      .dashboardQueues()
      .map(
        ({ queue, instance, goesFirst }) =>
          new BullMQAdapter(queue, { readOnlyMode: true, description: whatIsIn(instance, goesFirst) }),
      ),
    serverAdapter: board,
    options: { uiConfig: { boardTitle: 'Riposte queues' } },
  });
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
            reply.header('allow', 'GET, HEAD');
            throw new UserError('methodNotAllowed', 'The queues are read-only.');
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
        allowInlineAssets(reply);
        return undefined;
      });
      scope.setNotFoundHandler((_request, _reply) => {
        throw new UserError('itemNotFound', 'No such page.');
      });
      await scope.register(board.registerPlugin());
    },
    { prefix: PATH },
  );
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

/** Somebody who opens the page in a browser and has not signed in yet. */
function isVisit({ method, headers }: FastifyRequest): boolean {
  return (
    method === 'GET' && headers.authorization === undefined && /\btext\/html\b/.test(headers.accept ?? '')
  );
}

/** Bull Board's page configures itself in an inline script. */
function allowInlineAssets(reply: FastifyReply): void {
  void reply.header(
    'content-security-policy',
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; frame-ancestors 'none'; base-uri 'self'; form-action 'none'",
  );
}
