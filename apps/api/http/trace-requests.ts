import type { FastifyInstance } from 'fastify';
import { beginServerSpan, type ServerSpan } from '#telemetry';
import { enclosingBatch } from './enclosing-batch.js';

/** What callers ask for: not probes, pages and their files, nor streams, which last for hours. */
const TRACED = /^\/(?:beta|v1\.0|api)\/(?!v1\/events$)/;

/**
 * Gives each request for the Graph surface or the native API a span, in its caller's trace where it names one; a request
 * of a batch is part of the batch. To be called before other hooks are added: what they do, and log, is part of it.
 */
export function traceRequests(server: FastifyInstance): void {
  const spans = new WeakMap<object, ServerSpan>();
  server.addHook('onRequest', (request, reply, done) => {
    const { url: route } = request.routeOptions;
    if (route === undefined || !TRACED.test(route)) return done();
    const batch = enclosingBatch();
    const span = beginServerSpan({
      method: request.method,
      route,
      scheme: request.protocol,
      headers: request.headers,
      attributes: { 'riposte.request.id': request.id },
      isInner: batch !== undefined,
    });
    spans.set(request, span);
    // An answer that is broken off has no `onResponse`.
    reply.raw.once('close', () => span.abandon());
    return span.within(done);
  });
  // What reads the body goes on where the connection was opened.
  server.addHook('preValidation', (request, _reply, done) => {
    const span = spans.get(request);
    if (span === undefined) done();
    else span.within(done);
  });
  server.addHook('onResponse', (request, reply, done) => {
    const span = spans.get(request);
    if (span === undefined) return done();
    span.end({
      status: reply.statusCode,
      attributes: { 'riposte.tenant': request.caller?.identity.tenantId },
    });
    return span.within(done);
  });
}
