import type { OpenAPIObject } from '@nestjs/swagger';

const TENANT = {
  name: 'tenant',
  in: 'path' as const,
  required: true,
  description: 'The tenant.',
  schema: { type: 'string' as const, format: 'uuid' },
};
const string = { type: 'string' as const };
const json = (schema: object) => ({ 'application/json': { schema } });
const refused = (description: string) => ({
  description,
  content: json({
    type: 'object',
    required: ['error', 'error_description'],
    properties: { error: string, error_description: string, correlation_id: string },
  }),
});

const token = {
  tags: ['issuer'],
  summary: 'An access token for an application, by client credentials (RFC 6749)',
  description:
    'The client authenticates by client_id and client_secret in the body, or by HTTP Basic. Errors have the form of RFC 6749.',
  security: [],
  requestBody: {
    required: true,
    content: {
      'application/x-www-form-urlencoded': {
        schema: {
          type: 'object' as const,
          required: ['grant_type'],
          properties: {
            grant_type: { type: 'string' as const, enum: ['client_credentials'] },
            client_id: { type: 'string' as const, format: 'uuid' },
            client_secret: string,
            scope: { type: 'string' as const, example: 'api://riposte/.default' },
          },
        },
      },
    },
  },
  responses: {
    200: {
      description: 'The token',
      content: json({
        type: 'object',
        required: ['token_type', 'expires_in', 'access_token'],
        properties: {
          token_type: { type: 'string', enum: ['Bearer'] },
          expires_in: { type: 'integer', description: 'Seconds.' },
          ext_expires_in: { type: 'integer' },
          access_token: string,
          scope: string,
        },
      }),
    },
    400: refused(
      'invalid_request, invalid_scope, invalid_tenant, unsupported_grant_type, unauthorized_client',
    ),
    401: refused('invalid_client'),
    413: refused('invalid_request'),
    415: refused('invalid_request'),
    429: refused(
      'temporarily_unavailable: too many failed attempts, or the application asks too often; with Retry-After',
    ),
    503: refused('temporarily_unavailable; with Retry-After'),
  },
};

const document = (operationId: string, summary: string) => ({
  operationId,
  tags: ['issuer'],
  summary,
  security: [],
  parameters: [TENANT],
  responses: {
    200: { description: 'The document', content: json({ type: 'object' }) },
    400: refused('invalid_tenant'),
  },
});

/** The built-in issuer's routes for the OpenAPI document, which Nest cannot know: they are none of its controllers. */
export const ISSUER_PATHS: OpenAPIObject['paths'] = {
  '/oauth2/v2.0/token': { post: { ...token, operationId: 'postToken' } },
  '/{tenant}/oauth2/v2.0/token': {
    post: { ...token, operationId: 'postTenantToken', parameters: [TENANT] },
  },
  '/{tenant}/v2.0/.well-known/openid-configuration': {
    get: document('getIssuer', 'OpenID Connect discovery'),
  },
  '/{tenant}/.well-known/openid-configuration': {
    get: document('getIssuerUnversioned', 'OpenID Connect discovery'),
  },
  '/{tenant}/discovery/v2.0/keys': { get: document('getIssuerKeys', 'Public keys, as a JWK set') },
};
