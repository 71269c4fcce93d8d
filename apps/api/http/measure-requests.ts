import type { FastifyInstance } from 'fastify';
import type { Metrics } from '#telemetry';

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
/** What no route has: its path is whatever a stranger thinks of. */
const UNMATCHED = 'unmatched';
/** It lasts until its listener leaves. */
const LASTING = '/api/v1/events';

/** Measures each request by method, route and class of status: a few hundred series at most, whatever is asked for. */
export function measureRequests(server: FastifyInstance, metrics: Metrics): void {
  server.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? UNMATCHED;
    if (route !== LASTING)
      metrics.httpRequestSeconds.observe(
        reply.elapsedTime,
        METHODS.has(request.method) ? request.method : 'other',
        route,
        `${Math.floor(reply.statusCode / 100)}xx`,
      );
    done();
  });
}
