import type { FastifyReply, FastifyRequest } from 'fastify';

/**
 * Calls back once, when the caller of a request is gone or has its whole answer; at once where that is so already. An
 * answer tells of its end only while it has a connection: one that ended while it was found out who asks, or before the
 * answers to earlier requests on it were sent (HTTP/1.1 lets a client send several), tells nothing any more.
 */
export function whenLeft(request: FastifyRequest, reply: FastifyReply, left: () => void): void {
  const { socket } = request.raw;
  if (socket.destroyed || reply.raw.destroyed) {
    left();
    return;
  }
  const leave = (): void => {
    reply.raw.off('close', leave);
    socket.off('close', leave);
    left();
  };
  reply.raw.once('close', leave);
  socket.once('close', leave);
}
