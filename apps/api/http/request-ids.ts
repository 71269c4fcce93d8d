import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isGuid } from '#domain';
import type { RequestIds } from './graph-error.js';

/** A new `request-id`. */
export function newRequestId(): string {
  return randomUUID();
}

/** The ids of a request. A `client-request-id` that is no GUID is not repeated anywhere. */
export function idsOf(request: FastifyRequest): RequestIds {
  return {
    requestId: request.id,
    clientRequestId: clientRequestIdOf(request.headers['client-request-id']),
  };
}

/** The value of a `client-request-id`, or null where it is no GUID. */
export function clientRequestIdOf(value: unknown): string | null {
  return typeof value === 'string' && isGuid(value) ? value : null;
}

/** Puts `request-id`, and the caller's own id if it sent one, on every response. */
export function answerWithIds(server: FastifyInstance): void {
  server.addHook('onRequest', async (request, reply) => {
    const { requestId, clientRequestId } = idsOf(request);
    reply.header('request-id', requestId);
    if (clientRequestId !== null) reply.header('client-request-id', clientRequestId);
  });
}
