import { existsSync } from 'node:fs';
import path from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Logger } from '#telemetry';
import { sendError } from '../http/graph-exception.filter.js';

/** What Vite built of apps/console, beside this file's own place in `dist`. */
const BUILT = path.resolve(import.meta.dirname, '../../console');
/** Names that stay the same while their content changes. */
const PLAIN_FILES = ['favicon.svg', 'site.webmanifest'];
/** The pages of the console: each is the same document, whose script shows the page of its address. */
const PAGES = [
  '/',
  '/sign-in',
  '/actions',
  '/actions/:id',
  '/inbox',
  '/providers',
  '/providers/:instance',
  '/people',
  '/account',
];

/**
 * Nothing but what this site itself serves, nothing inline, and no text that becomes markup or code. Styles that a
 * script sets on one element are no inline styles to it.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

const PERMISSIONS_POLICY = ['camera', 'display-capture', 'geolocation', 'microphone', 'payment', 'usb']
  .map((feature) => `${feature}=()`)
  .join(', ');

/**
 * The console, for browsers: its document at each of its pages, and what that loads. All of it is public; what it
 * shows comes from the API, which asks who is there. Where it was not built, the API is served without it.
 */
export async function mountConsole(server: FastifyInstance, log: Logger): Promise<void> {
  if (!existsSync(path.join(BUILT, 'index.html'))) {
    log.warn({ expectedAt: BUILT }, 'console is not built and is not served; run `npm run build`');
    return;
  }
  await server.register(async (scope) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, ownAuthentication: true };
    });
    scope.addHook('onRequest', async (_request, reply) => protect(reply));
    scope.setErrorHandler((error, request, reply) => sendError(error, request, reply, log));
    await scope.register(fastifyStatic, {
      root: path.join(BUILT, 'assets'),
      prefix: '/assets/',
      index: false,
      preCompressed: true,
      // Their names change with their content.
      immutable: true,
      maxAge: '365d',
    });
    for (const name of PLAIN_FILES) {
      scope.get(`/${name}`, (_request, reply) =>
        reply.sendFile(name, BUILT, { cacheControl: true, immutable: false, maxAge: '1h' }),
      );
    }
    for (const page of PAGES) {
      scope.get(page, (_request, reply) =>
        // It names the files of this very build.
        reply.header('cache-control', 'no-store').sendFile('index.html', BUILT, { cacheControl: false }),
      );
    }
  });
}

function protect(reply: FastifyReply): void {
  void reply.headers({
    'content-security-policy': CONTENT_SECURITY_POLICY,
    'permissions-policy': PERMISSIONS_POLICY,
  });
}
