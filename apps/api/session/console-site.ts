import type { FastifyReply, FastifyRequest } from 'fastify';
import { isLoopbackUrl } from '#auth';
import { UserError } from '#domain';
import { isHost, type LinkBase } from '../http/link-base.js';

/** Where a browser sees the console: what its cookies and its `Origin` have to fit. */
export interface Site {
  /** As in the header `Origin`. */
  readonly origin: string;
  /** Absolute base of its addresses, without a slash at its end. */
  readonly baseUrl: string;
  /** True: over TLS. */
  readonly secure: boolean;
}

export interface SiteOptions {
  readonly linkBase: LinkBase;
  /** The address the API listens on, as a URL. */
  readonly listenUrl: string;
  /** True: sessions over plain HTTP on other hosts than this machine, too. */
  readonly plainHttp: boolean;
}

/** The prefix has browsers keep it from other hosts and paths, and from plain HTTP (RFC 6265bis, 4.1.3.2). */
const SECURE_PREFIX = '__Host-';

/**
 * Where the console is for whoever sent a request: at `PUBLIC_URL`, or where a trusted proxy says; otherwise at the
 * host that the browser asked for. Without TLS that may only be this machine, unless it is configured: passwords and
 * sessions would go through the network in clear.
 */
export class ConsoleSites {
  readonly #options: SiteOptions;

  constructor(options: SiteOptions) {
    this.#options = options;
  }

  /** @throws UserError `accessDenied` where nobody may sign in; it says what to change */
  of(request: FastifyRequest): Site {
    const { linkBase, listenUrl, plainHttp } = this.#options;
    const base = linkBase(request);
    // A rebound name leads nowhere: cookies are those of the name, and nobody has signed in under it.
    const host = request.headers.host ?? '';
    const site =
      base === listenUrl && isHost(host) ? `${new URL(base).protocol}//${host.toLowerCase()}` : base;
    const url = new URL(site);
    const secure = url.protocol === 'https:';
    if (!secure && !plainHttp && !isLoopbackUrl(url)) {
      throw new UserError(
        'accessDenied',
        'Nobody can sign in over plain HTTP from another machine: the password and the session would go through the network in clear. Serve TLS (TLS_CERT and TLS_KEY, or a proxy and PUBLIC_URL), or allow it in riposte.config.yaml: console.plainHttp.',
      );
    }
    return { origin: url.origin, baseUrl: site, secure };
  }

  /** Null where nobody may sign in. */
  find(request: FastifyRequest): Site | null {
    try {
      return this.of(request);
    } catch (error) {
      if (error instanceof UserError) return null;
      throw error;
    }
  }
}

/** Whether a page of the console itself sent the request: by what no page can forge. Programs may say so, too. */
export function isSameOrigin({ headers }: FastifyRequest, { origin }: Site): boolean {
  const { origin: from, 'sec-fetch-site': site } = headers;
  if (from === undefined && site === undefined) return false;
  return (from === undefined || from === origin) && (site === undefined || site === 'same-origin');
}

/** A cookie of the console. */
export interface ConsoleCookie {
  readonly name: string;
  /** `Lax` is sent, too, when another site leads here. */
  readonly sameSite: 'Strict' | 'Lax';
}

/** The session. */
export const SESSION_COOKIE: ConsoleCookie = { name: 'riposte', sameSite: 'Strict' };

/** The cookie's value; null: it was not sent. */
export function readCookie(
  request: FastifyRequest,
  { secure }: Site,
  { name }: ConsoleCookie,
): string | null {
  const wanted = `${secure ? SECURE_PREFIX : ''}${name}`;
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const [key = '', value = ''] = pair.split('=', 2).map((part) => part.trim());
    if (key === wanted) return value;
  }
  return null;
}

/**
 * Sets the cookie, or (null) takes it away.
 * @param value letters, digits, `-`, `_` and `.`
 * @param maxAgeSeconds absent: until the browser is closed
 */
export function writeCookie(
  reply: FastifyReply,
  { secure }: Site,
  { name, sameSite }: ConsoleCookie,
  value: string | null,
  maxAgeSeconds?: number,
): void {
  const maxAge = value === null ? 0 : maxAgeSeconds;
  const parts = [
    `${secure ? SECURE_PREFIX : ''}${name}=${value ?? ''}`,
    'Path=/',
    'HttpOnly',
    `SameSite=${sameSite}`,
    ...(secure ? ['Secure'] : []),
    ...(maxAge === undefined ? [] : [`Max-Age=${maxAge}`]),
  ];
  // Fastify makes a list of what is set several times.
  void reply.header('set-cookie', parts.join('; '));
}
