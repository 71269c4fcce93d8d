import type { FastifyRequest } from 'fastify';

/** Whether the request's caller is still there to be answered, each time it is asked. One inside a batch always is. */
export function stillListens({ raw }: FastifyRequest): () => boolean {
  return () => !raw.socket.destroyed;
}
