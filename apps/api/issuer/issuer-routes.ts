import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import {
  OAuthError,
  issuerMetadata,
  jwksOf,
  parseTokenForm,
  type BuiltinIssuer,
  type ClientCredentials,
} from '#auth';
import { RiposteError, isGuid } from '#domain';
import type { Logger } from '#telemetry';
import { answerTo } from '../http/graph-error.js';

/** Bytes of a token request. */
const BODY_LIMIT = 16 * 1024;
/** Seconds others may keep what they read here. Of keys: a new one has to be known soon. */
const METADATA_MAX_AGE = 300;
const KEYS_MAX_AGE = 60;

export interface IssuerParts {
  readonly issuer: BuiltinIssuer;
  readonly clients: ClientCredentials;
  /** Absolute base of its addresses, without a slash at its end. */
  readonly publicUrl: string;
  readonly log: Logger;
}

interface TenantRoute {
  Params: { readonly tenant?: string };
}

/**
 * The built-in issuer's endpoints: tokens, discovery, keys. They speak OAuth's language, in requests and in errors, so
 * they live in a scope of the server with a body parser and an error handler of its own. Public: a client
 * authenticates by its secret.
 */
export async function mountIssuer(server: FastifyInstance, parts: IssuerParts): Promise<void> {
  const { issuer, clients, publicUrl, log } = parts;
  await server.register(async (scope) => {
    acceptFormsOnly(scope);
    scope.setErrorHandler((error: FastifyError, request, reply) => answerError(error, request, reply, log));

    for (const path of ['/oauth2/v2.0/token', '/:tenant/oauth2/v2.0/token']) {
      scope.post<TenantRoute>(
        path,
        { bodyLimit: BODY_LIMIT, config: { ownAuthentication: true } },
        async (request, reply) => {
          const tenantId = request.params.tenant === undefined ? null : tenantOf(request);
          const form = parseTokenForm(textOf(request.body), request.headers.authorization);
          const answer = await clients.grant(form, tenantId, request.ip);
          log.info(
            { requestId: request.id, appId: form.clientId.toLowerCase(), address: request.ip },
            'token issued',
          );
          return reply.headers(UNCACHED).send(answer);
        },
      );
    }
    // The first is the standard's for the issuer; some clients leave the version out.
    for (const path of [
      '/:tenant/v2.0/.well-known/openid-configuration',
      '/:tenant/.well-known/openid-configuration',
    ]) {
      scope.get<TenantRoute>(path, (request, reply) => {
        const tenantId = tenantOf(request);
        return reply
          .header('cache-control', `public, max-age=${METADATA_MAX_AGE}`)
          .send(issuerMetadata(publicUrl, tenantId, issuer.issuerFor(tenantId)));
      });
    }
    scope.get<TenantRoute>('/:tenant/discovery/v2.0/keys', (request, reply) => {
      tenantOf(request);
      return reply
        .header('cache-control', `public, max-age=${KEYS_MAX_AGE}`)
        .send(jwksOf(issuer.publicKeys()));
    });
  });
}

/** RFC 6749 §5.1. */
const UNCACHED = { 'cache-control': 'no-store', pragma: 'no-cache' } as const;

function acceptFormsOnly(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser(
    /^application\/x-www-form-urlencoded\b/i,
    { parseAs: 'string', bodyLimit: BODY_LIMIT },
    (_request, body, done) => done(null, body),
  );
}

/** Null where a request came without a body, and so without a parser. */
function textOf(body: unknown): string {
  return typeof body === 'string' ? body : '';
}

function tenantOf(request: FastifyRequest<TenantRoute>): string {
  const { tenant = '' } = request.params;
  if (!isGuid(tenant))
    throw new OAuthError('invalid_tenant', 'The tenant in the path has to be the GUID of a tenant.');
  return tenant.toLowerCase();
}

/** RFC 6749 §5.2, with the ids that Entra adds for whoever looks into the log. */
function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): void {
  const failure = error instanceof OAuthError ? error : oauthErrorOf(error);
  const told = { requestId: request.id, route: request.routeOptions.url, address: request.ip };
  if (failure.status === 500) log.error({ ...told, err: error }, 'token request failed');
  else log.info({ ...told, error: failure.code, reason: failure.message }, 'token refused');
  if (reply.sent) return;
  if (failure.retryAfterSeconds !== null) reply.header('retry-after', String(failure.retryAfterSeconds));
  if (failure.challenge) reply.header('www-authenticate', 'Basic realm="riposte", charset="UTF-8"');
  void reply.status(failure.status).headers(UNCACHED).send({
    error: failure.code,
    error_description: failure.message,
    timestamp: new Date().toISOString(),
    trace_id: request.id,
    correlation_id: request.id,
  });
}

/** What another layer says: the body parser, a hook of the server, the database. */
function oauthErrorOf(error: unknown): OAuthError {
  const { status, headers, message } = answerTo(error);
  const retryAfter = headers['retry-after'];
  if (status === 415) {
    return new OAuthError(
      'invalid_request',
      'The body has to be of Content-Type application/x-www-form-urlencoded, and sent as it is.',
      { status },
    );
  }
  if (status === 413) {
    return new OAuthError('invalid_request', `The body is larger than ${BODY_LIMIT} bytes.`, { status });
  }
  return new OAuthError(codeFor(status), message, {
    status,
    cause: error,
    ...(error instanceof RiposteError && retryAfter !== undefined
      ? { retryAfterSeconds: Number(retryAfter) }
      : {}),
  });
}

function codeFor(status: number) {
  if (status === 429 || status === 503) return 'temporarily_unavailable';
  return status >= 500 ? 'server_error' : 'invalid_request';
}
