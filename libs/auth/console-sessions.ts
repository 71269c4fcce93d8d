import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import {
  CONSOLE_APP_ID,
  UserError,
  rolesOf,
  type Person,
  type Session,
  type SessionStore,
  type SignedIn,
} from '#domain';
import type { Identity } from './trusted-issuer.js';

/** 256 random bits. */
const SECRET_BYTES = 32;
const SECRET = /^[A-Za-z0-9_-]{43}$/;
/** Milliseconds between two notes that a session is used: a page asks for many things at once. */
const TOUCH_MS = 60_000;

/** How long sessions last, in milliseconds. */
export interface SessionLimits {
  /** Without a request. */
  readonly idleMs: number;
  /** Altogether. */
  readonly lastsMs: number;
}

/** A session with what its holder proves it by: that is sent once, and kept nowhere. */
export interface BegunSession {
  readonly session: Session;
  readonly secret: string;
}

/**
 * The sessions of people at the console. A session is known by a secret of which only the SHA-256 is stored; the token
 * against forged requests is derived from the secret, so that every API process knows it and nobody else can.
 */
export class ConsoleSessions {
  readonly #store: SessionStore;
  readonly #limits: SessionLimits;
  readonly #touchMs: number;
  readonly #isInUse: (issuer: string | null) => boolean;

  /** @param isInUse whether people may still sign in by this issuer; null: by an account that is kept here */
  constructor(store: SessionStore, limits: SessionLimits, isInUse: (issuer: string | null) => boolean) {
    this.#store = store;
    this.#limits = limits;
    this.#touchMs = Math.min(TOUCH_MS, limits.idleMs / 10);
    this.#isInUse = isInUse;
  }

  /**
   * Begins a session in the first of the person's tenants.
   * @param grants of the person
   */
  begin(who: SignedIn, grants: Person['grants']): Promise<BegunSession> {
    return this.#add(who, grants[0]?.tenantId ?? '', { inMs: this.#limits.lastsMs });
  }

  /** The session that goes on under a secret; null: there is none. */
  async find(secret: string): Promise<Session | null> {
    if (!SECRET.test(secret)) return null;
    return this.#use(idOf(secret));
  }

  /** The session as it is now, without using it; null: it ended. */
  async look({ id }: Session): Promise<Session | null> {
    return this.#use(id, Number.POSITIVE_INFINITY);
  }

  /**
   * Goes on in another tenant, under another secret; it ends when it would have.
   * @throws UserError `itemNotFound` for a tenant that is none of the person's, `unauthenticated` when it has ended
   */
  async moveTo(session: Session, tenantId: string): Promise<BegunSession> {
    const grant = session.person.grants.find((one) => one.tenantId === tenantId.toLowerCase());
    if (grant === undefined)
      throw new UserError('itemNotFound', `You have no role in a tenant ${tenantId.slice(0, 64)}.`);
    const moved = await this.#add(session.who, grant.tenantId, { with: session });
    if (await this.#store.end(session.id)) return moved;
    // Whoever ended all of the person's sessions meanwhile may not have seen the new one.
    await this.#store.end(moved.session.id);
    throw new UserError('unauthenticated', 'The session has ended. Sign in again.');
  }

  /** Goes on under another secret, after what ended all of the person's sessions ended this one, too. */
  renew(session: Session, who: SignedIn): Promise<BegunSession> {
    return this.#add(who, session.grant.tenantId, { with: session });
  }

  async end({ id }: Session): Promise<void> {
    await this.#store.end(id);
  }

  /** Ends all sessions of whoever has this one. */
  endAllOf({ person }: Session): Promise<void> {
    return this.#store.endAllOf(person);
  }

  async #add(
    who: SignedIn,
    tenantId: string,
    ends: Parameters<SessionStore['add']>[0]['ends'],
  ): Promise<BegunSession> {
    const secret = randomBytes(SECRET_BYTES).toString('base64url');
    const id = idOf(secret);
    await this.#store.add({ id, who, tenantId, idleMs: this.#limits.idleMs, ends });
    const session = await this.#use(id);
    if (session === null)
      throw new UserError('unauthenticated', 'The account was changed at the same time. Sign in again.');
    return { session, secret };
  }

  async #use(id: string, touchMs = this.#touchMs): Promise<Session | null> {
    const session = await this.#store.use(id, { idleMs: this.#limits.idleMs, touchMs });
    if (session === null) return null;
    return this.#isInUse(session.who.kind === 'issuer' ? session.who.issuer : null) ? session : null;
  }
}

/** The token that unsafe requests with this session have to carry. */
export function csrfTokenOf(secret: string): string {
  return createHmac('sha256', secret).update('riposte csrf').digest('base64url');
}

/** Whether it is that. The comparison takes the same time whatever differs. */
export function isCsrfTokenOf(given: string, secret: string): boolean {
  const [one, another] = [given, csrfTokenOf(secret)].map((text) =>
    createHash('sha256').update(text).digest(),
  );
  return one !== undefined && another !== undefined && timingSafeEqual(one, another);
}

/** Whom a session speaks for: the person, through the console, in one tenant. */
export function identityOfSession({ person, grant }: Session): Identity {
  return {
    tenantId: grant.tenantId,
    appId: CONSOLE_APP_ID,
    user: person.name,
    roles: rolesOf(grant.role, person.operates),
  };
}

function idOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}
