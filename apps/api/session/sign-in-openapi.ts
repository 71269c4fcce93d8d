import type { OpenAPIObject } from '@nestjs/swagger';

const text = { type: 'string' as const };
const issuerId = {
  name: 'issuerId',
  in: 'path' as const,
  required: true,
  description: 'As `GET /api/v1/session` tells it.',
  schema: text,
};
const problem = {
  description: 'To `/sign-in?problem=CODE` with expired, refused, failed, noRole, unavailable or insecure.',
};

/** The pages that browsers are led through, for the OpenAPI document: they are none of Nest's controllers. */
export const SIGN_IN_PATHS: OpenAPIObject['paths'] = {
  '/sign-in/with/{issuerId}': {
    get: {
      operationId: 'getSignInWith',
      tags: ['session'],
      summary: 'Leads a browser to an issuer to sign in (OpenID Connect, authorization code with PKCE)',
      security: [],
      parameters: [
        issuerId,
        { name: 'returnTo', in: 'query', description: 'Path of the page that was wanted.', schema: text },
      ],
      responses: { 302: { description: `To the issuer. ${problem.description}` } },
    },
  },
  '/sign-in/callback/{issuerId}': {
    get: {
      operationId: 'getSignInCallback',
      tags: ['session'],
      summary: 'Where the issuer leads the browser back to',
      security: [],
      parameters: [issuerId],
      responses: {
        200: {
          description: 'A page that leads on to what was wanted, with the cookie of the session.',
          content: { 'text/html': { schema: text } },
        },
        302: problem,
      },
    },
  },
};
