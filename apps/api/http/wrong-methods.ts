import FindMyWay, { type HTTPMethod } from 'find-my-way';
import type { FastifyInstance } from 'fastify';
import { UserError } from '#domain';

/**
 * Answers OPTIONS on a known path by 204, and an unknown method by 405, both with `Allow`, where Fastify alone
 * says 404. The routes are kept in a second router of the kind Fastify uses itself, one method for all.
 */
export function answerWrongMethods(server: FastifyInstance): void {
  const methodsByPath = new Map<string, Set<string>>();
  const paths = FindMyWay({ ignoreTrailingSlash: true, maxParamLength: 4096 });
  server.addHook('onRoute', ({ url, method }) => {
    // A wildcard serves whatever lies in a folder; it says nothing of one path.
    if (url.includes('*')) return;
    const known = methodsByPath.get(url) ?? new Set(['OPTIONS']);
    if (!methodsByPath.has(url)) {
      methodsByPath.set(url, known);
      paths.on('GET', url, () => undefined, { url });
    }
    for (const one of [method].flat()) known.add(one);
  });
  server.addHook('onRequest', async (request, reply) => {
    if (!request.is404) return undefined;
    const [path = '/'] = request.url.split('?');
    const found = paths.find('GET' satisfies HTTPMethod, path)?.store as
      { readonly url: string } | null | undefined;
    const allowed = methodsByPath.get(found?.url ?? '');
    if (allowed === undefined) return undefined;
    const allow = [...allowed].toSorted().join(', ');
    reply.header('allow', allow);
    if (request.method === 'OPTIONS') {
      await reply.code(204).send();
      return reply;
    }
    throw new UserError('methodNotAllowed', `${request.method} is not allowed here; allowed: ${allow}.`);
  });
}
