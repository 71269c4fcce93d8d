import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import {
  SIGN_IN_WITHIN_SECONDS,
  SignInRefusal,
  type ConsoleIssuer,
  type PendingSignIns,
  type SignInProblem,
} from '#auth';
import { INSTALLATION } from '#audit';
import { CONSOLE_APP_ID, OperationalError, UserError } from '#domain';
import type { Logger } from '#telemetry';
import type { AuditTrail } from '../audit/audit-trail.js';
import type { ConsoleParts } from '../callers.js';
import { sendError } from '../http/graph-exception.filter.js';
import { SESSION_COOKIE, readCookie, writeCookie, type ConsoleCookie, type Site } from './console-site.js';

/** The sign-in that was begun. Lax, for it is another site that leads the browser back. */
const PENDING_COOKIE: ConsoleCookie = { name: 'riposte-sign-in', sameSite: 'Lax' };
const LONGEST_RETURN = 1024;
/** Refusals of one address that are recorded in so many seconds: it would fill the record. */
const RECORDED_REFUSALS = { points: 50, duration: 300 };
/** Characters in the log of what an issuer said. */
const LONGEST_WORDS = 1000;

interface IssuerRoute {
  Params: { readonly issuerId: string };
  Querystring: { readonly returnTo?: unknown };
}

/**
 * Where browsers are led through to sign in at an issuer. People see these addresses, and no JSON: whatever goes wrong
 * leads to the console's page for signing in, with the problem's code.
 */
export async function mountSignIn(
  server: FastifyInstance,
  parts: {
    readonly issuers: readonly ConsoleIssuer[];
    readonly pending: PendingSignIns;
    readonly console: ConsoleParts;
    readonly trail: AuditTrail;
    readonly log: Logger;
  },
): Promise<void> {
  const { issuers, pending: signIns, trail, log } = parts;
  const { sessions, sites } = parts.console;
  const recordable = new RateLimiterMemory(RECORDED_REFUSALS);

  const begin = async (request: FastifyRequest<IssuerRoute>, reply: FastifyReply): Promise<FastifyReply> => {
    const site = siteOf(request);
    const issuer = issuerOf(request);
    const callback = `${site.baseUrl}/sign-in/callback/${issuer.id}`;
    const { url, pending } = await issuer.begin(callback, samePath(request.query.returnTo));
    writeCookie(reply, site, PENDING_COOKIE, await signIns.seal(pending), SIGN_IN_WITHIN_SECONDS);
    return reply.redirect(url.href);
  };

  const finish = async (request: FastifyRequest<IssuerRoute>, reply: FastifyReply): Promise<FastifyReply> => {
    const site = siteOf(request);
    const issuer = issuerOf(request);
    const sealed = readCookie(request, site, PENDING_COOKIE);
    writeCookie(reply, site, PENDING_COOKIE, null);
    const pending = sealed === null ? null : await signIns.open(sealed);
    if (pending === null || pending.issuer !== issuer.id)
      throw new SignInRefusal('expired', 'no sign-in was begun in this browser, or too long ago');
    const person = await issuer.finish(new URL(request.url, site.origin).search, pending);
    await trail.note(
      { appId: CONSOLE_APP_ID, user: person.name, address: request.ip },
      {
        chain: person.grants[0]?.tenantId ?? INSTALLATION,
        kind: 'session.begun',
        about: { operator: person.name, person: person.id, issuer: issuer.id },
      },
    );
    const begun = await sessions.begin({ kind: 'issuer', issuer: issuer.id, person }, person.grants);
    const before = readCookie(request, site, SESSION_COOKIE);
    const earlier = before === null ? null : await sessions.find(before);
    if (earlier !== null) await sessions.end(earlier);
    log.info({ requestId: request.id, person: person.id }, 'signed in');
    writeCookie(reply, site, SESSION_COOKIE, begun.secret);
    return leadOn(reply, pending.returnTo);
  };

  const siteOf = (request: FastifyRequest): Site => {
    try {
      return sites.of(request);
    } catch (cause) {
      if (!(cause instanceof UserError)) throw cause;
      throw new SignInRefusal('insecure', cause.message, { cause });
    }
  };

  const issuerOf = ({ params: { issuerId } }: FastifyRequest<IssuerRoute>): ConsoleIssuer => {
    const issuer = issuers.find(({ id }) => id === issuerId);
    if (issuer === undefined) throw new UserError('itemNotFound', 'There is no such issuer.');
    return issuer;
  };

  await server.register(async (scope) => {
    scope.addHook('onRequest', async (_request, reply) => void reply.header('cache-control', 'no-store'));
    scope.setErrorHandler(async (error, request, reply) => {
      const problem = problemOf(error);
      if (problem === null) {
        sendError(error, request, reply, log);
        return reply;
      }
      // Their words alone: what they carry along may hold codes and tokens.
      const told = { reason: wordsOf(error), cause: wordsOf((error as Error).cause) };
      log.info({ requestId: request.id, address: request.ip, problem, ...told }, 'sign-in refused');
      // What was begun nowhere is refused before anybody is asked; anyone could send it.
      const isOfSomebody = problem !== 'expired' && problem !== 'insecure' && problem !== 'unavailable';
      if (isOfSomebody && (await hasRoom(recordable, request.ip)))
        await trail.noteIfPossible(
          { appId: CONSOLE_APP_ID, user: null, address: request.ip },
          { chain: INSTALLATION, kind: 'session.refused', details: { problem } },
        );
      return reply.redirect(`/sign-in?problem=${problem}`);
    });
    scope.get<IssuerRoute>('/sign-in/with/:issuerId', begin);
    scope.get<IssuerRoute>('/sign-in/callback/:issuerId', finish);
  });
}

/** Null: no page can say more of it than the error's own answer. */
function problemOf(error: unknown): SignInProblem | null {
  if (error instanceof SignInRefusal) return error.problem;
  return error instanceof OperationalError ? 'unavailable' : null;
}

function wordsOf(error: unknown): string | undefined {
  return error instanceof Error ? error.message.slice(0, LONGEST_WORDS) : undefined;
}

/**
 * A path on this site, `/` for anything else: a link to the sign-in must not lead people to another site, which could
 * look like this one.
 */
function samePath(wanted: unknown): string {
  if (typeof wanted !== 'string' || wanted.length > LONGEST_RETURN || !wanted.startsWith('/')) return '/';
  const base = 'http://here.invalid';
  // As a browser reads it: backslashes are slashes, line ends are nothing.
  const url = URL.canParse(wanted, base) ? new URL(wanted, base) : null;
  if (url === null || url.origin !== base || url.pathname.startsWith('//')) return '/';
  return url.pathname.startsWith('/sign-in') ? '/' : `${url.pathname}${url.search}${url.hash}`;
}

/**
 * Goes on by a page of this site: a cookie that is Strict is not sent where another site's redirect leads, and what is
 * wanted may be a page that asks for it.
 */
function leadOn(reply: FastifyReply, path: string): FastifyReply {
  const address = path.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  return reply
    .type('text/html; charset=utf-8')
    .header('content-security-policy', "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
    .send(
      `<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=${address}"><title>Signed in</title><p><a href="${address}">Go on</a></p></html>\n`,
    );
}

async function hasRoom(limiter: RateLimiterMemory, key: string): Promise<boolean> {
  try {
    await limiter.consume(key);
    return true;
  } catch {
    return false;
  }
}
