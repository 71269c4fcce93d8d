import type { FastifyInstance } from 'fastify';

/**
 * The routes that are registered on the server from now on, as `GET /health/live`: what is really served, whatever the
 * documentation says.
 */
export function servedRoutes(server: FastifyInstance): readonly string[] {
  const routes: string[] = [];
  server.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) routes.push(`${one} ${url}`);
  });
  return routes;
}
