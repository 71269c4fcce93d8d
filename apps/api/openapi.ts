import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule, getSchemaPath, type OpenAPIObject } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { ERROR_STATUS, VERSION } from '#domain';
import { SESSION_SCHEME, takesSessions } from './auth.guard.js';
import { GraphErrorDto } from './http/api-graph-errors.js';
import type { LinkBase } from './http/link-base.js';
import { READ_ONLY } from './security-actions/parse-create-body.pipe.js';

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;
type Response = Extract<NonNullable<Operation['responses'][string]>, { description: string }>;

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;

/** What any route may answer, whatever it does, and what is told of it. */
const ALWAYS: Readonly<Record<number, string>> = {
  400: 'The request is not valid; the message says what is wrong.',
  414: 'The URL is too long.',
  431: 'The headers are too large.',
  500: 'A defect of ours, or a write of which nobody knows whether it took effect (`outcomeUnknown`).',
  503: 'The database cannot be reached; nothing was written.',
};
const WITH_TOKEN: Readonly<Record<number, string>> = {
  401: 'No access token, or not a valid one.',
  403: 'The access token carries no role that is enough.',
  429: 'The application asks too often, or too many actions wait for the provider; nothing was written.',
};
const WITH_BODY: Readonly<Record<number, string>> = {
  413: 'The body is too large.',
  415: 'The body is of a type, charset or encoding that is not supported.',
};
/** What a route's own answers mean, where it does not say so itself. */
const OF_SOME: Readonly<Record<number, string>> = {
  200: 'What was asked for.',
  201: 'Recorded; it will end.',
  404: 'The tenant has no such action.',
  409: 'It is too late for that: the message says what the action has become.',
  424: 'The provider was asked and could not say; the message says why.',
  422: 'The Idempotency-Key was sent before with another body.',
};

/** Name of the scheme that goes with a session's cookie. */
const CSRF_SCHEME = 'csrf';

/** The first of the codes that a status has: an example of it. */
const CODE_OF = new Map(
  Object.entries(ERROR_STATUS)
    .toReversed()
    .map(([code, status]) => [String(status), code]),
);

/**
 * Serves the OpenAPI 3.1 document at `/openapi.json` and a page that shows it at `/docs`.
 * @param others routes that are no controller's, by their tag
 */
export function mountOpenApi(
  app: NestFastifyApplication,
  linkBase: LinkBase,
  others: Readonly<Record<'issuer' | 'feeds' | 'signIn' | 'metrics', OpenAPIObject['paths']>>,
): void {
  const builder = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Riposte')
    .setDescription(
      'Security actions by the Microsoft Graph (beta) securityAction contract, and the native API beside it.',
    )
    .setVersion(VERSION)
    .setLicense('Apache-2.0', 'https://www.apache.org/licenses/LICENSE-2.0')
    .addBearerAuth({
      type: 'http',
      scheme: 'bearer',
      bearerFormat: 'JWT',
      description:
        'An access token: of `npm run token` on a machine of your own, of a registered application, or of your issuer. Which role may do what is told in docs/configuration.md.',
    })
    .addApiKey(
      {
        type: 'apiKey',
        in: 'cookie',
        name: 'riposte',
        description:
          'A session of the console, on the native API alone; over TLS the cookie is `__Host-riposte`. What changes something needs the header `X-CSRF-Token`, too, and comes from a page of the console.',
      },
      SESSION_SCHEME,
    )
    .addApiKey(
      {
        type: 'apiKey',
        in: 'header',
        name: 'X-CSRF-Token',
        description: 'As `GET /api/v1/session` tells it, with the cookie of the session.',
      },
      CSRF_SCHEME,
    )
    .addTag('securityActions', "Microsoft Graph's surface; /beta and /v1.0 are the same.")
    .addTag('batch', "Graph's JSON batching: several requests in one.")
    .addTag(
      'native',
      'What Graph has no word for: phases, attempts, unknown outcomes, undoing, providers, workers.',
    );
  if (Object.keys(others.issuer).length > 0)
    builder.addTag('issuer', 'Access tokens for registered applications.');
  builder
    .addBasicAuth({ type: 'http', scheme: 'basic' }, 'feed')
    .addTag('feeds', 'Lists of what is blocked, for firewalls to fetch.');
  builder
    .addTag('session', 'Signing in to the console, and out.')
    .addTag('operators', 'The people of a tenant, for its administrators.')
    .addTag('audit', 'What anybody did, on a record that shows when it was changed.');
  builder.addTag('health', 'Probes; no token is asked for.');
  // Made when it is first asked for, which most processes never are.
  const document = (): OpenAPIObject => {
    const made = SwaggerModule.createDocument(app, builder.build(), { extraModels: [GraphErrorDto] });
    completeAll(made);
    // As they are: their errors are not Graph's.
    Object.assign(made.paths, others.issuer, others.feeds, others.signIn, others.metrics);
    return made;
  };
  SwaggerModule.setup('docs', app, document, {
    jsonDocumentUrl: 'openapi.json',
    customSiteTitle: 'Riposte API',
    patchDocumentOnRequest: (request: unknown, _reply: unknown, whole: OpenAPIObject) => ({
      ...whole,
      servers: [{ url: linkBase(request as FastifyRequest) }],
    }),
  });
}

