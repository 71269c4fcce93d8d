import { SetMetadata, applyDecorators, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { Reflector } from '@nestjs/core';
import { ApiSecurity } from '@nestjs/swagger';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { rolesFor, satisfies, type Identity, type Need, type TokenVerifier } from '#auth';
import { DefectError, UserError, type RateLimit } from '#domain';
import { limitApp } from './http/app-limit.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set once the bearer token has been verified. */
    identity?: Identity;
  }
  interface FastifyContextConfig {
    /** Its callers are known in another way than by {@link AuthGuard}. */
    readonly ownAuthentication?: true;
  }
}

const NEED = 'riposte:need';

/**
 * What a route asks of its caller, in the OpenAPI document as well: each role that is enough is an alternative there.
 * A route that says nothing is answered to nobody.
 */
export function Requires(need: Need | 'nothing'): MethodDecorator & ClassDecorator {
  const roles = need === 'nothing' ? [] : rolesFor(need);
  return applyDecorators(SetMetadata(NEED, need), ...roles.map((role) => ApiSecurity('bearer', [role])));
}

/**
 * Lets a request through when its token is valid, its application has not asked too often, and the token carries a
 * role the route requires. In that order: what is refused for its role counts, too.
 */
export class AuthGuard implements CanActivate {
  readonly #reflector: Reflector;
  readonly #verifier: TokenVerifier;
  readonly #rateLimit: RateLimit | null;

  /** @param rateLimit null: nobody is limited */
  constructor(reflector: Reflector, verifier: TokenVerifier, rateLimit: RateLimit | null) {
    this.#reflector = reflector;
    this.#verifier = verifier;
    this.#rateLimit = rateLimit;
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const need = this.#reflector.getAllAndOverride<Need | 'nothing' | undefined>(NEED, [
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
    request.identity ??= await authenticate(request.headers.authorization, this.#verifier);
    if (this.#rateLimit !== null)
      await limitApp(this.#rateLimit, request.identity, http.getResponse<FastifyReply>());
    authorise(request.identity, need);
    return true;
  }
}

/**
 * Refuses a request with a body before that is read where its token is not valid: a kilobyte from nobody, inflated to
 * a megabyte and parsed, would cost a thousand times what it costs to send. The guard comes after the body.
 */
export function authenticateBeforeBodies(server: FastifyInstance, verifier: TokenVerifier): void {
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
    request.identity = await authenticate(headers.authorization, verifier);
  });
}

/** @throws UserError `unauthenticated` */
export function authenticate(authorization: string | undefined, verifier: TokenVerifier): Promise<Identity> {
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
  if (token === undefined)
    throw new UserError('unauthenticated', 'An access token is needed: "Authorization: Bearer …".');
  return verifier.verify(token);
}

/** @throws UserError `accessDenied` naming the roles that would be enough */
export function authorise(identity: Identity, need: Need): void {
  if (!satisfies(identity.roles, need)) {
    throw new UserError('accessDenied', `The access token needs the role ${rolesFor(need).join(' or ')}.`);
  }
}

/** The verified caller of a guarded route. */
export function callerOf(request: FastifyRequest): Identity {
  if (request.identity === undefined) throw new DefectError('a route used its caller without requiring one');
  return request.identity;
}
