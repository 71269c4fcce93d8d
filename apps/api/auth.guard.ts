import { SetMetadata, applyDecorators, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { Reflector } from '@nestjs/core';
import { ApiSecurity } from '@nestjs/swagger';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { rolesFor, satisfies, type Identity, type Need } from '#auth';
import { DefectError, TENANT_ROLES, UserError, type RateLimit, type Session } from '#domain';
import type { Callers, KnownCaller } from './callers.js';
import { limitCaller } from './http/caller-limit.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set once it is known who sent it. */
    caller?: KnownCaller;
  }
  interface FastifyContextConfig {
    /** Its callers are known in another way than by {@link AuthGuard}. */
    readonly ownAuthentication?: true;
  }
}

/** What a person has to be who has signed in: anybody, or an administrator of the tenant. No token is enough. */
export type PersonNeed = 'session' | 'administer';

const NEED = 'riposte:need';

/** Name of the scheme in the OpenAPI document. */
export const SESSION_SCHEME = 'session';

/**
 * What a route asks of its caller, in the OpenAPI document as well: each role that is enough is an alternative there.
 * A route that says nothing is answered to nobody.
 */
export function Requires(need: Need | PersonNeed | 'nothing'): MethodDecorator & ClassDecorator {
  return applyDecorators(SetMetadata(NEED, need), ...schemesFor(need));
}

function schemesFor(need: Need | PersonNeed | 'nothing'): readonly (MethodDecorator & ClassDecorator)[] {
  switch (need) {
    case 'nothing':
      return [];
    case 'session':
      return TENANT_ROLES.map((role) => ApiSecurity(SESSION_SCHEME, [role]));
    case 'administer':
      return [ApiSecurity(SESSION_SCHEME, ['Administrator'])];
    default:
      return rolesFor(need).map((role) => ApiSecurity('bearer', [role]));
  }
}

/** Whether a session of the console is as good as an access token there: on the native API, never on Graph's. */
export function takesSessions(url: string | undefined): boolean {
  return url?.startsWith('/api/v1/') === true;
}

/**
 * Lets a request through when it is known who sent it, that caller has not asked too often, and may do what the route
 * is for. In that order: what is refused for its role counts, too.
 */
export class AuthGuard implements CanActivate {
  readonly #reflector: Reflector;
  readonly #callers: Callers;
  readonly #rateLimit: RateLimit | null;

  /** @param rateLimit null: nobody is limited */
  constructor(reflector: Reflector, callers: Callers, rateLimit: RateLimit | null) {
    this.#reflector = reflector;
    this.#callers = callers;
    this.#rateLimit = rateLimit;
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const need = this.#reflector.getAllAndOverride<Need | PersonNeed | 'nothing' | undefined>(NEED, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (need === undefined)
      throw new DefectError(
        `route ${context.getClass().name}.${context.getHandler().name} says not what it requires`,
      );
    if (need === 'nothing') return true;
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    request.caller ??= await this.#callers.of(request, takesSessions(request.routeOptions.url));
    const reply = http.getResponse<FastifyReply>();
    // What stands between knows that answers to an `Authorization` are one caller's (RFC 9111, 3.5), not those to a cookie.
    if (request.caller.session !== null) void reply.header('cache-control', 'no-store');
    if (this.#rateLimit !== null) await limitCaller(this.#rateLimit, request.caller, reply);
    if (need === 'session' || need === 'administer') requirePerson(request.caller, need);
    else authorise(request.caller, need);
    return true;
  }
}

/**
 * Refuses a request with a body before that is read where it is not known who sent it: a kilobyte from nobody, inflated
 * to a megabyte and parsed, would cost a thousand times what it costs to send. The guard comes after the body.
 */
export function authenticateBeforeBodies(server: FastifyInstance, callers: Callers): void {
  server.addHook('onRequest', async (request) => {
    const { headers, method, routeOptions } = request;
    if (
      request.is404 ||
      method === 'GET' ||
      method === 'HEAD' ||
      routeOptions.config.ownAuthentication === true
    )
      return;
    if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return;
    request.caller = await callers.of(request, takesSessions(routeOptions.url));
  });
}

/** @throws UserError `accessDenied` naming the roles that would be enough */
export function authorise({ identity, session }: KnownCaller, need: Need): void {
  if (session?.person.mustChangePassword === true)
    throw new UserError('accessDenied', 'Change your password first: it was only good for signing in once.');
  if (satisfies(identity.roles, need)) return;
  const roles = rolesFor(need).join(' or ');
  throw new UserError(
    'accessDenied',
    session === null
      ? `The access token needs the role ${roles}.`
      : `Your role (${session.grant.role}) does not allow this; it takes ${roles}.`,
  );
}

function requirePerson({ session }: KnownCaller, need: PersonNeed): void {
  if (session === null)
    throw new UserError('accessDenied', 'This is for people who have signed in, not for access tokens.');
  if (need === 'session') return;
  if (session.person.mustChangePassword)
    throw new UserError('accessDenied', 'Change your password first: it was only good for signing in once.');
  if (session.grant.role !== 'Administrator')
    throw new UserError('accessDenied', 'This takes the role Administrator in the tenant.');
}

/** The verified caller of a guarded route. */
export function callerOf(request: FastifyRequest): Identity {
  return knownCallerOf(request).identity;
}

/** The same with how it is known. */
export function knownCallerOf(request: FastifyRequest): KnownCaller {
  if (request.caller === undefined) throw new DefectError('a route used its caller without requiring one');
  return request.caller;
}

/** The session of a route that requires one. */
export function sessionOf(request: FastifyRequest): Session {
  const { session } = knownCallerOf(request);
  if (session === null) throw new DefectError('a route used a session without requiring one');
  return session;
}
