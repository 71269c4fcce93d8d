import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';

/**
 * Lets a server take its leave of its callers. Each response of the time ends its connection, so that a client
 * that keeps connections opens its next one elsewhere, and none is cut with a request on its way.
 *
 * @returns begins, and resolves after `drainMs` of going on serving; requests that come later are served, too,
 *   until the server is closed
 */
export function drainable(server: FastifyInstance): (drainMs: number) => Promise<void> {
  let draining = false;
  server.addHook('onRequest', async (_request, reply) => {
    if (draining) reply.header('connection', 'close');
  });
  return async (drainMs) => {
    draining = true;
    await sleep(drainMs);
  };
}