/** Adds to each operation what no route has to say by itself. */
function completeAll(document: OpenAPIObject): void {
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const method of METHODS) {
      const operation = operations[method];
      if (operation !== undefined) complete(operation, method, path);
    }
  }
  closeBodies(document);
}

/** A body may hold no property that is not known, but OData annotations, and what only the service sets is ignored. */
function closeBodies({ paths, components }: OpenAPIObject): void {
  const schemas = components?.schemas ?? {};
  const close = (schema: unknown): void => {
    if (typeof schema !== 'object' || schema === null) return;
    if ('$ref' in schema && typeof schema.$ref === 'string') {
      const named = schemas[schema.$ref.split('/').at(-1) ?? ''];
      if (named === undefined || '$ref' in named || named.additionalProperties !== undefined) return;
      Object.assign(named, { additionalProperties: false, patternProperties: { '@': {} } });
      close(named.properties);
    } else Object.values(schema).forEach(close);
  };
  for (const { post } of Object.values(paths)) close(post?.requestBody);
  const { CreateSecurityActionDto: created, SecurityActionDto: shown } = schemas;
  if (created === undefined || shown === undefined || '$ref' in created || '$ref' in shown) return;
  for (const name of READ_ONLY) {
    const property = shown.properties?.[name];
    if (property !== undefined)
      created.properties = { ...created.properties, [name]: { readOnly: true, description: 'Ignored.' } };
  }
}

/** Adds what no route has to say by itself. */
function complete(operation: Operation, method: string, path: string): void {
  // Unique per path, where one handler serves several.
  operation.operationId = `${method}${path.replaceAll(/[^A-Za-z0-9]+(.)?/g, (_all, next: string | undefined) => next?.toUpperCase() ?? '')}`;
  takeSessions(operation, method, path);
  const failures = {
    ...ALWAYS,
    ...((operation.security ?? []).length === 0 ? {} : WITH_TOKEN),
    ...(operation.requestBody === undefined ? {} : WITH_BODY),
  };
  for (const [status, told] of Object.entries(failures)) {
    operation.responses[status] ??= {
      description: told,
      content: { 'application/json': { schema: { $ref: getSchemaPath(GraphErrorDto) } } },
    };
  }
  const meanings: Readonly<Record<string, string>> = { ...OF_SOME, ...failures };
  for (const [status, response] of Object.entries(operation.responses)) {
    if (response === undefined || !('description' in response)) continue;
    response.description ||= meanings[status] ?? '';
    addHeaders(response, status);
    addErrorExample(response, status);
  }
}

/** A session with the rights is as good as a token with the role; what changes something proves where it comes from. */
function takeSessions(operation: Operation, method: string, path: string): void {
  const asked = operation.security ?? [];
  const proof = method === 'get' || method === 'head' ? {} : { [CSRF_SCHEME]: [] };
  const sessions = asked.flatMap(({ bearer, [SESSION_SCHEME]: session }) => {
    const roles = session ?? (takesSessions(path) ? bearer : undefined);
    return roles === undefined ? [] : [{ [SESSION_SCHEME]: roles, ...proof }];
  });
  if (asked.length > 0)
    operation.security = [...asked.filter((one) => one[SESSION_SCHEME] === undefined), ...sessions];
}

/** Made from the schema alone, the example of every error would have the same code. */
function addErrorExample(response: Response, status: string): void {
  const body = response.content?.['application/json'];
  if (body?.schema === undefined || !('$ref' in body.schema)) return;
  if (body.schema.$ref !== getSchemaPath(GraphErrorDto)) return;
  body.example = {
    error: {
      code: CODE_OF.get(status),
      message: response.description,
      innerError: {
        date: '2026-01-01T00:00:00.000Z',
        'request-id': '8e4ac884-4c89-4813-8452-908b2bf144bd',
        'client-request-id': null,
      },
    },
  };
}

function addHeaders(response: Response, status: string): void {
  const id = { type: 'string', format: 'uuid' };
  response.headers = {
    'request-id': { description: 'Finds the request in the log.', required: true, schema: id },
    'client-request-id': { description: "The caller's own id, where it sent a GUID.", schema: id },
    ...(status === '401'
      ? { 'WWW-Authenticate': { description: 'The challenge.', required: true, schema: { type: 'string' } } }
      : {}),
    ...(status === '429' || status === '503'
      ? {
          'Retry-After': {
            description: 'Seconds until it makes sense to try again.',
            schema: { type: 'integer', minimum: 1 },
          },
        }
      : {}),
    ...response.headers,
  };
}
