import type { OpenAPIObject } from '@nestjs/swagger';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isLoopbackAddress, isLoopbackUrl } from '#auth';
import type { RateLimit } from '#domain';
import type { Logger, MetricsRegistry } from '#telemetry';
import { authorise } from '../auth.guard.js';
import type { Callers } from '../callers.js';
import { limitCaller } from '../http/caller-limit.js';
import { sendError } from '../http/graph-exception.filter.js';
import { isHost } from '../http/link-base.js';

/** Named once in the document, where the main port has it. */
export const METRICS_PATHS: OpenAPIObject['paths'] = {
  '/metrics': {
    get: {
      operationId: 'getMetrics',
      tags: ['health'],
      summary: "The process's metrics, for Prometheus",
      description:
        'From this machine nothing is asked for; everybody else needs an access token with `Riposte.Operator`. It is not here where metrics have a port of their own (`metrics.port`).',
      responses: {
        200: {
          description: 'As docs/metrics.md lists them.',
          content: { 'text/plain': { schema: { type: 'string' } } },
        },
        401: { description: 'It was asked for from elsewhere, without an access token.' },
        403: { description: 'The access token carries no role that is enough.' },
      },
    },
  },
};

export interface MetricsRouteParts {
  readonly registry: MetricsRegistry;
  readonly callers: Callers;
  /** Null: nobody is limited. */
  readonly rateLimit: RateLimit | null;
  /** Somebody passes requests on to this port: then none is known to come from this machine. */
  readonly isBehindProxy: boolean;
  readonly log: Logger;
}

/** `/metrics` on the main port: open to this machine, and to operators. */
export async function mountMetrics(server: FastifyInstance, parts: MetricsRouteParts): Promise<void> {
  await server.register(async (scope) => {
    scope.setErrorHandler((error, request, reply) => sendError(error, request, reply, parts.log));
    scope.get('/metrics', { config: { ownAuthentication: true } }, async (request, reply) => {
      void reply.header('cache-control', 'no-store');
      if (parts.isBehindProxy || !isFromHere(request)) {
        request.caller = await parts.callers.byToken(request.headers.authorization);
        if (parts.rateLimit !== null) await limitCaller(parts.rateLimit, request.caller, reply);
        authorise(request.caller, 'operate');
      }
      return reply.type(parts.registry.contentType).send(await parts.registry.text());
    });
  });
}

/** What a proxy on this machine adds, most of them at least. */
const FORWARDED = /^(?:forwarded|via|x-forwarded-.*|x-real-ip)$/;

/**
 * Whether a program on this machine sent it by itself: nobody forwarded it, and it is not the page of a stranger whose name
 * stands for this machine now, which a browser here would ask by that name.
 */
function isFromHere({ socket, headers }: FastifyRequest): boolean {
  return (
    isLoopbackAddress(socket.remoteAddress ?? '') &&
    !Object.keys(headers).some((name) => FORWARDED.test(name)) &&
    isHost(headers.host ?? '') &&
    isLoopbackUrl(new URL(`http://${headers.host}`))
  );
}
