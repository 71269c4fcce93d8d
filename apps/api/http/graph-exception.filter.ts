import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '#telemetry';
import { answerTo, graphErrorBody } from './graph-error.js';
import { idsOf } from './request-ids.js';

/** Answers every failure of a route, a guard, a pipe or the body parser with Graph's error body. */
@Catch()
export class GraphExceptionFilter implements ExceptionFilter {
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    sendError(error, http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>(), this.#log);
  }
}

/** Sends the answer to a failure; defects are logged with their cause, callers see a general message. */
export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): void {
  const answer = answerTo(error);
  const ids = idsOf(request);
  if (answer.isDefect)
    log.error(
      { err: error, requestId: ids.requestId, method: request.method, route: request.routeOptions.url },
      'request failed',
    );
  if (reply.sent) return;
  void reply
    .status(answer.status)
    .headers({
      'request-id': ids.requestId,
      ...answer.headers,
      ...challengeOf(reply),
      'content-type': 'application/json; charset=utf-8',
    })
    .send(JSON.stringify(graphErrorBody(answer.code, answer.message, ids)));
}

/** A challenge that a part of the server chose itself stands. */
function challengeOf(reply: FastifyReply): Record<string, string> {
  const challenge = reply.getHeader('www-authenticate');
  return typeof challenge === 'string' ? { 'www-authenticate': challenge } : {};
}
