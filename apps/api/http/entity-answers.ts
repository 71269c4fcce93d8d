import { createHash } from 'node:crypto';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply } from 'fastify';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Its answers show one entity. */
    readonly entity?: true;
  }
}

/** Marks a route whose 200 or 201 shows one entity; see {@link answerEntities}. */
export function AnswersEntity(): MethodDecorator {
  return RouteConfig({ entity: true });
}

/**
 * Gives the answers of such routes a weak `ETag` made of the body that is sent, answers 304 to an
 * `If-None-Match` that names it, and 204 to a create with `Prefer: return=minimal` (RFC 7240; OData 4.01, 8.2.8.7).
 */
export function answerEntities(server: FastifyInstance): void {
  server.addHook('onSend', async (request, reply, payload) => {
    if (request.routeOptions.config.entity !== true || typeof payload !== 'string') return payload;
    if (reply.statusCode !== 200 && reply.statusCode !== 201) return payload;
    const tag = entityTag(payload);
    // It changes by itself: what a cache holds is asked after first.
    reply.header('etag', tag).header('cache-control', 'private, no-cache');
    if (request.method === 'GET' || request.method === 'HEAD') {
      // Of a 304 Node sends the headers alone.
      if (names(request.headers['if-none-match'], tag)) reply.code(304);
      return payload;
    }
    return asPreferred(reply, preferredReturn(String(request.headers['prefer'] ?? '')), payload);
  });
}

function asPreferred(
  reply: FastifyReply,
  preferred: 'minimal' | 'representation' | null,
  payload: string,
): string {
  if (preferred === null) return payload;
  const location = reply.getHeader('location');
  if (preferred === 'minimal' && typeof location !== 'string') return payload;
  reply.header('preference-applied', `return=${preferred}`);
  if (preferred === 'representation') return payload;
  reply.code(204).header('odata-entityid', location);
  return '';
}

function entityTag(payload: string): string {
  return `W/"${createHash('sha256').update(payload).digest('base64url').slice(0, 27)}"`;
}

/** Whether an `If-None-Match` names the tag, by weak comparison (RFC 9110, 13.1.2). */
function names(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  return header.match(/"[^"]*"/g)?.some((one) => `W/${one}` === tag) === true;
}

/** RFC 7240: of a preference that is given twice, the first counts. */
function preferredReturn(header: string): 'minimal' | 'representation' | null {
  for (const preference of header.split(',')) {
    const [name, value] = (preference.split(';')[0] ?? '').split('=').map((part) => part.trim());
    if (name?.toLowerCase() !== 'return') continue;
    const wanted = value?.replaceAll('"', '').toLowerCase();
    return wanted === 'minimal' || wanted === 'representation' ? wanted : null;
  }
  return null;
}
