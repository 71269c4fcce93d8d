import type { FastifyRequest } from 'fastify';
import {
  identityOfSession,
  isCsrfTokenOf,
  type ConsoleSessions,
  type Identity,
  type TokenVerifier,
} from '#auth';
import { UserError, type Session } from '#domain';
import { SESSION_COOKIE, isSameOrigin, readCookie, type ConsoleSites } from './session/console-site.js';

/** Who sent a request, and how that is known. */
export interface KnownCaller {
  readonly identity: Identity;
  /** Null: an access token says who it is. */
  readonly session: Session | null;
  /**
   * Who it is as things stand now; that is no use of a session, which would never end by being idle.
   * @throws UserError `unauthenticated`, `accessDenied` when the token or the session has ended
   */
  readonly now: () => Promise<Identity>;
}

/** A session that goes on, with the secret that came with the request. */
export interface FoundSession {
  readonly session: Session;
  readonly secret: string;
  readonly caller: KnownCaller;
}

/** What sessions of the console take. */
export interface ConsoleParts {
  readonly sessions: ConsoleSessions;
  readonly sites: ConsoleSites;
  /** What tenants are called, by their ids. */
  readonly tenantNames: ReadonlyMap<string, string>;
}

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Knows who sent a request: by its access token, else by the session of the console. */
export class Callers {
  readonly #verifier: TokenVerifier;
  readonly #console: ConsoleParts;

  constructor(verifier: TokenVerifier, parts: ConsoleParts) {
    this.#verifier = verifier;
    this.#console = parts;
  }

  /**
   * Where there is an `Authorization`, that counts, whatever cookies there are. An unsafe request with a session has to
   * prove that a page of the console sent it.
   *
   * @param takesSessions false: an access token is needed
   * @throws UserError `unauthenticated`, `accessDenied`
   */
  async of(request: FastifyRequest, takesSessions: boolean): Promise<KnownCaller> {
    const { authorization } = request.headers;
    if (!takesSessions || authorization !== undefined) return this.byToken(authorization);
    const found = await this.bySession(request);
    if (found === null)
      throw new UserError(
        'unauthenticated',
        'An access token is needed ("Authorization: Bearer …"), or a session of the console.',
      );
    if (!SAFE.has(request.method)) this.#requireConsole(request, found.secret);
    return found.caller;
  }

  /** @throws UserError `unauthenticated` */
  async byToken(authorization: string | undefined): Promise<KnownCaller> {
    const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    // oxlint-disable-next-line security/detect-possible-timing-attacks -- whether there is one
    if (token === undefined)
      throw new UserError('unauthenticated', 'An access token is needed: "Authorization: Bearer …".');
    const identity = await this.#verifier.verify(token);
    return { identity, session: null, now: () => this.#verifier.verify(token) };
  }

  /** The session that came with a request; null: none that goes on. It gives no right to change anything by itself. */
  async bySession(request: FastifyRequest): Promise<FoundSession | null> {
    const site = this.#console.sites.find(request);
    const secret = site === null ? null : readCookie(request, site, SESSION_COOKIE);
    const session = secret === null ? null : await this.#console.sessions.find(secret);
    if (session === null || secret === null) return null;
    const now = async (): Promise<Identity> => {
      const found = await this.#console.sessions.look(session);
      if (found === null) throw new UserError('unauthenticated', 'The session has ended.');
      return identityOfSession(found);
    };
    return { session, secret, caller: { identity: identityOfSession(session), session, now } };
  }

  #requireConsole(request: FastifyRequest, secret: string): void {
    if (!isSameOrigin(request, this.#console.sites.of(request)))
      throw new UserError('accessDenied', 'The request was not sent by a page of the console.');
    if (!isCsrfTokenOf(String(request.headers['x-csrf-token'] ?? ''), secret))
      throw new UserError(
        'accessDenied',
        'The header X-CSRF-Token is missing or wrong: GET /api/v1/session tells it.',
      );
  }
}
