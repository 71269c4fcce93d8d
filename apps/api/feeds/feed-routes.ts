import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '#telemetry';
import { answerTo } from '../http/graph-error.js';
import { FeedRefusal } from './feed-refusal.js';
import type { Feeds } from './feeds.js';

interface FeedRoute {
  Params: { readonly tenant: string; readonly list: string };
}

/** What a cache on the way may do: keep it for its owner, and ask each time. */
const CACHED = { 'cache-control': 'private, no-cache' } as const;

/**
 * The feeds. Firewalls are plain readers: they get text or a status, of which any but 200 and 304 leaves them with the
 * list they have. So these routes live in a scope with an error handler of its own.
 */
export async function mountFeeds(server: FastifyInstance, feeds: Feeds, log: Logger): Promise<void> {
  await server.register(async (scope) => {
    scope.setErrorHandler((error, request, reply) => answerError(error, request, reply, log));
    scope.get<FeedRoute>('/feeds/:tenant/:list.txt', async (request, reply) => {
      const { tenant, list } = request.params;
      const { content, since, isKnown } = await feeds.fetch({
        tenant,
        file: list,
        authorization: request.headers.authorization,
        address: request.ip,
        userAgent: request.headers['user-agent'] ?? null,
        isHead: request.method === 'HEAD',
        has: (etag) => names(request.headers['if-none-match'], etag),
      });
      void reply.headers({ ...CACHED, etag: content.etag, 'last-modified': since.toUTCString() });
      if (isKnown) return reply.code(304).send();
      return reply.type('text/plain; charset=utf-8').send(content.text);
    });
  });
}

function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): void {
  const told = { requestId: request.id, route: request.routeOptions.url, address: request.ip };
  const { status, headers, message } = error instanceof FeedRefusal ? refused(error) : answerTo(error);
  if (status === 500) log.error({ ...told, err: error }, 'feed request failed');
  else log.info({ ...told, status, reason: message }, 'feed refused');
  if (reply.sent) return;
  void reply
    .status(status)
    .headers({ ...headers, 'cache-control': 'no-store', 'content-type': 'text/plain; charset=utf-8' })
    .send(`${message}\n`);
}

function refused({ status, message, retryAfterSeconds }: FeedRefusal): {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly message: string;
} {
  const headers = {
    ...(status === 401 ? { 'www-authenticate': 'Basic realm="riposte feeds", charset="UTF-8"' } : {}),
    ...(retryAfterSeconds === null ? {} : { 'retry-after': String(retryAfterSeconds) }),
  };
  return { status, headers, message };
}

/** Whether an `If-None-Match` names the tag (RFC 9110, 13.1.2); a proxy may have made it a weak one. */
function names(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  return header.trim() === '*' || header.match(/"[^"]*"/g)?.includes(tag) === true;
}
